// A file whose disk is bad: sectors that cannot be read until they are written again, or never
// more; a disk that is full, gone, or takes a part of what it is given.
//
// The kernel's FUSE serves it, and a thread of the test is its disk: whoever opens the file meets
// the faults as errors of its own system calls.  Past the page cache, so that nothing hides them.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "platform/process/descriptor.h"

namespace slipring::array::test {

inline constexpr std::uint64_t kBadSectorBytes = 4096;

enum class Mending : std::uint8_t {
  kWhenWritten,  // as a disk does that has spare sectors
  kNever,
};

class BadDisk {
 public:
  // nullptr when file systems cannot be mounted here; `why` says so.
  static std::unique_ptr<BadDisk> make(std::uint64_t size_bytes, std::string& why);
  BadDisk(const BadDisk&) = delete;
  BadDisk& operator=(const BadDisk&) = delete;
  // Whoever has it open still meets errors from then on.
  ~BadDisk();

  [[nodiscard]] std::string path() const { return folder_ + "/disk"; }

  // The sector that holds this byte cannot be read.
  void spoil(std::uint64_t offset_bytes, Mending mending = Mending::kWhenWritten);
  [[nodiscard]] std::size_t bad_sector_count() const;
  // An errno for everything of that kind; 0: none.
  std::atomic<int> read_error{0};
  std::atomic<int> write_error{0};  // and syncs
  // Of each write a part is taken.
  std::atomic<bool> writes_short{false};
  std::atomic<std::uint64_t> short_writes{0};

 private:
  explicit BadDisk(std::uint64_t size_bytes) : bytes_(size_bytes) {}
  [[nodiscard]] bool mount(std::string& why);
  void serve();
  void answer(const std::byte* request, std::size_t size_bytes);
  void reply(std::uint64_t unique, int error, const void* bytes = nullptr,
             std::size_t size_bytes = 0) const;
  void read(std::uint64_t unique, std::uint64_t offset, std::uint32_t length);
  void write(std::uint64_t unique, std::uint64_t offset, const std::byte* from,
             std::uint32_t length);

  std::string folder_;
  std::vector<std::byte> bytes_;
  Descriptor fuse_;
  Descriptor stop_;
  mutable std::mutex mutex_;
  std::map<std::uint64_t, Mending> bad_sectors_;  // by number
  std::thread server_;
};

}  // namespace slipring::array::test
