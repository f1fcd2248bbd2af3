#include "pipelines/link/guarded_subscription.h"

#include <array>

#include "pipelines/link/guard_asking.h"
#include "pipelines/link/guard_shape.h"
#include "pipelines/link/guarded_end.h"
#include "platform/memory/page_size.h"
#include "platform/memory/sealed_memory.h"
#include "platform/rendezvous/connection.h"
#include "platform/wait/clock.h"

namespace slipring {
namespace {

using guard_asking::kNonsense;

// The broker's answer, with what it leads to.
struct Granted {
  Connection connection;
  GuardGrant grant{};
  GuardShape shape;
  uid_t broker = 0;
  Packet packet;
};

Result<Granted> ask_broker(const SegmentDirectory& directory, std::string_view name) noexcept {
  const std::uint64_t deadline_ns = deadline_after(kGuardAnswerNs);
  Result<Connection> connection = Connection::connect(directory, name, deadline_ns);
  if (!connection) return connection.error();
  const uid_t broker = connection->peer().user;
  Granted granted{std::move(connection).value(), {}, {}, broker, {}};
  if (Status asked = guard_asking::ask(granted.connection, {kSubscriberRole, 0}, granted.grant,
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
  return granted;
}

Result<Mapping> map_writer(const Granted& granted, MemoryLock memory_lock) noexcept {
  return guard_asking::map_role(granted.packet.descriptors[1], granted.grant.owners[0],
                                granted.broker, granted.shape.parts.writer_bytes, memory_lock);
}

// Hands in the page in which we say that we sleep.  Answered, we may: the writer looks at it, or
// rings with every message.
Result<Mapping> hand_in_page(const Connection& connection, MemoryLock memory_lock) noexcept {
  Result<SealedMemory> memory = make_unsealed_memory(page_size_bytes(), memory_lock);
  if (!memory) return memory.error();
  if (Status sealed = seal_memory(*memory); !sealed) return sealed.error();
  const std::array<int, 1> descriptors = {memory->descriptor.get()};
  const GuardGeneration body{kSubscriberRole, 0};
  const Status sent =
      connection.send(guard_asking::number_of(GuardKind::kRegion), guard_bytes(body), descriptors);
  if (!sent) return sent.error();
  Packet packet;
  if (Status heard = guard_asking::hear(connection, packet, deadline_after(kGuardAnswerNs));
      !heard) {
    return heard.error();
  }
  if (packet.kind == guard_asking::number_of(GuardKind::kRefuse)) {
    return guard_asking::refusal_in(packet);
  }
  if (packet.kind != guard_asking::number_of(GuardKind::kAccepted)) return kNonsense;
  return std::move(memory->own);
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
  Result<Mapping> own = hand_in_page(granted->connection, memory_lock);
  if (!own) return own.error();
  Taken taken{nullptr, granted->shape.shape, granted->shape.parts, std::move(writer).value()};
  taken.subscription.reset(
      new GuardedSubscription(directory.path(), std::string(name), std::move(granted->connection),
                              std::move(page).value(), std::move(own).value(), memory_lock));
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
