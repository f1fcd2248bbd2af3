// Memory that a measurement's processes share: one mapping, inherited by fork, page-faulted before
// the clock starts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

namespace slipring::bench {

class Arena {
 public:
  // Zeroed.  Ends the process when the machine has no memory.
  explicit Arena(std::size_t size_bytes);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // `alignment` is a power of two up to a page.  What is taken stays until the arena ends.
  [[nodiscard]] std::byte* take(std::size_t size_bytes, std::size_t alignment);

  // Never destroyed: the other process may still use it.
  template <typename T, typename... Arguments>
  [[nodiscard]] T& make(Arguments&&... arguments) {
    return *new (take(sizeof(T), alignof(T))) T(std::forward<Arguments>(arguments)...);
  }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_bytes_;
  std::size_t used_ = 0;
};

}  // namespace slipring::bench
