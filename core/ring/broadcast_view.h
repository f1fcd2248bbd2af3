// What a broadcast reader is told: its answers, where it may begin, and a message in place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace slipring {

// The answers of a broadcast reader.
enum class [[nodiscard]] Reception : std::uint8_t{
    kDone,
    kBlocked,      // nothing new
    kEvicted,      // the writer waits for us no longer: join() again, which counts what is lost
    kCorruptPeer,  // the writer wrote what no correct one writes; the call changed nothing
};

// Where a reader begins.
enum class BroadcastJoin : std::uint8_t {
  kNewest,  // at the next message to be published
  kOldest,  // at the oldest that is still there
};

// A message in place.
struct BroadcastView {
  std::span<const std::byte> message;
  std::uint64_t position = 0;
  std::uint64_t lost = 0;    // messages that we were owed between the one before and this one
  bool redelivered = false;  // a predecessor had taken it and not finished it
  bool aborted = false;      // the writer no longer wants it
  // The writer waits until it is released.  Otherwise it may be overwritten while it is looked at:
  // use copy_out(), or ask is_still_valid() after looking and before believing.
  bool is_stable = false;
};

}  // namespace slipring
