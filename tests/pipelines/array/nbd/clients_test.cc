// Clients that are not ours: what they write they read again, while stages die and while none does.

#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <thread>

#include "tests/pipelines/array/nbd/served_array.h"

namespace slipring::test {
namespace {

std::string uri(const ServedArray& array) {
  return "'nbd+unix:///?socket=" + array.socket() + "'";
}

// The command's exit status; what it says is in the array's folder as `said`.
int shell_in(const ServedArray& array, const std::string& command) {
  const int status = shell("cd " + array.file("") + " && (" + command + ") > said 2>&1");
  if (status != 0) MESSAGE(command, "\n", contents(array.file("said")), array.log());
  return status;
}

TEST_CASE("clients: nbdinfo, nbdcopy, qemu-img and qemu-io find what they expect") {
  const ServedArray array;
  CHECK(shell_in(array, "nbdinfo --json " + uri(array)) == 0);
  const std::string info = contents(array.file("said"));
  for (const char* expected :
       {"\"export-size\": 33554432", "\"can_flush\": true", "\"can_fua\": true",
        "\"can_multi_conn\": true", "\"can_df\": true", "\"can_trim\": true",
        "\"block_size_maximum\": 33554432", "base:allocation"}) {
    CHECK_MESSAGE(info.find(expected) != std::string::npos, expected);
  }
  CHECK(shell_in(array, "nbdinfo --list " + uri(array)) == 0);
  // There and back, with several connections and requests at once.
  CHECK(shell_in(array, "head -c 20000000 /dev/urandom > there && truncate -s 32M there") == 0);
  CHECK(shell_in(array, "nbdcopy --flush there " + uri(array)) == 0);
  CHECK(shell_in(array, "nbdcopy " + uri(array) + " back && cmp there back && cmp there disk") ==
        0);
  CHECK(shell_in(array, "qemu-img compare -f raw -F raw there " + uri(array)) == 0);
  CHECK(shell_in(array, "nbdinfo --map " + uri(array) + " | grep -q hole,zero") == 0);
  CHECK(shell_in(array,
                 "qemu-io -f raw -c 'write -P 0xab 4095 1000003' -c 'read -P 0xab 4095 1000003' "
                 "-c 'write -f -P 0xcd 0 512' -c 'write -z 8192 8192' -c 'read -P 0 8192 8192' "
                 "-c 'discard 65536 65536' -c flush -c 'read -P 0xcd 0 512' " +
                     uri(array)) == 0);
  // An export that is not there.
  CHECK(shell("nbdinfo 'nbd+unix:///nothing?socket=" + array.socket() + "' > /dev/null 2>&1") != 0);
}

// How many bytes the map says are holes, as both clients tell them.
std::string holes_by_nbdinfo(const ServedArray& array) {
  return "nbdinfo --map --totals " + uri(array) +
         " | awk '$NF == \"hole,zero\" { print $1 }' | grep .";
}
std::string holes_by_qemu(const ServedArray& array) {
  return "qemu-img map --output=json -f raw " + uri(array) +
         " | tr '{' '\\n' | grep '\"zero\": true' | sed 's/.*\"length\": *\\([0-9]*\\).*/\\1/' | "
         "awk '{ sum += $1 } END { print sum }'";
}

TEST_CASE("clients: what is trimmed takes no room on the disks, and both maps say where") {
  const ServedArray array("array.toml");
  const auto room = [&] {
    REQUIRE(shell_in(array, "du -cB1 disk?.img | tail -1 | cut -f1") == 0);
    return std::stoull(contents(array.file("said")));
  };
  const auto map = [&](const std::string& command) {
    REQUIRE(shell_in(array, command) == 0);
    return std::stoull(contents(array.file("said")));
  };
  CHECK(shell_in(array,
                 "nbdinfo --can trim " + uri(array) + " && nbdinfo --can zero " + uri(array)) == 0);
  const std::string io = "qemu-io -f raw " + uri(array) + " ";
  CHECK(shell_in(array, io + "-c 'write -P 0xab 0 48M' -c flush") == 0);
  const std::uint64_t full = room();
  const std::uint64_t holes = map(holes_by_nbdinfo(array));
  CHECK(map(holes_by_qemu(array)) == holes);
  // Small ones that make whole stripes together; many; parts of stripes and of blocks.
  CHECK(shell_in(array, io +
                            "-c 'discard 0 64k' -c 'discard 64k 64k' -c 'discard 128k 256k' "
                            "-c 'discard 6M 24M' -c 'write -z -u 36M 6M' -c 'write -z 46M 4k' "
                            "-c 'write -z -u 47185923 70001' -c flush "
                            "-c 'read -P 0 0 384k' -c 'read -P 0xab 384k 1M' -c 'read -P 0 6M 24M' "
                            "-c 'read -P 0xab 30M 6M' -c 'read -P 0 36M 6M' -c 'read -P 0 46M 4k' "
                            "-c 'read -P 0xab 47185920 3' -c 'read -P 0 47185923 70001' "
                            "-c 'read -P 0xab 47255924 1000'") == 0);
  CHECK(shell_in(array, "! grep -q 'Pattern verification failed' said") == 0);
  const std::uint64_t freed = map(holes_by_nbdinfo(array)) - holes;
  CHECK(map(holes_by_qemu(array)) == freed + holes);
  static constexpr std::uint64_t kStripe = 3 * 65536;
  // Whole stripes of 30.4 MiB, in four pieces; on the disks a third more, for the parity.
  static constexpr std::uint64_t kTrimmed = 393216 + (24U << 20) + (6U << 20);
  CHECK(freed <= kTrimmed);
  CHECK(freed >= kTrimmed - 6 * kStripe);
  CHECK(full - room() >= freed);
  CHECK(array.number("raid", "zeroed_rows") > 0);
  // Written again, they are holes no more; and a front, a cache, a RAID stage later all is the
  // same.
  CHECK(shell_in(array, io + "-c 'write -P 0xcd 6M 3M' -c flush") == 0);
  for (const char* stage : {"cache", "raid", "disk2"}) array.kill_stage(stage);
  CHECK(map(holes_by_nbdinfo(array)) == freed + holes - (3U << 20));
  CHECK(shell_in(array, io + "-c 'read -P 0xcd 6M 3M' -c 'read -P 0 9M 21M' "
                             "-c 'read -P 0xab 30M 6M'") == 0);
  CHECK(shell_in(array, "! grep -q 'Pattern verification failed' said") == 0);
  // And what has never been written, copied with its holes, is as small as it was.
  CHECK(shell_in(array, "nbdcopy " + uri(array) + " back && qemu-img compare -f raw -F raw back " +
                            uri(array)) == 0);
}

// Each export is filled with a byte of its own, at its ends by single bytes; then trimmed.
void expect_apart(const ServedArray& array, const std::string& one, const std::string& other,
                  std::uint64_t one_bytes) {
  const auto io = [&](const std::string& name) {
    return "qemu-io -f raw 'nbd+unix:///" + name + "?socket=" + array.socket() + "' ";
  };
  const std::string end = std::to_string(one_bytes);
  const std::string last = std::to_string(one_bytes - 5000);
  CHECK(shell_in(array, io(other) + "-c 'write -P 0x22 0 1M'") == 0);
  CHECK(shell_in(array, io(one) + "-c 'write -P 0x11 " + last + " 5000' -c flush") == 0);
  CHECK(shell_in(array, io(other) + "-c 'read -P 0x22 0 1M'") == 0);
  CHECK(shell_in(array, "! grep -q failed said") == 0);
  // Beyond its end it has nothing, neither to be read nor to be overwritten.
  for (const std::string& request :
       {"write -P 0x33 " + end + " 512", "read " + end + " 512", "write -P 0x33 " + last + " 8192",
        "write -z " + last + " 8192", "discard " + last + " 8192"}) {
    CHECK(shell("cd " + array.file("") + " && " + io(one) + "-c '" + request + "' > said 2>&1") !=
          0);
  }
  CHECK(shell_in(array, io(one) + "-c 'discard 0 " + end + "' -c flush") == 0);
  CHECK(shell_in(array, io(other) + "-c 'read -P 0x22 0 1M' -c 'discard 0 1M' -c flush") == 0);
  CHECK(shell_in(array, "! grep -q failed said") == 0);
  CHECK(shell_in(array, io(one) + "-c 'write -P 0x11 " + last + " 5000' -c 'read -P 0x11 " + last +
                            " 5000'") == 0);
  CHECK(shell_in(array, "! grep -q failed said") == 0);
}

TEST_CASE("clients: several exports on one array have their names and sizes, and stay apart") {
  const ServedArray array(
      "array.toml", {{"nbd.exports", "root,home,swap"}, {"cache.volumes", "48MiB,32MiB,rest"}});
  CHECK(shell_in(array, "nbdinfo --list --json " + uri(array)) == 0);
  const std::string list = contents(array.file("said"));
  for (const char* expected :
       {"\"export-name\": \"root\"", "\"export-size\": 50331648", "\"export-name\": \"home\"",
        "\"export-size\": 33554432", "\"export-name\": \"swap\""}) {
    CHECK_MESSAGE(list.find(expected) != std::string::npos, expected, " in ", list);
  }
  // The first is meant when nobody says which.
  CHECK(shell_in(array, "test $(nbdinfo --size " + uri(array) + ") = 50331648") == 0);
  expect_apart(array, "root", "home", 48U << 20);
  expect_apart(array, "home", "swap", 32U << 20);
  for (const char* stage : {"nbd", "cache", "raid"}) array.kill_stage(stage);
  expect_apart(array, "root", "home", 48U << 20);
}

TEST_CASE("clients: several files, an export each") {
  const SocketFolder folder;
  const ServedArray array("plain.toml",
                          {{"nbd.exports", "one,two"},
                           {"file.paths", folder.file("one") + "," + folder.file("two")},
                           {"file.create_mib", "8"}});
  CHECK(shell_in(array, "nbdinfo --list " + uri(array)) == 0);
  expect_apart(array, "one", "two", 8U << 20);
  CHECK(shell_in(array, "cmp -n 3000000 " + folder.file("one") + " /dev/zero") == 0);
}

TEST_CASE("clients: fio verifies what it wrote while the front and the back end are killed") {
  const ServedArray array;
  std::atomic<bool> is_over{false};
  std::atomic<int> status{-1};
  std::thread fio([&] {
    status =
        shell_in(array, "fio --name=verify --ioengine=nbd --uri=" + uri(array) +
                            " --rw=randwrite --bs=16k --iodepth=16 --size=16m --verify=crc32c "
                            "--do_verify=1 --verify_backlog=32 --randseed=7 --output-format=terse");
    is_over = true;
  });
  int kills = 0;
  while (!is_over && kills < 8) {
    const std::uint64_t until = array.number("nbd", "requests") + 60;
    if (!eventually([&] { return is_over || array.number("nbd", "requests") >= until; }, 60)) break;
    if (is_over) break;
    array.kill_stage(kills % 3 == 2 ? "file" : "nbd");
    ++kills;
  }
  fio.join();
  CHECK(status == 0);
  CHECK(kills > 3);
  MESSAGE(kills, " kills, ", array.number("nbd", "requests"), " requests of fio");
}

}  // namespace
}  // namespace slipring::test
