#include "pipelines/link/guarded_subscription.h"

#include "pipelines/link/guard_asking.h"
#include "pipelines/link/guard_shape.h"
#include "pipelines/link/guarded_end.h"
#include "platform/memory/sealed_memory.h"
#include "platform/rendezvous/connection.h"
#include "platform/wait/clock.h"

namespace slipring {
namespace {

using guard_asking::kNonsense;

// The broker's answer, with what it leads to.
struct Granted {
  GuardGrant grant{};
  GuardShape shape;
  uid_t broker = 0;
  Packet packet;
};

Result<Granted> ask_broker(const SegmentDirectory& directory, std::string_view name) noexcept {
  const std::uint64_t deadline_ns = deadline_after(kGuardAnswerNs);
  Result<Connection> connection = Connection::connect(directory, name, deadline_ns);
  if (!connection) return connection.error();
  Granted granted;
  if (Status asked = guard_asking::ask(*connection, {kSubscriberRole, 0}, granted.grant,
                                       granted.packet, deadline_ns);
      !asked) {
    return asked.error();
  }
  Result<GuardShape> shape = guard_shape_of(granted.grant);
  if (!shape) return shape.error();
  if (shape->shape.kind != SegmentKind::kBroadcastLink || !shape->is_solo ||
      granted.packet.descriptor_count != 2) {
    return kNonsense;
  }
  granted.shape = *shape;
  granted.broker = connection->peer().user;
  return granted;
}

Result<Mapping> map_writer(const Granted& granted, MemoryLock memory_lock) noexcept {
  return guard_asking::map_role(granted.packet.descriptors[1], granted.grant.owners[0],
                                granted.broker, granted.shape.parts.writer_bytes, memory_lock);
}

}  // namespace

Result<GuardedSubscription::Taken> GuardedSubscription::attach(const SegmentDirectory& directory,
                                                               std::string_view name,
                                                               MemoryLock memory_lock) noexcept {
  Result<Granted> granted = ask_broker(directory, name);
  if (!granted) return granted.error();
  Result<Mapping> page =
      guard_asking::map_page(granted->packet.descriptors[0], granted->shape.shape, granted->broker);
  if (!page) return page.error();
  Result<Mapping> writer = map_writer(*granted, memory_lock);
  if (!writer) return writer.error();
  Taken taken{nullptr, granted->shape.shape, granted->shape.parts, std::move(writer).value()};
  taken.subscription.reset(new GuardedSubscription(directory.path(), std::string(name),
                                                   std::move(page).value(), memory_lock));
  taken.subscription->news_seen_ = granted->grant.news_count;
  taken.subscription->sender_ =
      guard_asking::peer_of(granted->grant.owners[0], best_protection_level());
  return taken;
}

bool GuardedSubscription::take_news(Mapping& writer) noexcept {
  if (!has_news()) return false;
  Result<SegmentDirectory> directory = SegmentDirectory::open_at(directory_path_);
  if (!directory) return false;
  Result<Granted> granted = ask_broker(*directory, name_);
  if (!granted) return false;
  // A link that was made anew under the name is another one.
  if (granted->shape.parts.writer_bytes != writer.size_bytes()) return false;
  Result<Mapping> newer =
      map_writer(*granted, memory_lock_ == MemoryLock::kOff ? MemoryLock::kOff : MemoryLock::kTry);
  if (!newer || !writer.show_instead(*newer)) return false;
  news_seen_ = granted->grant.news_count;
  sender_ = guard_asking::peer_of(granted->grant.owners[0], best_protection_level());
  return true;
}

}  // namespace slipring
