// What the tests with a hostile process have in common: the matrix of attacks, a bystander whose
// work must go on, a census of what the honest side holds, and stores that may fault.
#pragma once

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_segment.h"
#include "pipelines/link/link_writer.h"
#include "tests/pipelines/link/link_fixture.h"
#include "tests/platform/other_process.h"

namespace slipring::hostile {

inline constexpr uid_t kNobody = 65534;

// A line an attack; every one must have been contained.
class Matrix {
 public:
  explicit Matrix(const char* title) : title_(title) {}
  Matrix(const Matrix&) = delete;
  Matrix& operator=(const Matrix&) = delete;
  ~Matrix() {
    std::printf("%s: %zu of %zu contained\n", title_, contained_count_, row_count_);
    std::fflush(stdout);
  }

  void add(const std::string& link, const std::string& attack, bool is_contained,
           const std::string& how) {
    ++row_count_;
    if (is_contained) ++contained_count_;
    std::printf("  %-18s %-44s %-10s %s\n", link.c_str(), attack.c_str(),
                is_contained ? "contained" : "GOT THROUGH", how.c_str());
    INFO(link << ": " << attack << ": " << how);
    CHECK(is_contained);
  }
  [[nodiscard]] std::size_t row_count() const { return row_count_; }

 private:
  const char* title_;
  std::size_t row_count_ = 0;
  std::size_t contained_count_ = 0;
};

// A link of two honest ends in this process.
class Bystander {
 public:
  explicit Bystander(const SegmentDirectory& directory)
      : writer_(make(directory)), reader_(test::must(LinkReader::attach(directory, "bystander"))) {}

  // So many messages there and out again, each as it was sent.
  [[nodiscard]] bool work(int message_count = 100) {
    for (int i = 0; i < message_count; ++i) {
      if (!test::put(writer_, number_)) return false;
      Message message;
      if (reader_.try_peek(message) != Transfer::kDone) return false;
      if (test::number_in(message) != number_++) return false;
      reader_.release(message);
    }
    return true;
  }

 private:
  [[nodiscard]] static LinkWriter make(const SegmentDirectory& directory) {
    REQUIRE(create_link(directory, "bystander", test::records(4096)).ok());
    return test::must(LinkWriter::attach(directory, "bystander"));
  }

  LinkWriter writer_;
  LinkReader reader_;
  std::uint64_t number_ = 0;
};

// Descriptors that a process has open.
[[nodiscard]] inline std::size_t descriptor_count(pid_t process) {
  DIR* folder = ::opendir(("/proc/" + std::to_string(process) + "/fd").c_str());
  if (folder == nullptr) return 0;
  std::size_t count = 0;
  while (::readdir(folder) != nullptr) ++count;
  ::closedir(folder);
  return count - 2;
}
// And its address space, in KiB.
[[nodiscard]] inline std::uint64_t address_space_kib(pid_t process) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with("VmSize:")) return std::strtoull(line.c_str() + 7, nullptr, 10);
  }
  return 0;
}

// A part of our own address space that others share.
struct SharedRange {
  unsigned char* begin = nullptr;
  unsigned char* end = nullptr;
  bool is_writable = false;

  [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(end - begin); }
};

// The mappings of segments and of sealed memory: files on tmpfs, shared.
[[nodiscard]] inline std::vector<SharedRange> shared_ranges() {
  std::vector<SharedRange> ranges;
  std::ifstream maps("/proc/self/maps");
  std::string line;
  while (std::getline(maps, line)) {
    unsigned long begin = 0;
    unsigned long end = 0;
    char rights[5] = {};
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, rights) != 3) continue;
    const bool is_ours = line.find("/memfd:") != std::string::npos ||
                         line.find("/slipring-test-") != std::string::npos;
    if (rights[3] != 's' || !is_ours) continue;
    ranges.push_back({reinterpret_cast<unsigned char*>(begin),
                      reinterpret_cast<unsigned char*>(end), rights[1] == 'w'});
  }
  return ranges;
}

namespace detail {
inline sigjmp_buf after_fault;
inline void jump_back(int /*signal*/) {
  siglongjmp(after_fault, 1);
}
}  // namespace detail

// From now on a fault of ours goes back to may_store().
inline void catch_faults() {
  struct sigaction action {};
  action.sa_handler = detail::jump_back;
  action.sa_flags = SA_NODEFER;
  ::sigaction(SIGSEGV, &action, nullptr);
  ::sigaction(SIGBUS, &action, nullptr);
}
// Whether a store to the byte went through.
[[nodiscard]] [[gnu::noinline]] inline bool may_store(volatile unsigned char* byte) {
  if (sigsetjmp(detail::after_fault, 0) != 0) return false;
  *byte = static_cast<unsigned char>(*byte ^ 0xff);
  return true;
}

// What a child tells its parent, in memory that both see.
template <typename T>
class Told {
 public:
  Told()
      : value_(static_cast<T*>(::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE,
                                      MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
    REQUIRE(static_cast<void*>(value_) != MAP_FAILED);
    new (value_) T();
  }
  Told(const Told&) = delete;
  Told& operator=(const Told&) = delete;
  ~Told() { ::munmap(value_, sizeof(T)); }
  T* operator->() const { return value_; }
  T& operator*() const { return *value_; }

 private:
  T* value_;
};

}  // namespace slipring::hostile
