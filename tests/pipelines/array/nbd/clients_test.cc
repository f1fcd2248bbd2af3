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
