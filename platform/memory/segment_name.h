// The names inside a segment directory: which lock file belongs to which data file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace slipring {

// ".NAME.<inode of the data file>.lock"
[[nodiscard]] std::string lock_file_name(std::string_view name, std::uint64_t data_inode);

// The data file's inode number if `file_name` is a lock file of the segment `name`.
[[nodiscard]] std::optional<std::uint64_t> data_inode_of_lock(std::string_view file_name,
                                                              std::string_view name) noexcept;

// The segment that a file of a lock file's form is named for; empty for any other file.
[[nodiscard]] std::string_view segment_of_lock(std::string_view file_name) noexcept;

// Every name in the directory, in the kernel's order; nothing and errno set if it cannot be read.
[[nodiscard]] std::optional<std::vector<std::string>> read_directory_names(
    int directory_fd) noexcept;

}  // namespace slipring
