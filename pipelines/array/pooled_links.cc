#include "pipelines/array/pooled_links.h"

namespace slipring::array {

bool has_pool(const Stage& stage, const char* port, const LinkShape& shape,
              std::size_t message_bytes, std::uint64_t buffer_bytes) {
  const bool has_slots = shape.kind == SegmentKind::kSlotLink && shape.slot_bytes >= message_bytes;
  if (has_slots && shape.pool_buffer_count != 0 && shape.pool_buffer_bytes >= buffer_bytes) {
    return true;
  }
  stage.log(Severity::kError,
            "the link %s must have slots of at least %zu bytes and a pool of buffers of at least "
            "%llu bytes; it has %s of %u bytes and %u buffers of %llu bytes: change it in the "
            "pipeline file",
            port, message_bytes, static_cast<unsigned long long>(buffer_bytes), name_of(shape.kind),
            shape.slot_bytes, shape.pool_buffer_count,
            static_cast<unsigned long long>(shape.pool_buffer_bytes));
  return false;
}

bool have_pools(const Stage& stage, const LinkShape& requests, const LinkShape& replies,
                const PooledLinkNeeds& needs) {
  const bool can_ask =
      has_pool(stage, "requests", requests, needs.request_bytes, needs.buffer_bytes);
  return has_pool(stage, "replies", replies, needs.reply_bytes, needs.buffer_bytes) && can_ask;
}

bool has_slots(const Stage& stage, const char* port, const LinkShape& shape,
               std::size_t message_bytes) {
  if (shape.kind == SegmentKind::kSlotLink && shape.slot_bytes >= message_bytes) return true;
  stage.log(
      Severity::kError,
      "the link %s must have slots of at least %zu bytes; it has %s of %u bytes: change it in "
      "the pipeline file",
      port, message_bytes, name_of(shape.kind), shape.slot_bytes);
  return false;
}

}  // namespace slipring::array
