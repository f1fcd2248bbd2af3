#include "pipelines/link/guard_asking.h"

#include <errno.h>

#include "pipelines/link/guard_shape.h"
#include "platform/memory/sealed_memory.h"

namespace slipring::guard_asking {
namespace {

constexpr Error kBrokerGone{ErrorCode::kClosed, 0, "the link's broker went away"};

}  // namespace

Status hear(const Connection& connection, Packet& packet, std::uint64_t deadline_ns) noexcept {
  for (;;) {
    Result<Arrival> got = connection.receive(packet);
    if (!got) return got.error();
    if (*got == Arrival::kClosed) return kBrokerGone;
    if (*got == Arrival::kPacket) return {};
    Result<bool> readable = connection.wait(deadline_ns);
    if (!readable) return readable.error();
    if (!*readable) {
      return Error{ErrorCode::kBusy, 0, "wait for the link's broker, which does not answer",
                   static_cast<std::uint64_t>(connection.peer().process.pid()), 0};
    }
  }
}

Error refusal_in(const Packet& packet) noexcept {
  const auto refuse = guard_body<GuardRefuse>(packet.bytes());
  if (!refuse || refuse->code > static_cast<std::uint32_t>(ErrorCode::kSystem)) return kNonsense;
  Error error{static_cast<ErrorCode>(refuse->code), refuse->os_errno,
              "ask the link's broker for a role", refuse->found, refuse->wanted};
  if (error.os_errno == EDQUOT) {
    error.doing = "take one more lane than the set's broker allows";
  } else if (error.code == ErrorCode::kNoSpace) {
    error.doing = "take a lane while the free ones hold unread messages";
  } else if (error.code == ErrorCode::kBusy && error.wanted != 0) {
    error.doing = "take a lane while living writers hold them all";
  }
  return error;
}

Status ask(const Connection& connection, const GuardAsk& body, GuardGrant& grant, Packet& packet,
           std::uint64_t deadline_ns) noexcept {
  if (Status sent = connection.send(number_of(GuardKind::kAsk), guard_bytes(body)); !sent) {
    return sent;
  }
  if (Status heard = hear(connection, packet, deadline_ns); !heard) return heard;
  if (packet.kind == number_of(GuardKind::kRefuse)) return refusal_in(packet);
  const auto granted = guard_body<GuardGrant>(packet.bytes());
  if (packet.kind != number_of(GuardKind::kGrant) || !granted || granted->role != body.role ||
      (body.lane != kAnyLane && granted->lane != body.lane) ||
      granted->descriptor_count != packet.descriptor_count) {
    return kNonsense;
  }
  grant = *granted;
  return {};
}

Result<Mapping> map_role(const Descriptor& memory, const GuardOwner& owner, uid_t broker,
                         std::uint64_t size_bytes, MemoryLock memory_lock) noexcept {
  const uid_t user = owner.generation == 0 ? broker : owner.user;
  Result<MemoryFacts> facts = verify_memory(memory.get(), user, size_bytes);
  if (!facts) return facts.error();
  // Zeros are looked at until somebody comes, and are not worth their memory.
  if (owner.generation == 0) {
    return map_verified(memory.get(), size_bytes, MemoryLock::kOff, false);
  }
  return map_verified(memory.get(), size_bytes, memory_lock);
}

Result<Mapping> map_page(const Descriptor& memory, const LinkShape& shape, uid_t broker) noexcept {
  Result<MemoryFacts> facts = verify_memory(memory.get(), broker, guard_page_bytes(shape));
  if (!facts) return facts.error();
  return map_verified(memory.get(), guard_page_bytes(shape), MemoryLock::kTry);
}

}  // namespace slipring::guard_asking
