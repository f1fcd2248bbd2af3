#include "tests/model/fibre.h"

#include <cstddef>

namespace slipring::model {
namespace {

constexpr std::size_t kStackBytes = std::size_t{128} << 10;

// The fibre that is being made; its stack takes it from here.
Fibre* made = nullptr;
ucontext_t maker;

}  // namespace

// A context is entered once, which costs two system calls; from then on stacks are changed by
// setjmp and longjmp, which cost none.
Fibre::Fibre() : stack_(new char[kStackBytes]) {
  getcontext(&context_);
  context_.uc_stack.ss_sp = stack_.get();
  context_.uc_stack.ss_size = kStackBytes;
  context_.uc_link = nullptr;
  makecontext(&context_, &Fibre::run, 0);
  made = this;
  swapcontext(&maker, &context_);
}

void Fibre::run() {
  Fibre* const fibre = made;
  if (_setjmp(fibre->base_.at) == 0) swapcontext(&fibre->context_, &maker);
  fibre->body_();
  __builtin_trap();  // bodies do not return
}

void Fibre::start(std::function<void()> body) {
  body_ = std::move(body);
  is_fresh_ = true;
}

void Fibre::enter(Mark& from) {
  if (_setjmp(from.at) != 0) return;
  Mark& to = is_fresh_ ? base_ : left_at_;
  is_fresh_ = false;
  leave_for(to);
}

void Fibre::leave_for(Mark& to) {
  _longjmp(to.at, 1);
}

}  // namespace slipring::model
