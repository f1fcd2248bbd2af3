// A real ext4 on the servers: made, filled with a tree of sources, checked and compared, while
// stages die.
//
// SLIPRING_MOUNTS=1 lets the kernel's own ext4 do it, on a loop device over nbdfuse (as root);
// SLIPRING_TREE names another tree than the kernel's headers.

#include <doctest/doctest.h>
#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <random>
#include <string>
#include <thread>

#include "tests/pipelines/array/clients/golden_servers.h"
#include "tests/pipelines/array/nbd/nbd_client.h"

namespace slipring::test {
namespace {

constexpr int kNotHere = 77;

std::string tree() {
  const char* named = getenv("SLIPRING_TREE");
  return named != nullptr ? named : "/usr/include/linux";
}

Said make_file_system(const GoldenServers& servers, const std::string& server,
                      const std::string& way) {
  return servers.run(server, data("tests/pipelines/array/clients/file_system.sh") + " \"$URI\" " +
                                 tree() + " \"$PWD/" + way + "\" " + way);
}

void check_file_system(const Said& said, const std::string& server, const std::string& way) {
  if (said.status == kNotHere) {
    MESSAGE(way, " is not possible on this machine: ", said.text);
    return;
  }
  CHECK_MESSAGE(said.status == 0, server, ", ", way, ": ", said.text);
  CHECK_MESSAGE(said.text.find("equal: ") != std::string::npos, said.text);
  MESSAGE(server, ", ", way, ": ", said.text);
}

TEST_CASE("file system: an ext4 is clean, and what was copied to it comes back") {
  const GoldenServers servers;
  for (const std::string& server : GoldenServers::names()) {
    check_file_system(make_file_system(servers, server, "fuse"), server, "fuse");
    if (getenv("SLIPRING_MOUNTS") == nullptr) continue;
    check_file_system(make_file_system(servers, server, "kernel"), server, "kernel");
  }
}

// Nothing has come for a minute: says who waits where, ends the client, and fails.
void give_up(const ServedArray& array, std::thread& program) {
  const std::string evidence = array.file("evidence");
  static_cast<void>(shell("(SLIPRING_DIR=" + array.segments() + " " + slipring() +
                          " ls; ps -eo pid,ppid,stat,wchan:24,args | grep -F '" + array.file("") +
                          "'; ps -eo pid,ppid,stat,wchan:24,args | grep -E "
                          "'nbdfuse|debugfs|e2fsck|mke2fs|fusermount') > " +
                          evidence + " 2>&1"));
  const std::string log = array.log();
  MESSAGE("no request comes any more.\n", contents(evidence),
          log.substr(log.size() - std::min<std::size_t>(log.size(), 4000)));
  static_cast<void>(shell("pkill -KILL -f 'nbdfuse .*" + array.socket() + "'"));
  program.join();
  FAIL("the array, or its client, stands still");
}

TEST_CASE("file system: stages of the array die while an ext4 is filled") {
  const GoldenServers servers;
  const std::string way = getenv("SLIPRING_MOUNTS") != nullptr ? "kernel" : "fuse";
  std::atomic<bool> is_over{false};
  Said said;
  std::thread program([&] {
    said = make_file_system(servers, "array", way);
    is_over = true;
  });
  static const char* const kStages[] = {"nbd", "cache", "raid", "disk0", "disk1", "disk2", "disk3"};
  std::mt19937 random(7);
  int kills = 0;
  const ServedArray& array = servers.array();
  while (!is_over) {
    const std::uint64_t until = array.number("nbd", "requests") + 1 + random() % 60;
    const auto has_come = [&] { return is_over || array.number("nbd", "requests") >= until; };
    std::uint64_t seen = array.number("nbd", "requests");
    while (!eventually(has_come, 60)) {
      const std::uint64_t now = array.number("nbd", "requests");
      if (now == seen) give_up(array, program);
      seen = now;
    }
    if (is_over) break;
    array.kill_stage(kStages[random() % std::size(kStages)]);
    ++kills;
  }
  program.join();
  check_file_system(said, "array", way);
  CHECK((said.status == kNotHere || kills > 3));
  MESSAGE(kills, " kills");
}

TEST_CASE("file system: a server that loses what was written is seen") {
  const SocketFolder folder;
  const Process forgetful({"/usr/bin/env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "nbdkit", "-f",
                           "-U", folder.socket(), "null", "96M"},
                          folder.file("log"), {});
  REQUIRE(NbdClient::connect(folder.socket()).has_value());
  const int status = shell(data("tests/pipelines/array/clients/file_system.sh") +
                           " 'nbd+unix:///?socket=" + folder.socket() + "' " + tree() + " " +
                           folder.file("work") + " fuse > " + folder.file("said") + " 2>&1");
  CHECK_MESSAGE(status != 0, contents(folder.file("said")));
}

}  // namespace
}  // namespace slipring::test
