// A reader that sits in a system call, or in epoll, learns of a command.

#include "pipelines/link/control_alarm.h"

#include <doctest/doctest.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <vector>

#include "pipelines/link/commander.h"
#include "tests/pipelines/link/guarded_fixture.h"

namespace slipring {
namespace {

using test::Directory;
using test::must;
using test::put;

constexpr const char* kName = "t.link";

// A reader whose commander is a process of its own, which commands when it is told to.
struct Stage {
  Directory folder;
  SegmentDirectory directory = folder.open();
  std::optional<LinkWriter> writer;
  std::optional<LinkReader> reader;
  std::optional<OtherProcess> commander;

  Stage() {
    REQUIRE(create_link(directory, kName, test::records(4096)).ok());
    commander.emplace([this](Line line) {
      while (line.hear() == 'c') {
        Result<LinkCommander> link = LinkCommander::attach(directory, kName);
        if (!link || !link->abort()) return 1;
      }
      return 0;
    });
    writer.emplace(must(LinkWriter::attach(directory, kName)));
    reader.emplace(must(LinkReader::attach(directory, kName)));
  }
};

TEST_CASE("control alarm: an eventfd becomes readable with each command, and stays so") {
  Stage stage;
  const ControlAlarm alarm = must(ControlAlarm::by_event(stage.reader->control_watch()));
  for (int round = 0; round < 50; ++round) {
    REQUIRE(put(*stage.writer, 1));
    stage.commander->line().say('c');
    pollfd watched{alarm.fd(), POLLIN, 0};
    REQUIRE(poll(&watched, 1, 30'000) == 1);
    alarm.drain();
    CHECK(stage.reader->has_command());
    stage.reader->obey_commands();
    CHECK(stage.writer->drops().dropped.messages == static_cast<std::uint64_t>(round + 1));
  }
}

TEST_CASE("control alarm: a command that came before the alarm is told, too") {
  Stage stage;
  REQUIRE(put(*stage.writer, 1));
  LinkCommander commander = must(LinkCommander::attach(stage.directory, kName));
  REQUIRE(commander.abort().ok());
  const ControlAlarm alarm = must(ControlAlarm::by_event(stage.reader->control_watch()));
  pollfd watched{alarm.fd(), POLLIN, 0};
  CHECK(poll(&watched, 1, 30'000) == 1);
}

TEST_CASE("control alarm: a signal interrupts a system call that would not return") {
  Stage stage;
  int ends[2] = {-1, -1};
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  const Descriptor full(ends[0]);
  const Descriptor never_read(ends[1]);
  const ControlAlarm alarm = must(ControlAlarm::by_signal(stage.reader->control_watch(), SIGRTMIN));
  const std::vector<char> bytes(8 << 20);
  for (int round = 0; round < 20; ++round) {
    REQUIRE(put(*stage.writer, 1));
    stage.commander->line().say('c');
    // Nobody reads the other end: without the signal this never returns, however early the command
    // comes.
    while (!stage.reader->has_command()) {
      const ssize_t written = write(full.get(), bytes.data(), bytes.size());
      REQUIRE((written >= 0 || errno == EINTR));
    }
    stage.reader->obey_commands();
    CHECK(stage.writer->drops().dropped.messages == static_cast<std::uint64_t>(round + 1));
  }
}

TEST_CASE("control alarm: the program's own handler is left alone") {
  static volatile sig_atomic_t calls = 0;
  struct sigaction own {};
  own.sa_handler = [](int) { calls = calls + 1; };
  REQUIRE(sigaction(SIGRTMIN + 1, &own, nullptr) == 0);
  Stage stage;
  const ControlAlarm alarm =
      must(ControlAlarm::by_signal(stage.reader->control_watch(), SIGRTMIN + 1));
  stage.commander->line().say('c');
  const std::uint64_t deadline_ns = deadline_after(test::kPatienceNs);
  while (calls == 0 && monotonic_ns() < deadline_ns) ::sched_yield();
  CHECK(calls != 0);
  stage.reader->obey_commands();
}

TEST_CASE("control alarm: a signal that is no real-time one is refused") {
  Stage stage;
  for (const int number : {0, SIGTERM, SIGRTMAX + 1}) {
    const Result<ControlAlarm> refused =
        ControlAlarm::by_signal(stage.reader->control_watch(), number);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == ErrorCode::kInvalidArgument);
  }
}

TEST_CASE("control alarm: ends at once, whether or not a command came") {
  Stage stage;
  for (int round = 0; round < 200; ++round) {
    ControlAlarm alarm = must(ControlAlarm::by_event(stage.reader->control_watch()));
    if (round % 3 == 0) stage.commander->line().say('c');
  }
}

}  // namespace
}  // namespace slipring
