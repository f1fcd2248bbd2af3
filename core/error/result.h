// A value or an Error, without exceptions and without allocation.
#pragma once

#include <new>
#include <type_traits>
#include <utility>

#include "core/error/check.h"
#include "core/error/error.h"

namespace slipring {

// Holds a T or an Error.  Asking for the one that is not there is a bug of the caller and stops the
// process.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) noexcept : ok_(true) { new (&value_) T(std::move(value)); }  // NOLINT: by design
  Result(Error error) noexcept : error_(error), ok_(false) {}                  // NOLINT: by design

  Result(Result&& other) noexcept : ok_(other.ok_) {
    if (ok_) {
      new (&value_) T(std::move(other.value_));
    } else {
      error_ = other.error_;
    }
  }
  Result(const Result&) = delete;
  Result& operator=(const Result&) = delete;
  Result& operator=(Result&&) = delete;
  ~Result() {
    if (ok_) value_.~T();
  }

  [[nodiscard]] bool ok() const noexcept { return ok_; }
  explicit operator bool() const noexcept { return ok_; }

  [[nodiscard]] T& value() & noexcept {
    check(ok_, "value() of a failed Result");
    return value_;
  }
  [[nodiscard]] const T& value() const& noexcept {
    check(ok_, "value() of a failed Result");
    return value_;
  }
  [[nodiscard]] T&& value() && noexcept {
    check(ok_, "value() of a failed Result");
    return std::move(value_);
  }
  [[nodiscard]] T* operator->() noexcept { return &value(); }
  [[nodiscard]] T& operator*() & noexcept { return value(); }
  [[nodiscard]] T&& operator*() && noexcept { return std::move(*this).value(); }
  [[nodiscard]] const Error& error() const noexcept {
    check(!ok_, "error() of a successful Result");
    return error_;
  }

 private:
  union {
    T value_;
    Error error_;
  };
  bool ok_;
};

// Success, or an Error.
class [[nodiscard]] Status {
 public:
  Status() noexcept = default;
  Status(Error error) noexcept : error_(error), ok_(false) {}  // NOLINT: by design

  [[nodiscard]] bool ok() const noexcept { return ok_; }
  explicit operator bool() const noexcept { return ok_; }
  [[nodiscard]] const Error& error() const noexcept {
    check(!ok_, "error() of a successful Status");
    return error_;
  }

 private:
  Error error_{};
  bool ok_ = true;
};

}  // namespace slipring
