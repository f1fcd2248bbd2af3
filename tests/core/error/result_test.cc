#include "core/error/result.h"

#include <doctest/doctest.h>

#include <cstring>
#include <utility>

#include "core/error/check.h"
#include "core/error/error.h"
#include "tests/core/error/dies.h"

namespace slipring {
namespace {

// Counts its lives, so that a Result that forgets to end one, or ends one twice, is seen.
class Counted {
 public:
  explicit Counted(int& alive) : alive_(&alive) { ++*alive_; }
  Counted(Counted&& other) noexcept : alive_(other.alive_) { ++*alive_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  Counted& operator=(Counted&&) = delete;
  ~Counted() { --*alive_; }

 private:
  int* alive_;
};

Result<int> half(int number) {
  if (number % 2 != 0) {
    return Error{ErrorCode::kInvalidArgument, 0, "odd", static_cast<std::uint64_t>(number), 2};
  }
  return number / 2;
}

TEST_CASE("result: holds the value or the error, and says which") {
  Result<int> good = half(8);
  CHECK(good.ok());
  CHECK(static_cast<bool>(good));
  CHECK(good.value() == 4);
  CHECK(*good == 4);

  Result<int> bad = half(7);
  CHECK_FALSE(bad.ok());
  CHECK(bad.error().code == ErrorCode::kInvalidArgument);
  CHECK(bad.error().found == 7);
  CHECK(std::strcmp(bad.error().doing, "odd") == 0);
}

TEST_CASE("result: every value is destroyed exactly once") {
  int alive = 0;
  {
    Result<Counted> first{Counted(alive)};
    CHECK(alive == 1);
    Result<Counted> second(std::move(first));
    CHECK(alive == 2);
    Counted taken = std::move(second).value();
    CHECK(alive == 3);
    Result<Counted> failed(Error{});
    Result<Counted> failed_too(std::move(failed));
    CHECK_FALSE(failed_too.ok());
    CHECK(alive == 3);
  }
  CHECK(alive == 0);
}

TEST_CASE("result: asking for what is not there stops the process") {
  CHECK(dies([] { static_cast<void>(half(7).value()); }));
  CHECK(dies([] {
    Result<int> bad = half(7);
    static_cast<void>(*bad);
  }));
  CHECK(dies([] { static_cast<void>(half(8).error()); }));
  CHECK(dies([] { static_cast<void>(Status().error()); }));
  CHECK_FALSE(dies([] { static_cast<void>(half(8).value()); }));
}

TEST_CASE("status: is success unless given an error") {
  CHECK(Status().ok());
  const Status failed = Error{ErrorCode::kBusy, 11, "taking a role", 42, 0};
  CHECK_FALSE(failed.ok());
  CHECK(failed.error().code == ErrorCode::kBusy);
  CHECK(failed.error().os_errno == 11);
  CHECK(failed.error().found == 42);
}

TEST_CASE("error: every code has a name of its own") {
  constexpr int kCodeCount = static_cast<int>(ErrorCode::kSystem) + 1;
  for (int i = 0; i < kCodeCount; ++i) {
    const char* name = name_of(static_cast<ErrorCode>(i));
    CHECK(std::strcmp(name, "unknown error") != 0);
    for (int j = 0; j < i; ++j) CHECK(std::strcmp(name, name_of(static_cast<ErrorCode>(j))) != 0);
  }
  CHECK(std::strcmp(name_of(static_cast<ErrorCode>(kCodeCount)), "unknown error") == 0);
}

TEST_CASE("check: tells the handler why, and stops") {
  CHECK(dies([] { check(false, "planted"); }));
  CHECK_FALSE(dies([] { check(true, "planted"); }));
  // The child ends with 3 before the trap only if the handler got the words.
  const pid_t child = fork();
  if (child == 0) {
    check_failed_handler = [](const char* why, const char* file, int line) noexcept {
      const bool told = std::strcmp(why, "planted") == 0 &&
                        std::strstr(file, "result_test.cc") != nullptr && line > 0;
      _exit(told ? 3 : 4);
    };
    check(false, "planted");
    _exit(5);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 3);
}

}  // namespace
}  // namespace slipring
