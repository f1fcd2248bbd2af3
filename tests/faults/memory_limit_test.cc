// Limits on memory as a whole: addresses (RLIMIT_AS), the heap, and a control group's memory.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include <doctest/doctest.h>

#include "platform/process/proc_file.h"
#include "tests/pipelines/link/link_fixture.h"
#include "tests/platform/other_process.h"

namespace slipring {
namespace {

using test::Directory;

constexpr int kNotRun = 77;
constexpr std::uint64_t kMebibyte = 1024 * 1024;

std::uint64_t address_bytes() {
  Result<std::string> status = read_proc_file("/proc/self/status");
  if (!status.ok()) return 0;
  const auto size = proc_field(*status, "VmSize");
  return size ? leading_number(*size).value_or(0) * 1024 : 0;
}

bool limit_addresses(std::uint64_t more_bytes) {
  const rlim_t bytes = address_bytes() + more_bytes;
  const struct rlimit limit = {bytes, bytes};
  return ::setrlimit(RLIMIT_AS, &limit) == 0;
}

// 0: refused as it should be; 1: attached; else what is wrong.
int attach_with(const SegmentDirectory& directory, std::uint64_t more_bytes) {
  // The heap's own needs come first: attach reads files of the kernel's into it.
  std::free(std::malloc(512 * 1024));
  if (!limit_addresses(more_bytes)) return 10;
  Result<LinkWriter> writer = LinkWriter::attach(directory, "l");
  if (writer.ok()) return 1;
  const Error& error = writer.error();
  return error.code == ErrorCode::kNoSpace && error.os_errno == ENOMEM ? 0 : 11;
}

// No heap at all: not one more allocation of any size.
int attach_without_heap(const SegmentDirectory& directory) {
  const struct rlimit no_core = {0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  if (!limit_addresses(0)) return 10;
  for (std::size_t size = 65536; size > 0; size /= 2) {
    while (std::malloc(size) != nullptr) {
    }
  }
  Result<LinkWriter> writer = LinkWriter::attach(directory, "l");
  return writer.ok() ? 1 : 0;
}

bool write_text(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.flush();
  return file.good();
}

// A memory control group of the test's own, below the one that it runs in; version 1 or 2.
class MemoryGroup {
 public:
  explicit MemoryGroup(std::uint64_t limit_bytes) {
    const std::string name = "/slipring-faults-" + std::to_string(::getpid());
    Result<std::string> groups = read_proc_file("/proc/self/cgroup");
    const std::string text = groups.ok() ? *groups : "";
    const std::size_t at = text.find(":memory:");
    if (at == std::string::npos) return;
    const std::size_t from = at + 8;
    path_ = "/sys/fs/cgroup/memory" + text.substr(from, text.find('\n', from) - from) + name;
    if (::mkdir(path_.c_str(), 0700) != 0) return;
    is_made_ = true;
    is_limited_ = write_text(path_ + "/memory.limit_in_bytes", std::to_string(limit_bytes));
  }
  MemoryGroup(const MemoryGroup&) = delete;
  MemoryGroup& operator=(const MemoryGroup&) = delete;
  ~MemoryGroup() {
    if (is_made_) ::rmdir(path_.c_str());
  }
  [[nodiscard]] bool is_usable() const { return is_made_ && is_limited_; }
  [[nodiscard]] bool join() const {
    return write_text(path_ + "/cgroup.procs", std::to_string(::getpid()));
  }

 private:
  std::string path_;
  bool is_made_ = false;
  bool is_limited_ = false;
};

}  // namespace

TEST_CASE("memory limit: addresses, a mebibyte at a time") {
  const Directory folder;
  const SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, "l", test::records(8 * kMebibyte)).ok());
  int refused = 0;
  int attached = 0;
  for (std::uint64_t more = 1; more <= 16; ++more) {
    OtherProcess child([&](Line) { return attach_with(directory, more * kMebibyte); });
    const int answer = child.wait();
    CAPTURE(more);
    CHECK((answer == 0 || answer == 1));
    CHECK_FALSE((answer == 0 && attached != 0));
    ++(answer == 1 ? attached : refused);
  }
  CHECK(refused >= 7);
  CHECK(attached >= 4);
  MESSAGE("1 to 16 MiB of addresses for a link of 8: " << refused << " refused, " << attached
                                                       << " attached");
}

TEST_CASE("memory limit: without any heap the process stops, and leaves the link whole") {
  const Directory folder;
  const SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, "l", test::records(4096)).ok());
  OtherProcess child([&](Line) { return attach_without_heap(directory); });
  const int answer = child.wait();
  // Attaching allocates, and there are no exceptions: std::terminate.  Nothing is allocated later.
  CHECK((answer == -SIGABRT || answer == 0));
  Result<LinkWriter> next = LinkWriter::attach(directory, "l");
  CHECK(next.ok());
}

TEST_CASE("memory limit: a control group kills the creator, and nothing of the link is left") {
  const MemoryGroup group(8 * kMebibyte);
  if (!group.is_usable()) {
    MESSAGE("not run: making a memory control group needs root and version 1 of them");
    return;
  }
  const Directory folder;
  const SegmentDirectory directory = folder.open();
  OtherProcess child([&](Line) {
    if (!group.join()) return kNotRun;
    const Status made = create_link(directory, "l", test::records(64 * kMebibyte));
    return made.ok() ? 1 : made.error().code == ErrorCode::kNoSpace ? 2 : 3;
  });
  const int answer = child.wait();
  if (answer == kNotRun) {
    MESSAGE("not run: the group cannot be joined");
    return;
  }
  MESSAGE("a link of 64 MiB in a group of 8 MiB ends with " << answer);
  // The kernel kills instead of refusing; later kernels may refuse.
  CHECK((answer == -SIGKILL || answer == 2));
  Result<std::vector<std::string>> names = directory.list();
  REQUIRE(names.ok());
  CHECK(names->empty());
  CHECK(create_link(directory, "l", test::records(4096)).ok());
}

}  // namespace slipring
