#include "tools/create/guarded_set.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>

#include "pipelines/link/guarded_broker.h"
#include "platform/wait/clock.h"
#include "tools/cli/json.h"
#include "tools/cli/stop_flag.h"
#include "tools/cli/terminal.h"

namespace slipring::tools {
namespace {

constexpr std::string_view kCommand = "create";
// A signal ends a poll; one that came just before it waits for so long.
constexpr int kStopLookMs = 200;

GuardOptions options_of(const LinkShape& shape, const SegmentOptions& segment) {
  GuardOptions options;
  options.lanes_per_process = 1;
  options.rendezvous.mode = (segment.mode & 0060U) != 0 ? 0660 : 0600;
  options.rendezvous.group = segment.group;
  if (options.rendezvous.mode != 0660) return options;
  // Whoever the socket lets in may send to a mailbox, and read what is broadcast; the one at the
  // other end is our own user.
  if (shape.kind == SegmentKind::kBroadcastLink) {
    options.reader = GuardAccess{};
  } else {
    options.writer = GuardAccess{};
  }
  return options;
}

void announce(const GuardedBroker& broker, bool json_wanted) {
  if (!json_wanted) {
    const LinkShape& shape = broker.shape();
    const std::string parts = is_lane_set(shape) ? std::to_string(shape.lane_count) + " lanes"
                                                 : std::to_string(shape.slot_count) + " slots";
    remark(kCommand, broker.name() + " is there, with " + parts + ", as long as this command runs");
    return;
  }
  JsonWriter json;
  json.begin_document();
  json.member("name", broker.name());
  json.member("kind", slipring::name_of(segment_kind(broker.shape())));
  json.member("guarded", true);
  if (is_lane_set(broker.shape())) {
    json.member("lane_count", broker.shape().lane_count);
    json.member("capacity_bytes", broker.shape().capacity_bytes);
    json.member("credit_count", broker.shape().credit_count);
  } else {
    json.member("slot_count", broker.shape().slot_count);
    json.member("slot_bytes", broker.shape().slot_bytes);
  }
  json.member("total_bytes", broker.total_bytes());
  json.member("pid", static_cast<std::int64_t>(getpid()));
  print(json.end_document());
}

}  // namespace

ExitStatus serve_guarded(const SegmentDirectory& directory, const CreateRequest& request,
                         const LinkShape& shape, const SegmentOptions& options) {
  const std::atomic<bool>& stop = heed_stop_signals();
  Result<GuardedBroker> broker =
      GuardedBroker::create(directory, request.name, shape, options_of(shape, options));
  if (!broker) return complain(kCommand, "cannot guard " + request.name, broker.error());
  announce(*broker, request.json);
  // relaxed: nothing else is published with it.
  while (!stop.load(std::memory_order_relaxed)) {
    pollfd ready{broker->poll_fd(), POLLIN, 0};
    const std::uint64_t deadline_ns = broker->next_deadline_ns();
    const std::uint64_t now_ns = monotonic_ns();
    const std::uint64_t left_ms = deadline_ns > now_ns ? (deadline_ns - now_ns) / 1'000'000 : 0;
    const auto wait_ms = static_cast<int>(std::min<std::uint64_t>(left_ms, kStopLookMs));
    // A failure of poll() is a turn too many.
    static_cast<void>(::poll(&ready, 1, wait_ms));
    broker->turn();
  }
  return ExitStatus::kOk;
}

}  // namespace slipring::tools
