// The array cut into volumes, one an export: consecutive ranges, in the order of their numbers.
//
// Nothing of it is written down: whoever starts the array says the sizes, as with a partition
// table that lies elsewhere.  The same list gives the same ranges; a volume may be added at the
// end.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace slipring::array {

struct Volume {
  std::uint64_t offset_bytes = 0;
  std::uint64_t size_bytes = 0;
};

// Sizes parted by commas, each in whole blocks of 4 KiB ("256MiB"); the last may be "rest", which
// comes out as 0.  Nothing, with `fault` saying what was wrong.
[[nodiscard]] std::optional<std::vector<std::uint64_t>> parse_volumes(std::string_view text,
                                                                      std::string& fault);

// Where they lie.  Nothing, with `fault`, when they do not fit, or nothing is left for the rest.
[[nodiscard]] std::optional<std::vector<Volume>> place_volumes(std::span<const std::uint64_t> sizes,
                                                               std::uint64_t array_bytes,
                                                               std::string& fault);

}  // namespace slipring::array
