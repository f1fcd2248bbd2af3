#include "pipelines/wire/link_sink.h"

#include <algorithm>
#include <cstring>

#include "core/error/check.h"
#include "pipelines/wire/message_link_sink.h"
#include "pipelines/wire/stream_link_sink.h"
#include "pipelines/wire/topic_link_sink.h"
#include "pipelines/wire/value_link_sink.h"

namespace slipring::wire {

Result<std::unique_ptr<LinkSink>> LinkSink::attach(const SegmentDirectory& directory,
                                                   std::string_view name, SegmentKind kind,
                                                   MemoryLock memory_lock) noexcept {
  if (kind == SegmentKind::kStreamLink) return attach_stream_sink(directory, name, memory_lock);
  if (kind == SegmentKind::kBroadcastLink) return attach_topic_sink(directory, name, memory_lock);
  if (kind == SegmentKind::kValueLink) return attach_value_sink(directory, name, memory_lock);
  return attach_message_sink(directory, name, memory_lock);
}

Transfer LinkSink::reserve(std::uint32_t bytes) noexcept {
  check(!is_open_, "a message is open already");
  open_bytes_ = bytes;
  const Transfer answer = open(bytes);
  is_open_ = answer == Transfer::kDone;
  return answer;
}

void LinkSink::put(std::uint32_t offset, std::span<const std::byte> part) noexcept {
  check(is_open_ && part.size() <= open_bytes_ && offset <= open_bytes_ - part.size(),
        "bytes beyond the message");
  if (part.empty()) return;
  const std::size_t first_bytes = place_.first.size();
  const std::size_t begin = offset;
  const std::size_t count =
      begin < first_bytes ? std::min(part.size(), first_bytes - begin) : std::size_t{0};
  if (count != 0) std::memcpy(place_.first.data() + begin, part.data(), count);
  if (count == part.size()) return;
  std::memcpy(place_.second.data() + (begin + count - first_bytes), part.data() + count,
              part.size() - count);
}

void LinkSink::commit() noexcept {
  const std::uint64_t after = position_after();
  is_open_ = false;
  publish();
  check(position() == after, "a position other than was foretold");
}

void LinkSink::abandon() noexcept {
  if (!is_open_) return;
  is_open_ = false;
  drop();
}

}  // namespace slipring::wire
