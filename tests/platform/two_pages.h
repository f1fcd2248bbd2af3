// Two sides that wait for each other's numbers, each with a page of its own to write.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>

#include "platform/wait/doorbell.h"

namespace slipring {

struct SidePage {
  BellLine bells;
  ArmLine arms;
  alignas(kAbiLineBytes) std::atomic<std::uint64_t> published;
};

// Zeroed pages that forked children share; every side may map them writable.
template <std::size_t kCount>
class SharedPages {
 public:
  SharedPages() {
    void* address = ::mmap(nullptr, kCount * sizeof(SidePage), PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED) std::abort();
    pages_ = static_cast<SidePage*>(address);
  }
  SharedPages(const SharedPages&) = delete;
  SharedPages& operator=(const SharedPages&) = delete;
  ~SharedPages() { ::munmap(pages_, kCount * sizeof(SidePage)); }

  SidePage& operator[](std::size_t side) const { return pages_[side]; }

 private:
  SidePage* pages_;
};

}  // namespace slipring
