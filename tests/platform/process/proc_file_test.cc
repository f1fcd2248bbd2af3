#include "platform/process/proc_file.h"

#include <doctest/doctest.h>

namespace slipring {
namespace {

TEST_CASE("proc_file: a field is found by its whole key") {
  constexpr std::string_view kText = "VmLck:\t  12 kB\nVm: 7\nVmLckX: 3\nLast:4";
  CHECK(proc_field(kText, "VmLck") == "12 kB");
  CHECK(proc_field(kText, "Vm") == "7");
  CHECK(proc_field(kText, "Last") == "4");
  CHECK_FALSE(proc_field(kText, "Lck").has_value());
  CHECK_FALSE(proc_field("", "Vm").has_value());
  CHECK_FALSE(proc_field("Vm", "Vm").has_value());
}

TEST_CASE("proc_file: numbers are read as far as they go") {
  CHECK(leading_number("  12 kB") == 12);
  CHECK(leading_number("00ff", 16) == 255);
  CHECK_FALSE(leading_number("max").has_value());
  CHECK_FALSE(leading_number("").has_value());
  CHECK_FALSE(leading_number("99999999999999999999999").has_value());
}

TEST_CASE("proc_file: the chosen word of a list is the one in brackets") {
  CHECK(bracketed_word("always [never] advise") == "never");
  CHECK(bracketed_word("always") == "");
  CHECK(bracketed_word("[broken") == "");
}

TEST_CASE("proc_file: a missing file is not found") {
  CHECK(read_proc_file("/proc/no/such").error().code == ErrorCode::kNotFound);
  CHECK(read_proc_file("/proc/self/status")->starts_with("Name:"));
}

}  // namespace
}  // namespace slipring
