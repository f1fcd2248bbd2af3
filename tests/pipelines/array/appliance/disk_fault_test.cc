// Disks that go, lie and come back, under the load and with the real stages.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "pipelines/array/raid/disk_format.h"
#include "platform/process/descriptor.h"
#include "platform/wait/clock.h"
#include "tests/pipelines/array/appliance/array_run.h"
#include "tests/pipelines/array/appliance/load_checks.h"

namespace slipring::array::test {
namespace {

// Over a new file of 20 MiB; without a path where there are none.
class LoopDevice {
 public:
  explicit LoopDevice(const std::string& file) {
    const Descriptor made(open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    if (!made.is_open() || ftruncate(made.get(), 20 << 20) != 0) return;
    FILE* said =
        popen(("PATH=$PATH:/usr/sbin:/sbin losetup --find --show " + file + " 2>&1").c_str(), "r");
    if (said == nullptr) return;
    std::array<char, 256> line{};
    const bool has_line = fgets(line.data(), line.size(), said) != nullptr;
    if (pclose(said) != 0 || !has_line) return;
    path_ = line.data();
    path_.resize(path_.find_last_not_of('\n') + 1);
  }
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;
  ~LoopDevice() {
    if (!path_.empty())
      static_cast<void>(
          std::system(("PATH=$PATH:/usr/sbin:/sbin losetup --detach " + path_).c_str()));
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace
TEST_CASE("array: a disk fails, another takes its place and is rebuilt, and the next one fails") {
  ArrayRun run;
  ArrayRunOptions options;
  REQUIRE_MESSAGE(run.start(options), run.problem());
  REQUIRE(goes_on(run));
  REQUIRE(run.tell("disk1", "fail"));
  REQUIRE(run.wait_for("raid", "degraded_blocks", 1));
  CHECK(run.number("raid", "disk1_state") == 0);
  REQUIRE(goes_on(run));
  REQUIRE(run.tell("disk1", "replace " + run.path("new1.img")));
  REQUIRE(run.wait_for("disk1", "is_usable", 1));
  REQUIRE(run.tell("raid", "replace 1"));
  REQUIRE_MESSAGE(run.wait_for("raid", "disk1_state", 1), run.log());
  // Their successors go on with the new one.
  REQUIRE(run.kill_stage("disk1"));
  REQUIRE(goes_on(run));
  REQUIRE(run.kill_stage("raid"));
  REQUIRE_MESSAGE(run.wait_for("raid", "disk1_state", 1), run.log());
  REQUIRE(goes_on(run));
  CHECK_MESSAGE(run.number("raid", "lost_blocks") == 0, run.log());
  CHECK_MESSAGE(run.number("raid", "mended_blocks") == 0, run.log());
  CHECK(run.number("raid", "is_broken") == 0);
  // A runner that starts again names the first file: it is stale, and not believed.
  expect_good_end(run, options);
}

// What a person does who pulls a disk: it is noticed without a word, also when nobody asks for
// anything.
TEST_CASE("array: a disk whose file is removed or cut fails by itself, and can be replaced") {
  for (const int level : {5, 6}) {
    ArrayRun run;
    ArrayRunOptions options;
    options.level = level;
    REQUIRE_MESSAGE(run.start(options), run.problem());
    REQUIRE(goes_on(run));
    REQUIRE(unlink(run.path("disk1.img").c_str()) == 0);
    REQUIRE_MESSAGE(run.wait_until("raid", "disk1_state", 0), run.log());
    REQUIRE(goes_on(run));
    replace(run, 1, run.path("new1.img"));
    REQUIRE(truncate(run.path("disk2.img").c_str(), 1 << 20) == 0);
    REQUIRE_MESSAGE(run.wait_until("raid", "disk2_state", 0), run.log());
    REQUIRE(goes_on(run));
    replace(run, 2, run.path("new2.img"));
    const pid_t load = run.pid_of("load");
    REQUIRE(kill(load, SIGSTOP) == 0);
    REQUIRE(unlink(run.path("disk3.img").c_str()) == 0);
    CHECK_MESSAGE(run.wait_until("raid", "disk3_state", 0), run.log());
    REQUIRE(kill(load, SIGCONT) == 0);
    REQUIRE(goes_on(run));
    replace(run, 3, run.path("new3.img"));
    const std::string log = run.log();
    for (const char* said :
         {"disk1.img: its file was removed", "disk2.img: it had 20971520 bytes, and has ",
          "disk3.img: its file was removed",
          "disk 3 is used no more (No such device or address)"}) {
      CHECK_MESSAGE(log.find(said) != std::string::npos, std::string(said), " is not in ", log);
    }
    CHECK(run.number("raid", "lost_blocks") == 0);
    CHECK(run.number("raid", "is_broken") == 0);
    CHECK(run.number("load", "violations") == 0);
    // The next run finds the new disks where the old ones were.
    for (const char* disk : {"1.img", "2.img", "3.img"}) {
      REQUIRE(rename(run.path(std::string("new") + disk).c_str(),
                     run.path(std::string("disk") + disk).c_str()) == 0);
    }
    expect_good_end(run, options);
  }
}

TEST_CASE("array: a disk that never answers is given up by a word, and comes back") {
  ArrayRun run;
  const ArrayRunOptions options;
  REQUIRE_MESSAGE(run.start(options), run.problem());
  REQUIRE(goes_on(run));
  const pid_t disk = run.pid_of("disk1");
  REQUIRE(kill(disk, SIGSTOP) == 0);
  REQUIRE(run.wait_for("raid", "waits_for_disk", 2));
  REQUIRE(run.tell("raid", "fail 1"));
  REQUIRE_MESSAGE(run.wait_until("raid", "disk1_state", 0), run.log());
  REQUIRE(goes_on(run));
  REQUIRE(kill(disk, SIGCONT) == 0);
  REQUIRE(goes_on(run));
  replace(run, 1, run.path("new1.img"));
  CHECK(run.number("raid", "lost_blocks") == 0);
  CHECK(run.number("raid", "mended_blocks") == 0);
  expect_good_end(run, options);
}

TEST_CASE("array: a block device that failed is taken again, and another that is in use is not") {
  ArrayRun run;
  const ArrayRunOptions options;
  const LoopDevice device(run.path("backing"));
  if (device.path().empty()) {
    MESSAGE("not possible on this machine: losetup makes no loop device");
    return;
  }
  REQUIRE(symlink(device.path().c_str(), run.path("disk1.img").c_str()) == 0);
  REQUIRE_MESSAGE(run.start(options), run.problem());
  REQUIRE(goes_on(run));
  CHECK_FALSE(Descriptor(open(device.path().c_str(), O_RDWR | O_EXCL | O_CLOEXEC)).is_open());
  replace(run, 1, device.path());
  // By its own process's successor, too.
  REQUIRE(run.kill_stage("disk1"));
  REQUIRE(goes_on(run));
  replace(run, 1, device.path());
  REQUIRE(run.tell("disk2", "fail"));
  REQUIRE(run.tell("disk2", "replace " + device.path()));
  REQUIRE(run.wait_until("raid", "disk2_state", 0));
  REQUIRE(goes_on(run));
  CHECK(run.number("disk2", "is_usable") == 0);
  replace(run, 2, run.path("new2.img"));
  CHECK_MESSAGE(run.log().find("it is mounted, or somebody else has it") != std::string::npos,
                run.log());
  expect_good_end(run, options);
}

TEST_CASE("array: a disk that is exchanged unseen is not taken for the old one") {
  ArrayRun run;
  const ArrayRunOptions options;
  REQUIRE_MESSAGE(run.start(options), run.problem());
  REQUIRE(run.tell("disk2", "fail"));
  REQUIRE(run.tell("disk2", "replace " + run.path("new2.img")));
  REQUIRE_MESSAGE(run.wait_for("raid", "degraded_blocks", 1), run.log());
  CHECK(run.number("raid", "disk2_state") == 0);
  expect_good_end(run, options);
}

TEST_CASE("array: flush, scrub and checkpoint are done under load, and it notices nothing") {
  ArrayRun run;
  ArrayRunOptions options;
  options.disks = 3;
  REQUIRE_MESSAGE(run.start(options), run.problem());
  for (int i = 0; i < 5; ++i) {
    REQUIRE(goes_on(run));
    const std::uint64_t written = run.number("cache", "written_back_blocks");
    const std::uint64_t checkpoints = run.number("raid", "checkpoints");
    const std::uint64_t scrubs = run.number("raid", "scrubs");
    REQUIRE(run.tell("cache", "flush"));
    REQUIRE(run.tell("raid", "scrub"));
    REQUIRE(run.tell("raid", "checkpoint"));
    REQUIRE_MESSAGE(run.wait_for("raid", "scrubs", scrubs + 1), run.log());
    REQUIRE_MESSAGE(run.wait_for("raid", "checkpoints", checkpoints + 1), run.log());
    REQUIRE_MESSAGE(run.wait_for("cache", "written_back_blocks", written + 1), run.log());
  }
  CHECK(run.number("raid", "inconsistent_rows") == 0);
  CHECK(run.number("raid", "mended_blocks") == 0);
  expect_good_end(run, options);
}

// A file that may not grow is what a full file system is to its writer: a part is written, and
// then an error comes.
TEST_CASE("array: a disk that is full fails alone, and nothing is lost") {
  for (const std::string engine : {"auto", "plain"}) {
    ArrayRun run;
    ArrayRunOptions options;
    options.engine = engine;
    REQUIRE_MESSAGE(run.start(options), run.problem());
    REQUIRE(goes_on(run));
    const rlimit limit{5U << 20, RLIM_INFINITY};  // within what the load writes to
    REQUIRE(prlimit(run.pid_of("disk1"), RLIMIT_FSIZE, &limit, nullptr) == 0);
    REQUIRE_MESSAGE(run.wait_for("raid", "degraded_blocks", 1), run.log());
    CHECK(run.number("raid", "disk1_state") == 0);
    for (const char* disk : {"disk0_state", "disk2_state", "disk3_state"}) {
      CHECK(run.number("raid", disk) == 1);
    }
    REQUIRE(goes_on(run));
    CHECK(run.number("raid", "is_broken") == 0);
    CHECK_MESSAGE(run.number("raid", "lost_blocks") == 0, run.log());
    expect_good_end(run, options);
  }
}

TEST_CASE("array: a disk that is slow slows, and nothing else happens") {
  ArrayRun run;
  const ArrayRunOptions options;
  REQUIRE_MESSAGE(run.start(options), run.problem());
  std::uint64_t slowest = 0;
  for (int i = 0; i < 10; ++i) {
    const pid_t disk = run.pid_of("disk1");
    REQUIRE(kill(disk, SIGSTOP) == 0);
    // The others have answered all, and it alone is waited for.
    REQUIRE(run.wait_for("raid", "waits_for_disk", 2));
    const std::uint64_t seen_ns = monotonic_ns();
    const bool is_alone = run.number("raid", "waits_for_disk") == 2;
    const std::uint64_t waited_us = (monotonic_ns() - seen_ns) / 1000;
    REQUIRE(kill(disk, SIGCONT) == 0);
    REQUIRE(goes_on(run));
    slowest = std::max(slowest, run.number("raid", "slowest_answer_us"));
    if (is_alone) CHECK(slowest >= waited_us);
  }
  MESSAGE("the slowest answer took ", slowest, " us, of disk ",
          run.number("raid", "slowest_disk") - 1);
  CHECK(run.number("raid", "disk1_latency_us") > 0);
  for (const char* disk : {"disk0_state", "disk1_state", "disk2_state", "disk3_state"}) {
    CHECK(run.number("raid", disk) == 1);
  }
  CHECK(run.number("raid", "mended_blocks") == 0);
  CHECK(slowest > 0);
  expect_good_end(run, options);
}

TEST_CASE("array: bits that flip on a disk are found, named and mended") {
  ArrayRun run;
  ArrayRunOptions options;
  options.disks = 3;
  REQUIRE_MESSAGE(run.start(options), run.problem());
  REQUIRE(goes_on(run));
  const std::string path = run.path("disk2.img");
  const Descriptor disk(open(path.c_str(), O_RDWR | O_CLOEXEC));
  REQUIRE(disk.is_open());
  const off_t size = lseek(disk.get(), 0, SEEK_END);
  const off_t data = size - (3 << 20);  // behind what the load writes over
  for (int i = 0; i < 20; ++i) {
    const off_t at = data + i * 40'000;
    char byte = 0;
    REQUIRE(pread(disk.get(), &byte, 1, at) == 1);
    byte = static_cast<char>(byte ^ 0x20);
    REQUIRE(pwrite(disk.get(), &byte, 1, at) == 1);
  }
  REQUIRE(run.tell("raid", "scrub"));
  REQUIRE_MESSAGE(run.wait_for("raid", "disk2_lies", 20), run.log());
  CHECK(run.number("raid", "disk0_lies") == 0);
  CHECK(run.number("raid", "disk1_lies") == 0);
  expect_good_end(run, options);
}

}  // namespace slipring::array::test
