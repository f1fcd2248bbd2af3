// Preloaded into a stage, counts the bytes that memcpy and memmove carry into or out of its frame
// pools: the measurement behind "no frame is ever copied".
//
// A frame pool is any shared mapping of a segment whose name ends in "_frames", of a guarded one
// too: its memory is called after its link ("/memfd:settop.video_frames (deleted)").  At the end of
// the process the totals are appended to the file that COPY_METER names.  What a codec moves with
// its own vector code is decoding; what the kernel copies to a file on write is output.

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace {

struct Range {
  std::atomic<std::uintptr_t> begin{0};
  std::atomic<std::uintptr_t> end{0};
};

// Plain statics: the functions below run before any constructor.
constinit Range ranges[16];
constinit std::atomic<int> range_count{0};
constinit std::atomic<std::uint64_t> copied_bytes{0};
constinit std::atomic<std::uint64_t> pool_bytes{0};

[[nodiscard]] bool is_in_pool(const void* address) {
  const auto value = reinterpret_cast<std::uintptr_t>(address);
  for (int i = 0; i < range_count.load(std::memory_order_acquire); ++i) {
    // relaxed: ordered by range_count.
    if (value >= ranges[i].begin.load(std::memory_order_relaxed) &&
        value < ranges[i].end.load(std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

void note(const void* to, const void* from, std::size_t size) {
  if (is_in_pool(to) || is_in_pool(from)) {
    copied_bytes.fetch_add(size, std::memory_order_relaxed);  // relaxed: a count
  }
}

[[nodiscard]] bool is_frame_pool(int fd) {
  char link[64];
  char path[256];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t size = readlink(link, path, sizeof path);
  if (size <= 0) return false;
  std::string_view name(path, static_cast<std::size_t>(size));
  constexpr std::string_view kNameless = " (deleted)";
  if (name.ends_with(kNameless)) name.remove_suffix(kNameless.size());
  return name.ends_with("_frames");
}

[[gnu::destructor]] void report() {
  const char* path = getenv("COPY_METER");
  if (path == nullptr || pool_bytes.load(std::memory_order_relaxed) == 0)
    return;  // relaxed: a count
  char line[128];
  const int size =
      snprintf(line, sizeof line, "%s copied_bytes %llu pool_bytes %llu\n",
               program_invocation_short_name, static_cast<unsigned long long>(copied_bytes.load()),
               static_cast<unsigned long long>(pool_bytes.load()));
  const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0 || write(fd, line, static_cast<std::size_t>(size)) != size) abort();
  close(fd);
}

}  // namespace

extern "C" {

[[gnu::visibility("default")]] void* memmove(void* to, const void* from, std::size_t size) {
  note(to, from, size);
  auto* target = static_cast<volatile unsigned char*>(to);
  auto* source = static_cast<const volatile unsigned char*>(from);
  if (target < source) {
    for (std::size_t i = 0; i < size; ++i) target[i] = source[i];
  } else {
    for (std::size_t i = size; i-- > 0;) target[i] = source[i];
  }
  return to;
}

[[gnu::visibility("default")]] void* memcpy(void* to, const void* from, std::size_t size) {
  return memmove(to, from, size);
}

[[gnu::visibility("default")]] void* mmap(void* hint, std::size_t size, int protection, int flags,
                                          int fd, off_t offset) noexcept {
  using Mmap = void* (*)(void*, std::size_t, int, int, int, off_t);
  static const auto real = reinterpret_cast<Mmap>(dlsym(RTLD_NEXT, "mmap"));
  void* address = real(hint, size, protection, flags, fd, offset);
  if (address != MAP_FAILED && fd >= 0 && (flags & MAP_SHARED) != 0 && is_frame_pool(fd)) {
    const int index =
        range_count.load(std::memory_order_relaxed);  // relaxed: attaching is one thread
    if (index < 16) {
      ranges[index].begin.store(reinterpret_cast<std::uintptr_t>(address));
      ranges[index].end.store(reinterpret_cast<std::uintptr_t>(address) + size);
      range_count.store(index + 1, std::memory_order_release);
      pool_bytes.fetch_add(size, std::memory_order_relaxed);  // relaxed: a count
    }
  }
  return address;
}

[[gnu::visibility("default")]] void* mmap64(void* hint, std::size_t size, int protection, int flags,
                                            int fd, off64_t offset) noexcept {
  return mmap(hint, size, protection, flags, fd, offset);
}

}  // extern "C"
