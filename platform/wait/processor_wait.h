// Bounded waiting for one word to change, by the best means of this processor.
//
// UMWAIT, MWAITX or WFE (core/cpu/line_wait.h) where the processor offers it *and* it was seen to
// wait: virtual machines hide the instruction, or let it pass as a no-op that costs an exit.
// Everywhere else a loop of pauses.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/cpu/line_wait.h"

namespace slipring {

// What this machine waits with; kNone means pauses.  Asked and tried once a process, in about
// 0.1 ms.  Any thread.
[[nodiscard]] LineWait usable_line_wait() noexcept;

// What the processor claims, untried.
[[nodiscard]] LineWait offered_line_wait() noexcept;

// "umwait", "mwaitx", "wfe", "wfet"; "pause" for kNone.
[[nodiscard]] const char* name_of(LineWait kind) noexcept;

// Returns true once `word` differs from `old`, false when `max_ns` have passed (0: looks once).  A
// kernel's event stream may stretch that by about 0.1 ms on AArch64 before FEAT_WFxT.  Sleeps
// never: the thread keeps its processor.  Any thread; the word may be mapped read-only.
// Memory ordering: none promised; load the word again with acquire.
bool processor_wait(const std::atomic<std::uint32_t>& word, std::uint32_t old,
                    std::uint64_t max_ns) noexcept;
bool processor_wait(const std::atomic<std::uint64_t>& word, std::uint64_t old,
                    std::uint64_t max_ns) noexcept;

}  // namespace slipring
