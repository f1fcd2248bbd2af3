#include "pipelines/adapter/link_meeting.h"

#include "pipelines/link/link_observer.h"

namespace slipring {
namespace {

// Each failed attempt means that others made or removed the link meanwhile.
constexpr int kAttempts = 100;
constexpr Error kRestless{ErrorCode::kBusy, 0, "meet on a link that is replaced again and again"};

template <typename End>
constexpr SegmentKind kKind = SegmentKind::kStreamLink;
template <>
constexpr SegmentKind kKind<LinkWriter> = SegmentKind::kRecordLink;
template <>
constexpr SegmentKind kKind<LinkReader> = SegmentKind::kRecordLink;

template <typename End>
Result<End> attach(const SegmentDirectory& directory, std::string_view name) noexcept {
  Result<End> end = End::attach(directory, name);
  if (!end || end->shape().kind == kKind<End>) return end;
  return Error{ErrorCode::kVersion, 0, "not a link of records",
               static_cast<std::uint64_t>(end->shape().kind),
               static_cast<std::uint64_t>(kKind<End>)};
}

// Attaches, and makes the link where there is none.  kNotFound: look again.
template <typename End>
Result<End> attach_or_make(const SegmentDirectory& directory, std::string_view name,
                           const MeetingOptions& options) noexcept {
  Result<End> end = attach<End>(directory, name);
  if (end || end.error().code != ErrorCode::kNotFound) return end;
  LinkShape shape;
  shape.kind = kKind<End>;
  shape.capacity_bytes = options.capacity_bytes;
  const Status made = create_link(directory, name, shape, options.segment);
  if (!made && made.error().code != ErrorCode::kExists) return made.error();
  return attach<End>(directory, name);
}

}  // namespace

template <typename Writer>
Result<Writer> meet_as_writer(const SegmentDirectory& directory, std::string_view name,
                              const MeetingOptions& options) noexcept {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::uint64_t inode = 0;
    if (Result<SegmentFile> seen = SegmentFile::open(directory, name); seen) inode = seen->inode();
    {
      Result<Writer> writer = attach_or_make<Writer>(directory, name, options);
      if (!writer && writer.error().code == ErrorCode::kNotFound) continue;
      if (!writer || !writer->is_peer_closed()) return writer;
    }
    Result<bool> removed = remove_if_over(directory, name, inode);
    if (!removed) return removed.error();
  }
  return kRestless;
}

template <typename Reader>
Result<Reader> meet_as_reader(const SegmentDirectory& directory, std::string_view name,
                              const MeetingOptions& options) noexcept {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    Result<Reader> reader = attach_or_make<Reader>(directory, name, options);
    if (reader || reader.error().code != ErrorCode::kNotFound) return reader;
  }
  return kRestless;
}

template Result<StreamWriter> meet_as_writer(const SegmentDirectory&, std::string_view,
                                             const MeetingOptions&) noexcept;
template Result<LinkWriter> meet_as_writer(const SegmentDirectory&, std::string_view,
                                           const MeetingOptions&) noexcept;
template Result<StreamReader> meet_as_reader(const SegmentDirectory&, std::string_view,
                                             const MeetingOptions&) noexcept;
template Result<LinkReader> meet_as_reader(const SegmentDirectory&, std::string_view,
                                           const MeetingOptions&) noexcept;

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
