// Reading the kernel's small text files, /proc and /sys.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/error/result.h"

namespace slipring {

inline constexpr std::size_t kProcFileSizeMax = 64 * 1024;

// The first kProcFileSizeMax bytes of the file, read in one go so that they belong together.
// Errors: kNotFound, kPermission, kSystem.
Result<std::string> read_proc_file(const char* path) noexcept;

// The text after "`key`:" in a file of "key: value" lines such as /proc/self/status; without the
// surrounding white space.
[[nodiscard]] std::optional<std::string_view> proc_field(std::string_view text,
                                                         std::string_view key) noexcept;

// The number at the beginning of `text`, after white space; nothing if there is none, or if it does
// not fit.
[[nodiscard]] std::optional<std::uint64_t> leading_number(std::string_view text,
                                                          int base = 10) noexcept;

// The word in brackets, as in "always [never] advise"; empty if there is none.
[[nodiscard]] std::string_view bracketed_word(std::string_view text) noexcept;

}  // namespace slipring
