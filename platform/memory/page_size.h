// The sizes in which memory comes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/error/result.h"

namespace slipring {

// Of ordinary memory.
[[nodiscard]] std::size_t page_size_bytes() noexcept;

// Of the huge pages that the processor's tables map in one entry; 0 where the kernel has none.
[[nodiscard]] std::uint64_t huge_page_size_bytes() noexcept;

// In which a file's ranges are mapped: that of the pool on hugetlbfs, page_size_bytes() otherwise.
// Errors: kSystem.
Result<std::uint64_t> file_page_size_bytes(int fd) noexcept;

}  // namespace slipring
