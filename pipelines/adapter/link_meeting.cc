#include "pipelines/adapter/link_meeting.h"

#include <utility>

#include "pipelines/link/link_observer.h"
#include "platform/wait/clock.h"

namespace slipring {
namespace {

// Each failed attempt means that others made or removed the link meanwhile.
constexpr int kAttempts = 100;
// A role may be held by somebody who looks whether the link is to go; so often, and so far apart.
constexpr int kLooksAtLeaver = 20;
constexpr std::uint64_t kPauseNs = 1'000'000;
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
Result<Met<End>> attach_or_make(const SegmentDirectory& directory, std::string_view name,
                                const MeetingOptions& options) noexcept {
  Result<End> end = attach<End>(directory, name);
  if (end) return Met<End>{std::move(end).value(), false};
  if (end.error().code != ErrorCode::kNotFound) return end.error();
  LinkShape shape;
  shape.kind = kKind<End>;
  shape.capacity_bytes = options.capacity_bytes;
  const Status made = create_link(directory, name, shape, options.segment);
  if (!made && made.error().code != ErrorCode::kExists) return made.error();
  Result<End> again = attach<End>(directory, name);
  if (!again) return again.error();
  return Met<End>{std::move(again).value(), made.ok()};
}

// Whether to look again: the link went, or whoever is in the way may be about to go.
class Comer {
 public:
  [[nodiscard]] bool comes_again(const Error& why) noexcept {
    if (why.code == ErrorCode::kNotFound) return ++making_count_ <= kAttempts;
    if (why.code != ErrorCode::kBusy || ++look_count_ > kLooksAtLeaver) return false;
    pause_for(kPauseNs);
    return true;
  }

 private:
  int making_count_ = 0;
  int look_count_ = 0;
};

}  // namespace

template <typename Writer>
Result<Met<Writer>> meet_as_writer(const SegmentDirectory& directory, std::string_view name,
                                   const MeetingOptions& options) noexcept {
  Comer comer;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::uint64_t inode = 0;
    if (Result<SegmentFile> seen = SegmentFile::open(directory, name); seen) inode = seen->inode();
    {
      Result<Met<Writer>> writer = attach_or_make<Writer>(directory, name, options);
      if (!writer && comer.comes_again(writer.error())) continue;
      if (!writer || !writer->end.is_peer_closed()) return writer;
    }
    Result<bool> removed = remove_if_over(directory, name, inode);
    if (!removed) return removed.error();
  }
  return kRestless;
}

template <typename Reader>
Result<Met<Reader>> meet_as_reader(const SegmentDirectory& directory, std::string_view name,
                                   const MeetingOptions& options) noexcept {
  Comer comer;
  for (;;) {
    Result<Met<Reader>> reader = attach_or_make<Reader>(directory, name, options);
    if (!reader && comer.comes_again(reader.error())) continue;
    if (!reader && reader.error().code == ErrorCode::kNotFound) return kRestless;
    return reader;
  }
}

template Result<Met<StreamWriter>> meet_as_writer(const SegmentDirectory&, std::string_view,
                                                  const MeetingOptions&) noexcept;
template Result<Met<LinkWriter>> meet_as_writer(const SegmentDirectory&, std::string_view,
                                                const MeetingOptions&) noexcept;
template Result<Met<StreamReader>> meet_as_reader(const SegmentDirectory&, std::string_view,
                                                  const MeetingOptions&) noexcept;
template Result<Met<LinkReader>> meet_as_reader(const SegmentDirectory&, std::string_view,
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
