#include "pipelines/adapter/stream_meeting.h"

#include "pipelines/link/link_observer.h"

namespace slipring {
namespace {

// Each failed attempt means that others made or removed the link meanwhile.
constexpr int kAttempts = 100;
constexpr Error kRestless{ErrorCode::kBusy, 0, "meet on a link that is replaced again and again"};

// Attaches, and makes the link where there is none.  kNotFound: look again.
template <typename End>
Result<End> attach_or_make(const SegmentDirectory& directory, std::string_view name,
                           const StreamMeetingOptions& options) noexcept {
  Result<End> end = End::attach(directory, name);
  if (end || end.error().code != ErrorCode::kNotFound) return end;
  const Status made =
      create_link(directory, name, stream_link_shape(options.capacity_bytes), options.segment);
  if (!made && made.error().code != ErrorCode::kExists) return made.error();
  return End::attach(directory, name);
}

}  // namespace

Result<StreamWriter> meet_as_writer(const SegmentDirectory& directory, std::string_view name,
                                    const StreamMeetingOptions& options) noexcept {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::uint64_t inode = 0;
    if (Result<SegmentFile> seen = SegmentFile::open(directory, name); seen) inode = seen->inode();
    {
      Result<StreamWriter> writer = attach_or_make<StreamWriter>(directory, name, options);
      if (!writer && writer.error().code == ErrorCode::kNotFound) continue;
      if (!writer || !writer->is_peer_closed()) return writer;
    }
    Result<bool> removed = remove_if_over(directory, name, inode);
    if (!removed) return removed.error();
  }
  return kRestless;
}

Result<StreamReader> meet_as_reader(const SegmentDirectory& directory, std::string_view name,
                                    const StreamMeetingOptions& options) noexcept {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    Result<StreamReader> reader = attach_or_make<StreamReader>(directory, name, options);
    if (reader || reader.error().code != ErrorCode::kNotFound) return reader;
  }
  return kRestless;
}

Result<bool> remove_if_over(const SegmentDirectory& directory, std::string_view name,
                            std::uint64_t inode) noexcept {
  Result<SegmentFile> file = SegmentFile::open(directory, name);
  if (!file) {
    if (file.error().code == ErrorCode::kNotFound) return false;
    return file.error();
  }
  if (file->inode() != inode) return false;
  Result<LinkObserver> link = LinkObserver::attach(directory, name);
  if (!link) {
    if (link.error().code == ErrorCode::kNotFound) return false;
    return link.error();
  }
  const LinkReport report = link->report();
  const bool is_over = report.reader.state == EndState::kClosed &&
                       report.reader.holder == Holder::kNobody &&
                       report.writer.holder == Holder::kNobody;
  if (!is_over) return false;
  const Status removed = remove_segment(directory, name);
  if (!removed && removed.error().code != ErrorCode::kNotFound) return removed.error();
  return removed.ok();
}

}  // namespace slipring
