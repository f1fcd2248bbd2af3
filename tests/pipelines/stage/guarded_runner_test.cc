// A pipeline on guarded links: who gets in, what lies about, and who is killed.
#include <signal.h>

#include <string>
#include <vector>

#include "pipelines/link/link_observer.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "platform/process/proc_file.h"
#include "tests/pipelines/stage/runner_fixture.h"

namespace slipring {

using namespace test;

TEST_CASE("guarded runner: nothing of a link lies in the directory but its socket") {
  const Place place;
  const std::string stop_file = place.path("stop");
  Runner runner(place, place.write("box.toml", leisurely(stop_file)));
  const SegmentDirectory directory = place.directory();
  const BoardObserver own = board_of(runner, directory, "box.runner");
  REQUIRE(eventually([&] { return own.value_of("stages_running") == 3; }));
  std::vector<std::string> sockets;
  for (const std::string& name : place.leftovers()) {
    if (name.ends_with(".guard")) {
      sockets.push_back(name);
    } else {
      // The runner's lock is a named board.
      CHECK(name.find("box.runner") != std::string::npos);
    }
  }
  std::sort(sockets.begin(), sockets.end());
  CHECK(sockets == std::vector<std::string>{"box.commands.guard", "box.first.guard",
                                            "box.relay.board.guard", "box.second.guard",
                                            "box.sink.board.guard", "box.source.board.guard"});
  Result<LinkObserver> link = LinkObserver::attach(directory, "box.first");
  REQUIRE(link.ok());
  REQUIRE(eventually([&] { return link->report().reader.holder != Holder::kNobody; }));
  CHECK(link->report().is_guarded);
  CHECK(link->report().writer.protection == best_protection_level());
  static_cast<void>(place.write("stop", ""));
  CHECK(runner.wait() == kRunFinished);
  CHECK(place.leftovers().empty());
}

TEST_CASE("guarded runner: a stage's ends are for the process that was started for it") {
  const Place place;
  const std::string stop_file = place.path("stop");
  Runner runner(place, place.write("box.toml", leisurely(stop_file)));
  const SegmentDirectory directory = place.directory();
  const BoardObserver sink = board_of(runner, directory, "box.sink.board");
  const auto denied = [&] {
    for (const char* link : {"box.first", "box.second"}) {
      CHECK(LinkWriter::attach(directory, link).error().code == ErrorCode::kPermission);
      CHECK(LinkReader::attach(directory, link).error().code == ErrorCode::kPermission);
    }
    CHECK(LinkReader::attach(directory, "box.commands").error().code == ErrorCode::kPermission);
    CHECK(Board::attach(directory, "box.relay.board").error().code == ErrorCode::kPermission);
  };
  denied();
  // Not in the moment after a death, either, when the role is free.
  const BoardObserver relay = board_of(runner, directory, "box.relay.board");
  for (int kills = 0; kills < 5; ++kills) {
    const std::uint32_t incarnation = relay.incarnation();
    REQUIRE(kill(static_cast<pid_t>(relay.process_id()), SIGKILL) == 0);
    denied();
    REQUIRE(eventually([&] { return relay.incarnation() > incarnation; }));
  }
  // A lane is for whoever has the runner's user.
  CHECK(LinkWriter::attach(directory, "box.commands", MemoryLock::kOff).ok());
  static_cast<void>(place.write("stop", ""));
  CHECK(runner.wait() == kRunFinished);
  CHECK(sink.value_of("faults") == 0);
}

TEST_CASE("guarded runner: every stage is killed in turn, and no number is lost") {
  for (const char* protection : {"guarded", "named"}) {
    CAPTURE(protection);
    constexpr int kKills = 30;
    const Place place;
    const std::string stop_file = place.path("stop");
    std::string text = endless(stop_file);
    text = replaced(text, "name = \"box\"",
                    std::string("name = \"box\"\nprotection = \"") + protection + "\"");
    text = replaced(text, "program = \"count_sink\"",
                    "program = \"count_sink\"\nrestart_limit = 1000");
    Runner runner(place, place.write("box.toml", text));
    const SegmentDirectory directory = place.directory();
    const BoardObserver relay = board_of(runner, directory, "box.relay.board");
    const BoardObserver sink = board_of(runner, directory, "box.sink.board");
    for (int kills = 0; kills < kKills; ++kills) {
      const BoardObserver& victim = kills % 2 == 0 ? relay : sink;
      const std::uint64_t seen = sink.value_of("last_number");
      REQUIRE(eventually([&] { return sink.value_of("last_number") > seen; }));
      const std::uint32_t incarnation = victim.incarnation();
      REQUIRE(kill(static_cast<pid_t>(victim.process_id()), SIGKILL) == 0);
      REQUIRE(eventually([&] { return victim.incarnation() > incarnation; }));
    }
    static_cast<void>(place.write("stop", ""));
    CHECK(runner.wait() == kRunFinished);
    CHECK(sink.value_of("faults") == 0);
    CHECK(place.leftovers().empty());
    MESSAGE(std::string(protection), ": ", kKills, " kills, last number ",
            sink.value_of("last_number"), ", 0 lost");
  }
}

TEST_CASE("guarded runner: what a killed runner leaves is swept by the next") {
  const Place place;
  const std::string stop_file = place.path("stop");
  const std::string file = place.write("box.toml", leisurely(stop_file));
  const SegmentDirectory directory = place.directory();
  {
    Runner runner(place, file);
    const BoardObserver own = board_of(runner, directory, "box.runner");
    REQUIRE(eventually([&] { return own.value_of("stages_running") == 3; }));
    runner.signal(SIGKILL);
    CHECK(runner.wait() == 1000 + SIGKILL);
  }
  CHECK_FALSE(place.leftovers().empty());
  CHECK(LinkWriter::attach(directory, "box.first").error().code == ErrorCode::kNotFound);
  static_cast<void>(place.write("stop", ""));
  Runner again(place, file);
  CHECK(again.wait() == kRunFinished);
  CHECK(place.leftovers().empty());
}

TEST_CASE("guarded runner: a stage in a sandbox can gain no privileges") {
  const Place place;
  const std::string stop_file = place.path("stop");
  Runner runner(place, place.write("box.toml", replaced(leisurely(stop_file), "name = \"box\"",
                                                        "name = \"box\"\nsandbox = \"on\"")));
  const SegmentDirectory directory = place.directory();
  const BoardObserver relay = board_of(runner, directory, "box.relay.board");
  const BoardObserver sink = board_of(runner, directory, "box.sink.board");
  // It shuts itself in when it has its ends, just before it begins to work.
  REQUIRE(eventually([&] { return sink.value_of("last_number") > 0; }));
  const std::string path = "/proc/" + std::to_string(relay.process_id()) + "/status";
  Result<std::string> status = read_proc_file(path.c_str());
  REQUIRE(status.ok());
  CHECK(proc_field(*status, "NoNewPrivs") == "1");
  CHECK(proc_field(*status, "Seccomp") == "2");  // platform/process/refused_calls.h
  static_cast<void>(place.write("stop", ""));
  CHECK(runner.wait() == kRunFinished);
  CHECK(sink.value_of("faults") == 0);
}

}  // namespace slipring
