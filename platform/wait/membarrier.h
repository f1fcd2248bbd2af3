// A full memory barrier in every running thread of every process that has registered.
//
// It moves the price of a store-load fence from the side that runs often to the side that is about
// to sleep: about a microsecond, and an interrupt on each processor that runs a registered process
// (which disturbs isolated real-time processors).  Linux 4.16.
#pragma once

namespace slipring {

// Does the kernel know it?  Asked once.
[[nodiscard]] bool membarrier_is_available() noexcept;

// Makes this process one of those that receive the barrier; idempotent, lasts until exec.  Returns
// false where it is unavailable or a filter forbids it.
bool membarrier_register() noexcept;

// Returns once every thread of every registered process has passed a full barrier.  The caller need
// not be registered, and does its own fence.  Returns false where it is unavailable.
bool membarrier_all_registered() noexcept;

}  // namespace slipring
