// What a piece of code executes, instruction by instruction.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tests/crash/stepper/stepped_child.h"

namespace slipring::crash {

struct Trace {
  std::uint64_t instruction_count = 0;  // 0: the child could not be stepped
  std::uint64_t locked_count = 0;       // a lock prefix, or an exchange with memory
  std::uint64_t fence_count = 0;        // mfence, lfence, sfence
};

enum class InstructionKind { kOther, kLocked, kFence };

// The kind of the x86-64 instruction that begins here.
[[nodiscard]] inline InstructionKind kind_of(const std::uint8_t* code) {
  const auto is_prefix = [](std::uint8_t byte) {
    constexpr std::uint8_t kPrefixes[]{0x66, 0x67, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65};
    for (const std::uint8_t prefix : kPrefixes) {
      if (byte == prefix) return true;
    }
    return false;
  };
  while (is_prefix(*code)) ++code;
  if (*code == 0xf0) return InstructionKind::kLocked;
  if ((*code & 0xf0) == 0x40) ++code;  // REX
  const bool is_exchange = *code == 0x86 || *code == 0x87;
  if (is_exchange && code[1] >> 6 != 3) return InstructionKind::kLocked;
  const bool is_fence = code[0] == 0x0f && code[1] == 0xae && code[2] >= 0xe8;
  return is_fence ? InstructionKind::kFence : InstructionKind::kOther;
}

// Runs `body` in a child, whose effects are lost with it where memory is not shared, and calls
// `look` before each of its instructions.  Requires: no other thread runs.
template <typename Body, typename Look>
[[nodiscard]] Trace trace_of(Body body, Look look) {
  Trace trace;
  for (SteppedChild child(body); child.is_inside(); child.advance()) {
    const InstructionKind kind = kind_of(child.next_instruction());
    ++trace.instruction_count;
    if (kind == InstructionKind::kLocked) ++trace.locked_count;
    if (kind == InstructionKind::kFence) ++trace.fence_count;
    look();
  }
  return trace;
}
template <typename Body>
[[nodiscard]] Trace trace_of(Body body) {
  return trace_of(body, [] {});
}

// Runs `body` in a child that is held after `count` instructions while `meanwhile` is called, and
// then goes on to its end.  Whether it has so many, and ended well.
template <typename Body, typename Meanwhile>
[[nodiscard]] bool stop_after(std::uint64_t count, Body body, Meanwhile meanwhile) {
  SteppedChild child(body);
  for (std::uint64_t i = 0; i < count && child.is_inside(); ++i) child.advance();
  if (!child.is_inside()) return false;
  meanwhile();
  return child.finish();
}

}  // namespace slipring::crash
