// Tells the processor that the caller polls.
#pragma once

namespace slipring {

// One unit of polite spinning.  Costs from a few to some hundred cycles; orders nothing.
inline void relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#elif defined(__arm__)
  asm volatile("yield" ::: "memory");
#elif defined(__riscv)
  asm volatile(".insn i 0x0f, 0, x0, x0, 0x010" ::: "memory");  // pause, a hint where absent
#else
  asm volatile("" ::: "memory");
#endif
}

}  // namespace slipring
