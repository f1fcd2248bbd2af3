// A link's control lane: the words in which somebody beside its two ends tells the reader to drop
// what is queued.  The reader looks at them before it looks at messages.  See CONTROL.md.
//
// Protocol.  A command names a position: all published before it is dropped, nothing behind it.
// Commands are counted; number n stands in commands[n % 2] and is there once `count` is n.  Whoever
// commands writes command n + 1 while the reader may still read command n, and command n + 2, in
// n's place, only after count was n + 1.  So a reader that finds `count` unchanged after reading
// has read a whole command.
// Of several commands only the newest counts: its position is the highest.
//
// Crash.  A commander killed before control.A leaves nothing visible; afterwards, a command that a
// sleeping reader finds when its sleep ends by its bound.  The next commander counts on.
//
// Ordering.  control.A -> control.B  count: who sees it sees the command.
//            control.C -> control.D  a command's words: who sees a later command's sees the count
//            before it, and so learns that what it read is not whole.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>

#include "core/cpu/cache_line.h"

namespace slipring {

struct ControlCommand {
  std::atomic<std::uint64_t> before;          // drop all that was published below this position
  std::atomic<std::uint64_t> message_number;  // modulo 2^32; messages before it, of a record link
  std::atomic<std::uint64_t> issued_ns;       // CLOCK_MONOTONIC
  std::atomic<std::uint64_t> process_id;      // of the commander, for people; never an identity
};

// Written by the commander's role alone; on a guarded link by the broker.
struct ControlPage {
  alignas(kAbiLineBytes) std::atomic<std::uint32_t> count;  // commands so far; a futex
  std::atomic<std::uint32_t> never_registered;  // 0: whoever commands rings with a fence
  alignas(kAbiLineBytes) ControlCommand commands[2];
};
static_assert(std::is_standard_layout_v<ControlPage>);
static_assert(offsetof(ControlPage, count) == 0);
static_assert(offsetof(ControlPage, commands) == 128);
static_assert(sizeof(ControlCommand) == 32);
static_assert(sizeof(ControlPage) == 256);

// Where a link's stream of messages was cut, as its writer's page shows it.
struct LinkBoundary {
  std::uint64_t position = 0;
  std::uint32_t message_number = 0;  // of a record link
};

struct AbortCommand {
  std::uint32_t count = 0;  // which one it is
  LinkBoundary boundary;
  std::uint64_t issued_ns = 0;
};

// The newest command.  One attempt: nothing when it was overtaken while it was read; the next look
// finds the later one.
[[nodiscard]] inline std::optional<AbortCommand> read_command(const ControlPage& page) noexcept {
  AbortCommand command;
  command.count = page.count.load(std::memory_order_acquire);  // control.B pairs with control.A
  const ControlCommand& words = page.commands[command.count % 2];
  command.boundary.position =
      words.before.load(std::memory_order_acquire);  // control.D pairs with control.C
  command.boundary.message_number = static_cast<std::uint32_t>(
      words.message_number.load(std::memory_order_acquire));  // control.D pairs with control.C
  command.issued_ns =
      words.issued_ns.load(std::memory_order_acquire);  // control.D pairs with control.C
  // control.B pairs with control.A
  if (page.count.load(std::memory_order_acquire) != command.count) return std::nullopt;
  return command;
}

// Adds a command and answers its number; whoever sleeps on `count` is the caller's to wake.
// Requires: the caller is the one commander.
inline std::uint32_t post_command(ControlPage& page, const LinkBoundary& boundary,
                                  std::uint64_t issued_ns, std::uint32_t process_id) noexcept {
  // relaxed: only commanders write it, and taking the role ordered us after the last one.
  const std::uint32_t count = page.count.load(std::memory_order_relaxed) + 1;
  ControlCommand& words = page.commands[count % 2];
  // control.C pairs with control.D
  words.before.store(boundary.position, std::memory_order_release);
  words.message_number.store(boundary.message_number,
                             std::memory_order_release);          // control.C pairs with control.D
  words.issued_ns.store(issued_ns, std::memory_order_release);    // control.C pairs with control.D
  words.process_id.store(process_id, std::memory_order_release);  // control.C pairs with control.D
  page.count.store(count, std::memory_order_release);             // control.A pairs with control.B
  return count;
}

}  // namespace slipring
