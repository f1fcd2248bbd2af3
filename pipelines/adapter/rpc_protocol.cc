#include "pipelines/adapter/rpc_protocol.h"

#include "pipelines/link/lane_reader.h"
#include "pipelines/link/link_segment.h"

namespace slipring {
const char* name_of(RpcStatus status) noexcept {
  switch (status) {
    case RpcStatus::kOk:
      return "ok";
    case RpcStatus::kFailed:
      return "failed";
    case RpcStatus::kMaybeExecuted:
      return "may have been executed";
    case RpcStatus::kNotExecuted:
      return "not executed";
    case RpcStatus::kDeadline:
      return "deadline passed";
    case RpcStatus::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

std::string cancel_name(std::string_view service) {
  return std::string(service) + ".cancel";
}

std::string reply_name(std::string_view service, std::uint32_t lane) {
  return std::string(service) + ".reply." + std::to_string(lane);
}

Status create_service(const SegmentDirectory& directory, std::string_view name,
                      const RpcShape& shape, const SegmentOptions& options) noexcept {
  const LinkShape lanes = lane_set_shape(shape.caller_count, shape.request_bytes);
  if (Status valid = validate_shape(lanes); !valid) return valid;
  LinkShape reply;
  reply.kind = SegmentKind::kRecordLink;
  reply.capacity_bytes = shape.reply_bytes;
  const auto make = [&](const std::string& link, const LinkShape& link_shape) -> Status {
    const Status made = create_link(directory, link, link_shape, options);
    if (!made && made.error().code == ErrorCode::kExists) return {};
    return made;
  };
  for (std::uint32_t lane = 0; lane < shape.caller_count; ++lane) {
    if (Status made = make(reply_name(name, lane), reply); !made) return made;
  }
  const LinkShape cancel = lane_set_shape(shape.caller_count, kCancelBytes);
  if (Status made = make(cancel_name(name), cancel); !made) return made;
  return create_link(directory, name, lanes, options);
}

}  // namespace slipring
