#include "pipelines/adapter/guarded_service.h"

#include <errno.h>
#include <sys/epoll.h>

#include <algorithm>
#include <string>
#include <utility>

#include "pipelines/link/lane_reader.h"

namespace slipring {

Status GuardedService::add(const SegmentDirectory& directory, std::string_view name,
                           const LinkShape& shape, const GuardOptions& options) noexcept {
  Result<GuardedBroker> broker = GuardedBroker::create(directory, name, shape, options);
  if (!broker) return broker.error();
  epoll_event wanted{};
  wanted.events = EPOLLIN;
  if (epoll_ctl(watch_.get(), EPOLL_CTL_ADD, broker->poll_fd(), &wanted) != 0) {
    return Error{ErrorCode::kSystem, errno, "watch a service's links"};
  }
  brokers_.push_back(std::move(broker).value());
  return {};
}

Result<GuardedService> GuardedService::create(const SegmentDirectory& directory,
                                              std::string_view name,
                                              const GuardedServiceOptions& options) noexcept {
  GuardedService service;
  service.watch_ = Descriptor(epoll_create1(EPOLL_CLOEXEC));
  if (!service.watch_.is_open()) {
    return Error{ErrorCode::kSystem, errno, "watch a service's links"};
  }
  GuardOptions requests;
  requests.writer = options.caller;
  requests.reader = options.server;
  requests.lanes_per_process = options.lanes_per_process;
  requests.lanes_per_user = options.lanes_per_user;
  requests.rendezvous = options.rendezvous;
  GuardOptions replies;
  replies.writer = options.server;
  replies.reader = options.caller;
  replies.rendezvous = options.rendezvous;
  const RpcShape& shape = options.shape;
  const LinkShape lanes = lane_set_shape(shape.caller_count, shape.request_bytes);
  if (Status valid = validate_shape(lanes); !valid) return valid.error();
  LinkShape reply;
  reply.kind = SegmentKind::kRecordLink;
  reply.capacity_bytes = shape.reply_bytes;
  service.brokers_.reserve(shape.caller_count + 2);
  for (std::uint32_t lane = 0; lane < shape.caller_count; ++lane) {
    if (Status made = service.add(directory, reply_name(name, lane), reply, replies); !made) {
      return made.error();
    }
  }
  const LinkShape cancel = lane_set_shape(shape.caller_count, kCancelBytes);
  if (Status made = service.add(directory, cancel_name(name), cancel, requests); !made) {
    return made.error();
  }
  // Last: who finds the requests finds all.
  if (Status made = service.add(directory, name, lanes, requests); !made) return made.error();
  return service;
}

std::uint64_t GuardedService::next_deadline_ns() const noexcept {
  std::uint64_t earliest_ns = UINT64_MAX;
  for (const GuardedBroker& broker : brokers_) {
    earliest_ns = std::min(earliest_ns, broker.next_deadline_ns());
  }
  return earliest_ns;
}

void GuardedService::turn() noexcept {
  for (GuardedBroker& broker : brokers_) broker.turn();
}

}  // namespace slipring
