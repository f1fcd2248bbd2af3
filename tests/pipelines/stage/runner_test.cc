#include "pipelines/stage/runner.h"

#include "tests/pipelines/stage/runner_fixture.h"

namespace slipring {

using namespace test;

TEST_CASE("runner: a pipeline runs to its end and leaves nothing behind") {
  const Place place;
  Runner runner(place, place.write("box.toml", kChain));
  CHECK(runner.wait() == kRunFinished);
  const std::string said = runner.errors();
  CAPTURE(said);
  CHECK(said.find("sink: last number 5000, 0 repeats, 0 faults") != std::string::npos);
  CHECK(said.find("source: counting") != std::string::npos);
  CHECK(said.find("ended: every stage has finished") != std::string::npos);
  CHECK(runner.output().empty());
  CHECK(place.leftovers().empty());
}

TEST_CASE("runner: a stage killed fifty times loses nothing and repeats only what is marked") {
  constexpr int kKills = 50;
  const Place place;
  const std::string stop_file = place.path("stop");
  Runner runner(place, place.write("box.toml", endless(stop_file)));
  const SegmentDirectory directory = place.directory();
  const BoardObserver relay = board_of(runner, directory, "box.relay.board");
  const BoardObserver sink = board_of(runner, directory, "box.sink.board");
  const BoardObserver own = board_of(runner, directory, "box.runner");
  // Not before the runner is through with starting, and all ends are taken: their brokers are its.
  REQUIRE(eventually([&] { return own.value_of("stages_running") == 3; }));
  REQUIRE(eventually([&] { return sink.value_of("last_number") > 0; }));
  const std::size_t descriptors_before = runner.descriptor_count();
  for (int kill_count = 0; kill_count < kKills; ++kill_count) {
    const std::uint64_t seen = sink.value_of("last_number");
    REQUIRE(eventually([&] { return sink.value_of("last_number") > seen; }));
    const std::uint32_t incarnation = relay.incarnation();
    REQUIRE(kill(static_cast<pid_t>(relay.process_id()), SIGKILL) == 0);
    REQUIRE(eventually([&] { return relay.incarnation() > incarnation; }));
  }
  const std::uint64_t seen = sink.value_of("last_number");
  REQUIRE(eventually([&] { return sink.value_of("last_number") > seen; }));
  // The runner may still be at the last restart.
  CHECK(eventually([&] { return own.value_of("restarts") == kKills; }));
  CHECK(own.value_of("deaths_by_signal") == kKills);
  CHECK(own.value_of("stages_running") == 3);
  CHECK(eventually([&] { return runner.descriptor_count() == descriptors_before; }));
  static_cast<void>(place.write("stop", ""));
  CHECK(runner.wait() == kRunFinished);
  CHECK(sink.value_of("last_number") > 0);
  CHECK(sink.value_of("faults") == 0);
  // A relay is killed in the middle of its work, or this test has shown nothing.
  CHECK(relay.value_of("redelivered") > 0);
  MESSAGE(kKills, " kills, last number ", sink.value_of("last_number"), ", repeats ",
          sink.value_of("repeats"), " of ", relay.value_of("redelivered"), " redelivered");
  const std::string said = runner.errors();
  CHECK(said.find("ended by signal 9 (Killed); restarted in ") != std::string::npos);
  CHECK(said.find("(restart 50)") != std::string::npos);
  CHECK(place.leftovers().empty());
}

TEST_CASE("runner: a stage that fails again and again fails the run, which says why") {
  const Place place;
  const std::string file = replaced(kChain, "count = 5000", "exit = 3");
  Runner runner(place, place.write("box.toml", replaced(file, "program = \"count_source\"",
                                                        "program = \"count_source\"\n"
                                                        "restart_limit = 3")));
  CHECK(runner.wait() == kRunFailed);
  const std::string said = runner.errors();
  CAPTURE(said);
  CHECK(said.find("stage source failed for good: it ended by exit status 3 after 3 restarts within "
                  "10 s (restart_limit = 3)") != std::string::npos);
  CHECK(said.find("source: error: asked to end with status 3") != std::string::npos);
  CHECK(place.leftovers().empty());
}

TEST_CASE("runner: a stage that refuses its configuration is not started again") {
  const Place place;
  Runner runner(place, place.write("box.toml", replaced(kChain, "count = 5000", "count = -1")));
  CHECK(runner.wait() == kRunFailed);
  const std::string said = runner.errors();
  CAPTURE(said);
  CHECK(said.find("source: error: option count: '-1' is not a whole number") != std::string::npos);
  CHECK(said.find("refuses its configuration") != std::string::npos);
  CHECK(said.find("restarted") == std::string::npos);
  CHECK(place.leftovers().empty());
}

TEST_CASE("runner: SIGTERM and SIGINT stop a run, which leaves nothing behind") {
  for (const int number : {SIGTERM, SIGINT}) {
    const Place place;
    Runner runner(place, place.write("box.toml", leisurely(place.path("never"))));
    const BoardObserver sink = board_of(runner, place.directory(), "box.sink.board");
    REQUIRE(eventually([&] { return sink.value_of("last_number") > 0; }));
    const pid_t stage = static_cast<pid_t>(sink.process_id());
    runner.signal(number);
    CHECK(runner.wait() == kRunFinished);
    CHECK_FALSE(lives(stage));
    CHECK(sink.value_of("faults") == 0);
    CHECK(runner.errors().find("stopped as asked") != std::string::npos);
    CHECK(place.leftovers().empty());
  }
}

TEST_CASE("runner: a second signal kills a stage that does not stop") {
  const Place place;
  const std::string file =
      replaced(leisurely(place.path("never")), "until = ", "stubborn = true\nuntil = ");
  // A stage that ignores SIGTERM and is blocked on nobody.
  Runner runner(place, place.write("box.toml", file));
  const SegmentDirectory directory = place.directory();
  const BoardObserver source = board_of(runner, directory, "box.source.board");
  const BoardObserver sink = board_of(runner, directory, "box.sink.board");
  REQUIRE(eventually([&] { return sink.value_of("last_number") > 0; }));
  // Stopped, it cannot even notice that nobody reads on.
  const pid_t stage = static_cast<pid_t>(source.process_id());
  REQUIRE(kill(stage, SIGSTOP) == 0);
  runner.signal(SIGTERM);
  REQUIRE(eventually(
      [&] { return runner.errors().find("stopping: asked to terminate") != std::string::npos; }));
  runner.signal(SIGTERM);
  CHECK(runner.wait() == kRunFailed);
  CHECK_FALSE(lives(stage));
  CHECK(runner.errors().find("is killed: asked to stop a second time") != std::string::npos);
  CHECK(place.leftovers().empty());
}

TEST_CASE("runner: no stage survives a killed runner, and the next run sweeps up") {
  const Place place;
  Runner killed(place, place.write("box.toml", leisurely(place.path("never"))));
  const SegmentDirectory directory = place.directory();
  std::vector<pid_t> stages;
  for (const char* name : {"box.source.board", "box.relay.board", "box.sink.board"}) {
    stages.push_back(static_cast<pid_t>(board_of(killed, directory, name).process_id()));
  }
  killed.signal(SIGKILL);
  CHECK(killed.wait() == 1000 + SIGKILL);
  CHECK(eventually([&] { return std::none_of(stages.begin(), stages.end(), lives); }));
  CHECK_FALSE(place.leftovers().empty());

  Runner next(place, place.write("next.toml", kChain));
  CHECK(next.wait() == kRunFinished);
  const std::string said = next.errors();
  CAPTURE(said);
  CHECK(said.find("removed 6 segments that a killed run of box had left") != std::string::npos);
  CHECK(said.find("last number 5000, 0 repeats, 0 faults") != std::string::npos);
  CHECK(place.leftovers().empty());
}

TEST_CASE("runner: the next run waits for stages of a killed one that are just dying") {
  const Place place;
  Runner killed(place, place.write("box.toml", leisurely(place.path("never"))));
  static_cast<void>(board_of(killed, place.directory(), "box.sink.board"));
  killed.signal(SIGKILL);
  CHECK(killed.wait() == 1000 + SIGKILL);
  Runner next(place, place.write("next.toml", kChain));
  CHECK(next.wait() == kRunFinished);
  CHECK(place.leftovers().empty());
}

TEST_CASE("runner: a second runner of a pipeline is refused, and the first goes on") {
  const Place place;
  Runner first(place, place.write("box.toml", leisurely(place.path("stop"))));
  const BoardObserver sink = board_of(first, place.directory(), "box.sink.board");
  Runner second(place, place.write("second.toml", kChain));
  CHECK(second.wait() == kRunFailed);
  const std::string said = second.errors();
  CAPTURE(said);
  CHECK(said.find("second.toml: pipeline is already running: process " +
                  std::to_string(first.pid()) + " runs \"box\"") != std::string::npos);
  const std::uint64_t seen = sink.value_of("last_number");
  CHECK(eventually([&] { return sink.value_of("last_number") > seen; }));
  static_cast<void>(place.write("stop", ""));
  CHECK(first.wait() == kRunFinished);
  CHECK(sink.value_of("faults") == 0);
  CHECK(place.leftovers().empty());
}

TEST_CASE("runner: a segment in use by a stranger is refused and left alone") {
  const Place place;
  const SegmentDirectory directory = place.directory();
  REQUIRE(create_board(directory, "box.sink.board").ok());
  Result<Board> held = Board::attach(directory, "box.sink.board");
  REQUIRE(held.ok());
  Runner runner(place, place.write("box.toml", kChain));
  CHECK(runner.wait() == kRunFailed);
  const std::string said = runner.errors();
  CAPTURE(said);
  CHECK(said.find("box.toml:12: segment is in use: box.sink.board is held by process " +
                  std::to_string(getpid())) != std::string::npos);
  Result<std::vector<std::string>> names = directory.list();
  REQUIRE(names.ok());
  CHECK(*names == std::vector<std::string>{"box.sink.board"});
}

TEST_CASE("runner: a segment of another layout version is refused with its remedy") {
  const Place place;
  const SegmentDirectory directory = place.directory();
  LinkShape shape;
  shape.capacity_bytes = 4096;
  REQUIRE(create_link(directory, "box.first", shape).ok());
  const Descriptor file(open((place.segments() + "/box.first").c_str(), O_RDWR | O_CLOEXEC));
  const std::uint32_t version = kSegmentVersion + 1;
  REQUIRE(pwrite(file.get(), &version, sizeof version, offsetof(SegmentHeader, version)) ==
          sizeof version);
  Runner runner(place, place.write("box.toml", kChain));
  CHECK(runner.wait() == kRunForeignAbi);
  const std::string said = runner.errors();
  CAPTURE(said);
  CHECK(said.find("box.toml:15: segment of another version: box.first has layout " +
                  std::to_string(version)) != std::string::npos);
  CHECK(said.find("`slipring rm box.first`") != std::string::npos);
  Result<std::vector<std::string>> names = directory.list();
  REQUIRE(names.ok());
  CHECK(*names == std::vector<std::string>{"box.first"});
}

TEST_CASE("runner: what the programs do not know is refused before anything starts") {
  struct Case {
    const char* from;
    const char* to;
    const char* finding;
  };
  const Case cases[] = {
      {"count = 5000", "cuont = 5000",
       "box.toml:7: unknown option: program \"count_source\" has no \"cuont\"; did you mean "
       "\"count\"?"},
      {"source.numbers", "source.number",
       "box.toml:17: unknown output port: program \"count_source\" has no \"number\"; did you "
       "mean \"numbers\"?"},
      {"source.numbers", "source.number",
       "box.toml:3: output port joined to nothing: program \"count_source\" needs \"numbers\"; "
       "add a [[link]] with from = \"source.numbers\""},
      {"source.commands", "sink.commands",
       "box.toml:27: unknown command port: program \"count_sink\" has no \"commands\"; it has no "
       "command port"},
      {"\"count_sink\"", "\"/bin/true\"",
       "box.toml:14: program is no stage: /bin/true --describe: its answer is no description of a "
       "stage; name a program that is written with the stage SDK"},
      {"\"count_sink\"", "\"/bin/false\"",
       "box.toml:14: program is no stage: /bin/false --describe: it ended with status 1; name a "
       "program that is written with the stage SDK"},
      {"\"count_sink\"", "\"nowhere\"",
       "box.toml:14: program not found: \"nowhere\" is in none of "},
      {"restart_limit = 1000", "cpu = 8000",
       "box.toml:11: no such CPU: stage \"relay\" asks for 8000; this process may use CPU "},
      {"capacity = \"4KiB\"", "capacity = \"64GiB\"", "box.toml: not enough shared memory: "},
  };
  for (const Case& one : cases) {
    CAPTURE(one.to);
    const Place place;
    Runner runner(place, place.write("box.toml", replaced(kChain, one.from, one.to)));
    CHECK(runner.wait() == kRunRefused);
    const std::string said = runner.errors();
    CAPTURE(said);
    CHECK(said.find(one.finding) != std::string::npos);
    CHECK(said.find("source: counting") == std::string::npos);
    CHECK(place.leftovers().empty());
  }
}

TEST_CASE("runner: --json tells events, states and a summary, an object a line") {
  const Place place;
  Runner runner(place, place.write("box.toml", kChain), true);
  CHECK(runner.wait() == kRunFinished);
  std::istringstream lines(runner.output());
  std::vector<std::string> events;
  std::string last;
  for (std::string line; std::getline(lines, line); last = line) {
    CHECK(line.starts_with("{\"schema\":1,\"event\":\""));
    CHECK(line.ends_with("}"));
    const std::size_t begin = line.find("\"event\":\"") + 9;
    events.push_back(line.substr(begin, line.find('"', begin) - begin));
  }
  REQUIRE(events.size() >= 8);
  CHECK(events.front() == "started");
  CHECK(events.back() == "summary");
  CHECK(std::count(events.begin(), events.end(), "stage_started") == 3);
  CHECK(std::count(events.begin(), events.end(), "stage_finished") == 3);
  CHECK(std::count(events.begin(), events.end(), "state") >= 1);
  CHECK(last.find("\"failed\":false") != std::string::npos);
  CHECK(last.find("\"last_number\":5000") != std::string::npos);
  CHECK(last.find("\"message_count\":5000") != std::string::npos);
  CHECK(runner.errors().empty());
}

}  // namespace slipring
