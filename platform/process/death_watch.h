// A word that changes, and wakes who sleeps on it, when another process has ended: a pidfd for
// those who sleep on futexes.
//
// Protocol.  A thread sleeps in poll() on the process's pidfd, which the kernel makes readable
// after the process's locks have been dropped.  It then stores `died`, counts the bell up and
// wakes; that is all it ever does.  Whoever has slept on a ring's bells sleeps on this one as well,
// and is told of a death when it happens; who certifies it is not this object's affair
// (certificate.h).
//
// Ordering.  death.A -> death.B  died: who sees it may ask for the process's locks and finds them
// free.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "core/error/result.h"
#include "platform/process/peer.h"
#include "platform/wait/doorbell.h"

namespace slipring {

// Move-only; its words stay where they are.  One thread sleeps on it.
class DeathWatch {
 public:
  // Errors: kSystem (no thread, no descriptor).
  static Result<DeathWatch> start(Peer process) noexcept;

  DeathWatch(DeathWatch&&) noexcept;
  DeathWatch& operator=(DeathWatch&&) = delete;
  DeathWatch(const DeathWatch&) = delete;
  // Ends the thread.
  ~DeathWatch();

  [[nodiscard]] bool has_died() const noexcept {
    return words_->died.load(std::memory_order_acquire) != 0;  // death.B pairs with death.A
  }
  [[nodiscard]] pid_t pid() const noexcept;
  [[nodiscard]] WaitPoint death_point() noexcept {
    return {&words_->bell, &words_->never_registered, &words_->armed};
  }

 private:
  struct Words {
    std::atomic<std::uint32_t> bell{0};
    std::atomic<std::uint32_t> never_registered{0};  // the bell rings always
    std::atomic<std::uint32_t> armed{0};
    std::atomic<std::uint32_t> died{0};
  };
  struct Watcher;

  DeathWatch() noexcept;

  std::unique_ptr<Words> words_;
  std::unique_ptr<Watcher> watcher_;
};

}  // namespace slipring
