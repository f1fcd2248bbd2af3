// What the ends of a guarded link and its broker say to each other, and the broker's page.
//
// Specified in pipelines/link/GUARD.md, byte by byte; change both or neither.  Each body is one of
// the structs below, whole; all of it is input to its receiver.
//
// Ordering.  guard.A -> guard.B  news: who sees the count has the packet in its connection.
//            guard.C -> guard.D  given_up: who sees it sees where the next writer begins.
//            guard.E -> guard.F  must_ring: a writer that sees it cleared looks at every page.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>

#include "core/cpu/cache_line.h"
#include "core/segment/segment_layout.h"
#include "pipelines/link/control_page.h"
#include "pipelines/link/lane_attachments.h"
#include "platform/memory/sealed_memory.h"

namespace slipring {

enum class GuardKind : std::uint16_t {
  kAsk = 1,       // end: I want this role
  kGrant = 2,     // broker: it is yours; here is what there is
  kRefuse = 3,    // broker: it is not, and why
  kRegion = 4,    // end: here is my memory
  kAccepted = 5,  // broker: it is the role's memory now
  kNews = 6,      // broker: the other role has new memory
  kGot = 7,       // end: I have taken the news
  kBye = 8,       // end: I have stored for the last time
  kAbort = 9,     // commander: what is queued now is to be dropped
  kAborted = 10,  // broker: the reader has been told
};

// What a role of 0 asks for: to look, and to write nothing.
inline constexpr std::uint32_t kObserverRole = static_cast<std::uint32_t>(Role::kCreator);

// To read a broadcast link's messages.  Place n of a subscriber is called role 16 + n.
inline constexpr std::uint32_t kSubscriberRole = 16;
inline constexpr std::uint32_t kSubscriberPlaces = 32;

// A writer takes whichever lane the broker gives it, on a set or not.
inline constexpr std::uint32_t kAnyLane = UINT32_MAX;

struct GuardAsk {
  std::uint32_t role;
  std::uint32_t lane;  // 0 where there are no lanes; a writer's may be kAnyLane
};

// Whose memory it is, as the broker has it from the kernel.
struct GuardOwner {
  std::uint32_t user;
  std::uint32_t group;
  std::uint32_t process_id;  // as the broker's PID namespace has it; 0: not visible there
  std::uint32_t generation;  // 0: nobody's yet, all zeros
};

struct GuardGrant {
  std::uint32_t kind;  // a SegmentKind
  std::uint32_t page_bytes;
  std::uint64_t capacity_bytes;
  std::uint64_t slot_count;
  std::uint32_t slot_bytes;
  std::uint32_t pool_buffer_count;
  std::uint64_t pool_buffer_bytes;
  std::uint64_t credit_count;
  std::uint64_t created_ns;
  std::uint32_t role;
  std::uint32_t news_count;  // told to this role so far
  GuardOwner owners[2];      // of the writer's memory, and of the reader's
  std::uint32_t next_generation;
  std::uint32_t descriptor_count;
  std::uint32_t lane_count;  // 0: a link of one writer
  std::uint32_t lane;
};

struct GuardRefuse {
  std::uint32_t code;  // an ErrorCode
  std::int32_t os_errno;
  std::uint64_t found;
  std::uint64_t wanted;
};

struct GuardGeneration {
  std::uint32_t role;
  std::uint32_t generation;
};

struct GuardNews {
  std::uint32_t role;  // whose memory it is
  std::uint32_t reserved;
  GuardOwner owner;
};

static_assert(sizeof(GuardAsk) == 8);
static_assert(sizeof(GuardOwner) == 16);
static_assert(sizeof(GuardGrant) == 112);
static_assert(sizeof(GuardRefuse) == 24);
static_assert(sizeof(GuardGeneration) == 8);
static_assert(sizeof(GuardNews) == 24);

template <typename Body>
[[nodiscard]] std::span<const std::byte> guard_bytes(const Body& body) noexcept {
  static_assert(std::is_trivially_copyable_v<Body>);
  return std::as_bytes(std::span<const Body, 1>(&body, 1));
}

// Nothing when the bytes are not as many as the body has.
template <typename Body>
[[nodiscard]] std::optional<Body> guard_body(std::span<const std::byte> bytes) noexcept {
  if (bytes.size() != sizeof(Body)) return std::nullopt;
  Body body;
  std::memcpy(&body, bytes.data(), sizeof body);
  return body;
}

// Of so many writers of a lane everybody may see where they began.
inline constexpr std::size_t kGuardAttachments = 5;

// What everybody may see of a role.  Written by the broker alone.
struct GuardSeat {
  // Packets of news sent to the role's holder; a futex, slept on by it.
  alignas(kAbiLineBytes) std::atomic<std::uint32_t> news_count;
  std::atomic<std::uint32_t> never_registered;  // 0: the broker rings with a fence
  std::atomic<std::uint32_t> generation;        // of the role's memory
  std::atomic<std::uint32_t> is_held;           // by a living process
  std::atomic<std::uint32_t> process_id;        // of the last holder
  std::atomic<std::uint32_t> user;
  std::atomic<std::uint32_t> group;
  std::atomic<std::uint32_t> protection;          // a ProtectionLevel, of the role's memory
  std::atomic<std::uint32_t> must_ring;           // a broadcast link's writer: with every message
  LaneAttachment attachments[kGuardAttachments];  // a lane's writer, by generation: the last
};
static_assert(offsetof(GuardSeat, attachments) == 40);
static_assert(sizeof(GuardSeat) == kAbiLineBytes);

// One for each lane, side by side.
struct GuardPage {
  GuardSeat seats[2];   // the writer's, the reader's
  ControlPage control;  // the commander here is the broker
};
static_assert(offsetof(GuardPage, control) == 256);
static_assert(sizeof(GuardPage) == 512);

[[nodiscard]] constexpr std::size_t seat_of(Role role) noexcept {
  return role == Role::kWriter ? 0 : 1;
}
[[nodiscard]] constexpr Role other_role(Role role) noexcept {
  return role == Role::kWriter ? Role::kReader : Role::kWriter;
}

// What the broker shows of a role's memory; an impossible value protects nothing.
[[nodiscard]] inline ProtectionLevel shown_protection(const GuardSeat& seat) noexcept {
  // relaxed: shown to people.
  const std::uint32_t level = seat.protection.load(std::memory_order_relaxed);
  return level <= static_cast<std::uint32_t>(ProtectionLevel::kNone)
             ? static_cast<ProtectionLevel>(level)
             : ProtectionLevel::kNone;
}

// Who is at the other end of a link.
struct LinkPeer {
  bool is_known = false;  // false: nobody has held the role yet, or the link is a named one
  uid_t user = 0;
  gid_t group = 0;
  pid_t process_id = 0;  // 0: not visible to the broker
  std::uint32_t incarnation = 0;
  ProtectionLevel protection = ProtectionLevel::kNone;  // of its memory, from everybody else
};

}  // namespace slipring
