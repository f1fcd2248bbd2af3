#include "pipelines/wire/link_source.h"

#include <algorithm>

#include "pipelines/wire/message_link_source.h"
#include "pipelines/wire/stream_link_source.h"
#include "pipelines/wire/topic_link_source.h"
#include "pipelines/wire/value_link_source.h"

namespace slipring::wire {

Result<std::unique_ptr<LinkSource>> LinkSource::attach(const SegmentDirectory& directory,
                                                       std::string_view name, SegmentKind kind,
                                                       MemoryLock memory_lock) noexcept {
  if (kind == SegmentKind::kStreamLink) return attach_stream_source(directory, name, memory_lock);
  if (kind == SegmentKind::kBroadcastLink) return attach_topic_source(directory, name, memory_lock);
  if (kind == SegmentKind::kValueLink) return attach_value_source(directory, name, memory_lock);
  return attach_message_source(directory, name, memory_lock);
}

bool LinkSource::take_abort() noexcept {
  const std::uint64_t before = abort_word();
  if (before <= abort_seen_) return false;
  abort_seen_ = before;
  drop_before(before);
  if (done() < before) return false;  // a lie
  cursor_ = std::max(cursor_, before);
  aborted_ = before;
  return true;
}

}  // namespace slipring::wire
