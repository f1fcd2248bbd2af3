// Stacks of their own on one thread, to be left and entered at will.
//
// A fibre is started any number of times, also when its last body never ended: what stood on its
// stack is forgotten, not destroyed.  So a body keeps nothing on its stack that owns memory.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <functional>
#include <memory>

namespace slipring::model {

// Where a stack was left.
struct Mark {
  jmp_buf at;
};

class Fibre {
 public:
  Fibre();
  Fibre(const Fibre&) = delete;
  Fibre& operator=(const Fibre&) = delete;

  // The next enter() runs `body` from its beginning; `body` must not return.
  void start(std::function<void()> body);
  // Leaves the current stack, whose place is kept in `from`, for this one.
  void enter(Mark& from);
  // Where to keep the place when this fibre is left.
  [[nodiscard]] Mark& mark() { return left_at_; }

  // Leaves the current stack for good, for where `to` was left.
  [[noreturn]] static void leave_for(Mark& to);

 private:
  static void run();

  std::unique_ptr<char[]> stack_;
  std::function<void()> body_;
  ucontext_t context_{};
  Mark base_{};
  Mark left_at_{};
  bool is_fresh_ = true;
};

}  // namespace slipring::model
