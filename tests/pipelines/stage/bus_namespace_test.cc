// Pipelines in two network namespaces, with a cable between them that is pulled and plugged in.
//
// Needs root, ip (iproute2) and nsenter (util-linux); without them it says so and tests nothing.
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <string>

#include "tests/pipelines/stage/bus_fixture.h"

namespace slipring {

using namespace test;

namespace {

std::string program(const std::string& name) {
  for (const char* folder : {"/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"}) {
    if (access((folder + name).c_str(), X_OK) == 0) return folder + name;
  }
  return {};
}

// A network namespace, for as long as this lives.
class Namespace {
 public:
  Namespace() {
    int ready[2];
    REQUIRE(pipe(ready) == 0);
    pid_ = fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      const char answer = unshare(CLONE_NEWNET) == 0 ? 'y' : 'n';
      if (write(ready[1], &answer, 1) != 1) _exit(1);
      for (;;) pause();
    }
    char answer = 'n';
    is_there_ = read(ready[0], &answer, 1) == 1 && answer == 'y';
    close(ready[0]);
    close(ready[1]);
  }
  Namespace(const Namespace&) = delete;
  Namespace& operator=(const Namespace&) = delete;
  ~Namespace() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

  [[nodiscard]] bool is_there() const { return is_there_; }
  [[nodiscard]] std::string pid() const { return std::to_string(pid_); }
  [[nodiscard]] std::vector<std::string> wrapper() const {
    return {program("nsenter"), "--net=/proc/" + pid() + "/ns/net"};
  }
  [[nodiscard]] bool ip(const std::string& words) const {
    const std::string command =
        program("nsenter") + " --net=/proc/" + pid() + "/ns/net " + program("ip") + " " + words;
    return std::system(command.c_str()) == 0;
  }

 private:
  pid_t pid_ = -1;
  bool is_there_ = false;
};

[[nodiscard]] bool join(const Namespace& near, const Namespace& far) {
  return near.ip("link add cable type veth peer name cable netns " + far.pid()) &&
         near.ip("address add 192.0.2.1/24 dev cable") &&
         far.ip("address add 192.0.2.2/24 dev cable") && near.ip("link set cable up") &&
         far.ip("link set cable up");
}

}  // namespace

TEST_CASE("bus: the cable between two machines is pulled, and nothing is lost or repeated") {
  constexpr int kPulls = 20;
  if (program("ip").empty() || program("nsenter").empty()) {
    MESSAGE("not tested: apt-get install iproute2 util-linux");
    return;
  }
  const Namespace near_net;
  const Namespace far_net;
  if (!near_net.is_there() || !far_net.is_there() || !join(near_net, far_net)) {
    MESSAGE("not tested: network namespaces with a veth pair need root");
    return;
  }
  Bus bus;
  bus.near_address = "tcp://192.0.2.2:7070/numbers";
  bus.far_address = "tcp://0.0.0.0:7070/numbers";
  const Place near_place;
  const Place far_place;
  const std::string stop_file = near_place.path("stop");
  Runner far(far_place, far_place.write("far.toml", far_file(bus)), false, far_net.wrapper());
  Runner near(near_place, near_place.write("near.toml", near_file(bus, stop_file)), false,
              near_net.wrapper());
  const SegmentDirectory near_segments = near_place.directory();
  const SegmentDirectory far_segments = far_place.directory();
  const BoardObserver sink = board_of(far, far_segments, "far.sink.board");
  const BoardObserver source = board_of(near, near_segments, "near.source.board");
  const BoardObserver wires[] = {board_of(near, near_segments, "near.numbers-wire.board"),
                                 board_of(far, far_segments, "far.numbers-wire.board")};
  const auto expect_more = [&] {
    const std::uint64_t seen = sink.value_of("last_number");
    REQUIRE_MESSAGE(eventually([&] { return sink.value_of("last_number") > seen; }),
                    near.errors() << far.errors());
  };
  for (int pulls = 0; pulls < kPulls; ++pulls) {
    expect_more();
    const Namespace& side = pulls % 2 == 0 ? near_net : far_net;
    REQUIRE(side.ip("link set cable down"));
    if (pulls % 4 >= 2) {
      // While nobody hears it.
      const BoardObserver& victim = wires[pulls % 2];
      const std::uint32_t incarnation = victim.incarnation();
      REQUIRE(kill(static_cast<pid_t>(victim.process_id()), SIGKILL) == 0);
      REQUIRE(eventually([&] { return victim.incarnation() > incarnation; }));
    }
    REQUIRE(side.ip("link set cable up"));
  }
  // And until both sides have noticed.
  expect_more();
  REQUIRE(near_net.ip("link set cable down"));
  for (const BoardObserver& wire : wires) {
    REQUIRE(eventually([&] { return wire.value_of("connected") == 0; }));
  }
  REQUIRE(near_net.ip("link set cable up"));
  expect_more();
  static_cast<void>(near_place.write("stop", ""));
  CHECK(near.wait() == kRunFinished);
  CHECK(far.wait() == kRunFinished);
  CHECK(sink.value_of("last_number") == source.value_of("sent"));
  CHECK(sink.value_of("faults") == 0);
  CHECK(sink.value_of("repeats") == 0);
  CHECK(near_place.leftovers().empty());
  CHECK(far_place.leftovers().empty());
  MESSAGE((kPulls + 1), " times pulled, ", wires[0].value_of("connections"), " connections, ",
          source.value_of("sent"), " numbers, 0 lost, 0 repeated");
}

}  // namespace slipring
