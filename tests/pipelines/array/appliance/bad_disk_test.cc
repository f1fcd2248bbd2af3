// Disks that cannot read, are gone, are full or take a part, as the real stages meet them: a file
// served by FUSE (bad_disk.h).
#include <doctest/doctest.h>
#include <errno.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "tests/pipelines/array/appliance/array_run.h"
#include "tests/pipelines/array/appliance/bad_disk.h"
#include "tests/pipelines/array/appliance/load_checks.h"

namespace slipring::array::test {
namespace {

constexpr std::uint64_t kDiskBytes = 20 << 20;
constexpr std::uint64_t kDataBegin = 5 << 20;  // or before: behind log and checksums

// A bad disk as that member of a run that has not started; nullptr, and said, where nothing can be
// mounted.
std::unique_ptr<BadDisk> bad_member(const ArrayRun& run, std::uint32_t member) {
  std::string why;
  std::unique_ptr<BadDisk> disk = BadDisk::make(kDiskBytes, why);
  if (!disk) {
    MESSAGE("not possible on this machine: ", why);
    return nullptr;
  }
  const std::string name = run.path("disk" + std::to_string(member) + ".img");
  REQUIRE(symlink(disk->path().c_str(), name.c_str()) == 0);
  return disk;
}

void spoil_some(BadDisk& disk) {
  for (std::uint64_t at = kDataBegin; at < kDiskBytes; at += 64 * 1024 + 4096) disk.spoil(at);
}

}  // namespace

TEST_CASE(
    "bad disk: sectors that cannot be read are computed, found by a scrub, and written again") {
  for (const int level : {5, 6}) {
    ArrayRun run;
    ArrayRunOptions options;
    options.level = level;
    std::unique_ptr<BadDisk> one = bad_member(run, 1);
    if (!one) return;
    // As many bad blocks in a row as there are parities.
    std::unique_ptr<BadDisk> other = level == 6 ? bad_member(run, 2) : nullptr;
    REQUIRE_MESSAGE(run.start(options), run.problem());
    REQUIRE(goes_on(run));
    spoil_some(*one);
    if (other) spoil_some(*other);
    const std::size_t bad = one->bad_sector_count();
    REQUIRE(goes_on(run));
    REQUIRE(run.tell("raid", "scrub"));
    REQUIRE_MESSAGE(run.wait_for("raid", "scrubs", 1), run.log());
    CHECK(one->bad_sector_count() == 0);
    CHECK((!other || other->bad_sector_count() == 0));
    CHECK(run.number("raid", "disk1_unreadable") > bad / 2);
    CHECK(run.number("raid", "disk0_unreadable") == 0);
    CHECK(run.number("raid", "disk3_unreadable") == 0);
    CHECK(run.number("raid", "mended_blocks") > bad / 2);
    CHECK(run.number("raid", "lost_blocks") == 0);
    CHECK(run.number("raid", "disk1_state") == 1);
    CHECK(run.number("raid", "disk2_state") == 1);
    MESSAGE("RAID-", level, ": of ", bad, " bad sectors of a member ",
            run.number("raid", "disk1_unreadable"), " were met; all are mended");
    expect_good_end(run, options);
  }
}

TEST_CASE("bad disk: one whose sectors stay bad is used no more, and another takes its place") {
  for (const int level : {5, 6}) {
    ArrayRun run;
    ArrayRunOptions options;
    options.level = level;
    std::unique_ptr<BadDisk> one = bad_member(run, 1);
    if (!one) return;
    REQUIRE_MESSAGE(run.start(options), run.problem());
    REQUIRE(goes_on(run));
    for (std::uint64_t at = kDataBegin; at < kDiskBytes; at += 4096) {
      one->spoil(at, Mending::kNever);
    }
    REQUIRE_MESSAGE(run.wait_until("raid", "disk1_state", 0), run.log());
    REQUIRE(goes_on(run));
    CHECK(run.log().find("disk 1 is used no more (Input/output error)") != std::string::npos);
    replace(run, 1, run.path("new1.img"));
    CHECK(run.number("raid", "lost_blocks") == 0);
    CHECK(run.number("raid", "is_broken") == 0);
    expect_good_end(run, options);
  }
}

TEST_CASE("bad disk: whatever its errors are, it fails alone, and can come back") {
  for (const std::string engine : {"auto", "plain"}) {
    ArrayRun run;
    ArrayRunOptions options;
    options.engine = engine;
    std::unique_ptr<BadDisk> one = bad_member(run, 1);
    if (!one) return;
    REQUIRE_MESSAGE(run.start(options), run.problem());
    for (const int error : {EIO, ENODEV, ENOSPC, EROFS, ETIMEDOUT}) {
      REQUIRE(goes_on(run));
      one->write_error = error;
      if (error == ENODEV) one->read_error = error;
      REQUIRE_MESSAGE(run.wait_until("raid", "disk1_state", 0), error, ": ", run.log());
      REQUIRE(goes_on(run));
      one->write_error = one->read_error = 0;
      replace(run, 1, one->path());
    }
    // What reads nothing is of no use, though it writes.
    one->read_error = EIO;
    REQUIRE(run.tell("raid", "scrub"));
    REQUIRE_MESSAGE(run.wait_until("raid", "disk1_state", 0), run.log());
    REQUIRE(goes_on(run));
    one->read_error = 0;
    replace(run, 1, one->path());
    CHECK(run.number("raid", "lost_blocks") == 0);
    CHECK(run.number("raid", "is_broken") == 0);
    expect_good_end(run, options);
  }
}

TEST_CASE("bad disk: one that takes a part of each write is given the rest") {
  for (const std::string engine : {"auto", "plain"}) {
    ArrayRun run;
    ArrayRunOptions options;
    options.engine = engine;
    std::unique_ptr<BadDisk> one = bad_member(run, 1);
    if (!one) return;
    one->writes_short = true;
    REQUIRE_MESSAGE(run.start(options), run.problem());
    for (int i = 0; i < 5; ++i) REQUIRE(goes_on(run));
    CHECK(one->short_writes > 10);
    CHECK(run.number("raid", "disk1_state") == 1);
    CHECK(run.number("raid", "mended_blocks") == 0);
    MESSAGE(engine, ": ", one->short_writes.load(), " short writes");
    expect_good_end(run, options);
  }
}

}  // namespace slipring::array::test
