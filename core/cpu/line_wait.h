// Waiting inside the processor until somebody stores to a line.
//
// Purpose.  UMWAIT, MWAITX and WFE stop the caller's pipeline until the watched line leaves its
// cache: no stream of loads, less power, and the other hardware thread has the core to itself.
//
// Protocol.  Watch the line, load the word, and only if it still holds `old` wait: a store between
// the load and the wait has already taken the line away, and the wait ends at once.  Every wait may
// also end for no reason (an interrupt, a neighbour on the line): the caller looks again.
//
// Crash.  Nothing is kept anywhere.
//
// Ordering.  None promised: the answer only says when to look again, with the look's own acquire.
#pragma once

#include <atomic>
#include <cstdint>

namespace slipring {

enum class LineWait : std::uint8_t {
  kNone,    // the processor has no such instruction, or user space may not use it
  kUmwait,  // x86 WAITPKG
  kMwaitx,  // AMD MONITORX
  kWfe,     // AArch64; the kernel's event stream, every 100 us or so, is what bounds it
  kWfet,    // AArch64 FEAT_WFxT: bounded by itself
};

// What the processor offers to user space.  `hwcap` and `hwcap2` are the kernel's AT_HWCAP and
// AT_HWCAP2, which AArch64 cannot tell without (bits: arch/arm64/include/uapi/asm/hwcap.h); x86
// asks CPUID, which hides what a hypervisor withholds.  A hypervisor may yet let the instruction
// pass without waiting: platform/wait/processor_wait.h tries it.
[[nodiscard]] inline LineWait line_wait_offered(unsigned long hwcap, unsigned long hwcap2) noexcept;

// Waits until somebody stores to the line of `word`, until about `tick_count` ticks of the
// processor's counter have passed (kWfe: one event), or for no reason; not at all if the word
// differs from `old`.  Requires: `kind` is offered here.  Any thread; needs read access only.
template <typename Word>
void wait_on_line(LineWait kind, const std::atomic<Word>& word, Word old,
                  std::uint32_t tick_count) noexcept;

// Implementation.

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

#if defined(__x86_64__) || defined(__i386__)

namespace line_wait_x86 {

struct CpuidWords {
  std::uint32_t eax, ebx, ecx, edx;
};

inline CpuidWords cpuid(std::uint32_t leaf) noexcept {
  CpuidWords words{};
  asm volatile("cpuid"
               : "=a"(words.eax), "=b"(words.ebx), "=c"(words.ecx), "=d"(words.edx)
               : "a"(leaf), "c"(0));
  return words;
}

// The opcodes stand as bytes: the flags of the build need not know the instructions.
inline void monitorx(const void* line) noexcept {
  asm volatile(".byte 0x0f, 0x01, 0xfa" ::"a"(line), "c"(0), "d"(0) : "memory");
}
inline void mwaitx(std::uint32_t tick_count) noexcept {
  constexpr std::uint32_t kStayInC0 = 0xf0;
  constexpr std::uint32_t kWithTimer = 2;
  asm volatile(".byte 0x0f, 0x01, 0xfb" ::"a"(kStayInC0), "b"(tick_count), "c"(kWithTimer)
               : "memory");
}
inline void umonitor(const void* line) noexcept {
  asm volatile(".byte 0xf3, 0x0f, 0xae, 0xf0" ::"a"(line) : "memory");
}
inline void umwait(std::uint32_t tick_count) noexcept {
  constexpr std::uint32_t kLighterState = 1;  // C0.1: out of it again in less time
  const std::uint64_t until = __builtin_ia32_rdtsc() + tick_count;
  asm volatile(".byte 0xf2, 0x0f, 0xae, 0xf1" ::"a"(static_cast<std::uint32_t>(until)),
               "d"(static_cast<std::uint32_t>(until >> 32)), "c"(kLighterState)
               : "memory", "cc");
}

}  // namespace line_wait_x86

inline LineWait line_wait_offered(unsigned long, unsigned long) noexcept {
  constexpr std::uint32_t kWaitpkgBit = 5;  // leaf 7, ecx
  constexpr std::uint32_t kMwaitxBit = 29;  // leaf 8000'0001, ecx
  constexpr std::uint32_t kExtended = 0x8000'0000;
  if (line_wait_x86::cpuid(0).eax >= 7 &&
      ((line_wait_x86::cpuid(7).ecx >> kWaitpkgBit) & 1u) != 0) {
    return LineWait::kUmwait;
  }
  if (line_wait_x86::cpuid(kExtended).eax > kExtended &&
      ((line_wait_x86::cpuid(kExtended + 1).ecx >> kMwaitxBit) & 1u) != 0) {
    return LineWait::kMwaitx;
  }
  return LineWait::kNone;
}

template <typename Word>
void wait_on_line(LineWait kind, const std::atomic<Word>& word, Word old,
                  std::uint32_t tick_count) noexcept {
  const bool is_umwait = kind == LineWait::kUmwait;
  if (is_umwait) {
    line_wait_x86::umonitor(&word);
  } else {
    line_wait_x86::monitorx(&word);
  }
  // relaxed: it decides only whether to wait.
  if (word.load(std::memory_order_relaxed) != old) return;
  if (is_umwait) {
    line_wait_x86::umwait(tick_count);
  } else {
    line_wait_x86::mwaitx(tick_count);
  }
}

#elif defined(__aarch64__)

inline LineWait line_wait_offered(unsigned long hwcap, unsigned long hwcap2) noexcept {
  constexpr unsigned long kEventStream = 1ul << 2;
  constexpr unsigned long kWfxt = 1ul << 31;
  if ((hwcap2 & kWfxt) != 0) return LineWait::kWfet;
  // Without the event stream nothing would end a WFE whose store never comes.
  return (hwcap & kEventStream) != 0 ? LineWait::kWfe : LineWait::kNone;
}

// One block of assembler: a store that the compiler put between the exclusive load and the wait
// would end the watch.  The first WFE takes an event that is left over, which SEVL makes sure of.
template <typename Word>
void wait_on_line(LineWait kind, const std::atomic<Word>& word, Word old,
                  std::uint32_t tick_count) noexcept {
  static_assert(sizeof(Word) == 4 || sizeof(Word) == 8);
  const void* address = &word;
  std::uint64_t seen = 0;
  const std::uint64_t expected = old;
  if (kind == LineWait::kWfet) {
    std::uint64_t now = 0;
    asm volatile("mrs %0, cntvct_el0" : "=r"(now));
    register std::uint64_t until asm("x9") = now + tick_count;
    if constexpr (sizeof(Word) == 8) {
      asm volatile("sevl\n\twfe\n\tldxr %0, [%1]\n\tcmp %0, %2\n\tb.ne 1f\n\t.inst 0xd5031009\n1:"
                   : "=&r"(seen)
                   : "r"(address), "r"(expected), "r"(until)
                   : "memory", "cc");
    } else {
      asm volatile(
          "sevl\n\twfe\n\tldxr %w0, [%1]\n\tcmp %w0, %w2\n\tb.ne 1f\n\t.inst 0xd5031009\n1:"
          : "=&r"(seen)
          : "r"(address), "r"(expected), "r"(until)
          : "memory", "cc");
    }
  } else if constexpr (sizeof(Word) == 8) {
    asm volatile("sevl\n\twfe\n\tldxr %0, [%1]\n\tcmp %0, %2\n\tb.ne 1f\n\twfe\n1:"
                 : "=&r"(seen)
                 : "r"(address), "r"(expected)
                 : "memory", "cc");
  } else {
    asm volatile("sevl\n\twfe\n\tldxr %w0, [%1]\n\tcmp %w0, %w2\n\tb.ne 1f\n\twfe\n1:"
                 : "=&r"(seen)
                 : "r"(address), "r"(expected)
                 : "memory", "cc");
  }
}

#else

inline LineWait line_wait_offered(unsigned long, unsigned long) noexcept {
  return LineWait::kNone;
}

template <typename Word>
void wait_on_line(LineWait, const std::atomic<Word>&, Word, std::uint32_t) noexcept {}

#endif

}  // namespace slipring
