#include "core/ring/message_copy.h"

#include <doctest/doctest.h>

#include "tests/core/ring/ring_memory.h"

namespace slipring {
namespace {

TEST_CASE("message_copy: every size copies all of its bytes and none beside them") {
  int copy_count = 0;
  for (std::size_t size = 0; size <= 300; ++size) {
    for (std::size_t shift = 0; shift < 9; ++shift) {
      CAPTURE(size);
      CAPTURE(shift);
      const ExactBytes from(shift + size + (size + shift == 0 ? 1U : 0U));
      const ExactBytes to(shift + size + 2);
      write_pattern({from.data() + shift, size}, size);
      copy_message(to.data() + shift, from.data() + shift, size);
      REQUIRE(has_pattern({to.data() + shift, size}, size));
      for (std::size_t i = 0; i < shift; ++i) REQUIRE(to.data()[i] == std::byte{0});
      REQUIRE(to.data()[shift + size] == std::byte{0});
      REQUIRE(to.data()[shift + size + 1] == std::byte{0});
      ++copy_count;
    }
  }
  MESSAGE("copies: ", copy_count);
  CHECK(copy_count == 301 * 9);
}

TEST_CASE("message_copy: an empty message may have no bytes at all") {
  copy_message(nullptr, nullptr, 0);
  CHECK(true);
}

}  // namespace
}  // namespace slipring
