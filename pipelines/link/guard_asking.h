// How whoever comes to a guarded link asks its broker, and looks at what it is given.
//
// Specified in pipelines/link/GUARD.md.  All that comes is input.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "core/error/result.h"
#include "pipelines/link/guard_protocol.h"
#include "pipelines/link/link_layout.h"
#include "platform/memory/mapping.h"
#include "platform/rendezvous/connection.h"

namespace slipring::guard_asking {

inline constexpr Error kNonsense{ErrorCode::kCorruptPeer, 0,
                                 "the link's broker said what makes no sense"};

[[nodiscard]] inline std::uint16_t number_of(GuardKind kind) noexcept {
  return static_cast<std::uint16_t>(kind);
}

[[nodiscard]] inline LinkPeer peer_of(const GuardOwner& owner,
                                      ProtectionLevel protection) noexcept {
  return {owner.generation != 0, owner.user, owner.group, static_cast<pid_t>(owner.process_id),
          owner.generation,      protection};
}

// Waits for the broker's next packet.  Errors: kClosed, kBusy (it does not answer), as
// Connection::receive().
Status hear(const Connection& connection, Packet& packet, std::uint64_t deadline_ns) noexcept;

// What a refusal says.
[[nodiscard]] Error refusal_in(const Packet& packet) noexcept;

// Asks, and hears the answer.  Errors: as hear(), and what the broker refuses.
Status ask(const Connection& connection, const GuardAsk& body, GuardGrant& grant, Packet& packet,
           std::uint64_t deadline_ns) noexcept;

// Maps memory that the broker handed on, from whoever the broker says; zeros are the broker's own.
// Errors: as verify_memory() and map_verified().
Result<Mapping> map_role(const Descriptor& memory, const GuardOwner& owner, uid_t broker,
                         std::uint64_t size_bytes, MemoryLock memory_lock) noexcept;
// The page that says who holds which role, and whose memory it is.  Errors: as map_role().
Result<Mapping> map_page(const Descriptor& memory, const LinkShape& shape, uid_t broker) noexcept;

}  // namespace slipring::guard_asking
