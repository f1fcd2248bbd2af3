// Failures of system calls that an operation may survive without a word, each with the reason; and
// errors that it may answer in another errno's name.
#pragma once

#include <span>
#include <string_view>

#include "core/error/error.h"

namespace slipring::faults {

struct Allowance {
  std::string_view scenario;  // a prefix of its name; empty: every one
  std::string_view call;      // as the table names it
  int os_errno;               // 0: every one
  std::string_view reason;
  std::string_view may_leave = {};  // and may leave that, as Holdings says it
};
[[nodiscard]] std::span<const Allowance> allowances();

// An errno of the system that is answered as another code or number, on purpose.
struct Translation {
  std::string_view call;
  int os_errno;
  ErrorCode code;
  std::string_view reason;
};
[[nodiscard]] std::span<const Translation> translations();

// The codes that say what this errno says.
[[nodiscard]] bool is_fitting(ErrorCode code, int os_errno);

}  // namespace slipring::faults
