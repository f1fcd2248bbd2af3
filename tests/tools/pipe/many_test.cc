// `put` and `get` with many senders and many readers: mailboxes, lanes, topics.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "pipelines/link/broadcast_observer.h"
#include "pipelines/link/lane_reader.h"
#include "tests/tools/pipe/pipe_fixture.h"

namespace slipring::tools {
namespace {

// A descriptor that has this text to read, and then ends.  At most what a pipe holds.
Descriptor text_to_read(const std::string& text) {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  Descriptor read_end(ends[0]);
  const Descriptor write_end(ends[1]);
  REQUIRE(write(write_end.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  return read_end;
}

Ending put(const CommandFixture& fixture, const std::string& name, const std::string& text,
           std::vector<std::string> more = {}) {
  std::vector<std::string> words{"put", name, "--lines", "--no-wait"};
  words.insert(words.end(), more.begin(), more.end());
  const Descriptor input = text_to_read(text);
  CallOptions options;
  options.stdin_fd = input.get();
  return fixture.call(words, options);
}

void create_mailbox(const CommandFixture& fixture, std::vector<std::string> more = {}) {
  std::vector<std::string> words{"create", "inbox", "--kind", "mailbox"};
  words.insert(words.end(), more.begin(), more.end());
  const Ending made = fixture.call(words);
  CHECK(made.exit_status == 0);
  CHECK(made.err == "");
}

TEST_CASE("mailbox: mail outlives its senders and its readers, and says whose it is") {
  const CommandFixture fixture;
  create_mailbox(fixture, {"--lanes", "4"});
  CHECK(put(fixture, "inbox", "one\ntwo\nthree\n").exit_status == 0);
  CHECK(put(fixture, "inbox", "four\n").exit_status == 0);
  const Ending first = fixture.call({"get", "inbox", "-C", "2", "--json"});
  CHECK(first.exit_status == 0);
  std::map<std::int64_t, int> senders;
  for (const std::string& line : lines_of(first.out)) {
    const auto json = nlohmann::json::parse(line);
    CHECK(json.at("schema") == 1);
    CHECK(json.at("redelivered") == false);
    CHECK(json.at("sender").at("uid") == geteuid());
    CHECK(json.at("sender").at("protection_level") == "none");
    ++senders[json.at("sender").at("pid").get<std::int64_t>()];
  }
  CHECK(senders.size() == 1);
  const Ending rest = fixture.call({"get", "inbox"});
  CHECK(rest.exit_status == 0);
  CHECK(rest.out == "three\nfour\n");
  const Ending nothing = fixture.call({"get", "inbox", "-W", "0.01"});
  CHECK(nothing.exit_status == 4);
  CHECK(nothing.out == "");
}

TEST_CASE("mailbox: a sender's share bounds it, and others are not kept waiting by it") {
  const CommandFixture fixture;
  create_mailbox(fixture, {"--lanes", "2", "--credit", "3"});
  const Ending full = put(fixture, "inbox", "1\n2\n3\n4\n", {"-W", "0.01"});
  CHECK(full.exit_status == 4);
  CHECK(contains(full.err, "share is used up (3 messages"));
  CHECK(put(fixture, "inbox", "other\n").exit_status == 0);
  // Both lanes have mail of senders that are gone.
  const Ending none = put(fixture, "inbox", "third\n");
  CHECK(none.exit_status == 4);
  CHECK(contains(none.err, "2 lanes hold messages of senders that are gone"));
  const Ending read = fixture.call({"get", "inbox"});
  CHECK(read.out == "1\n2\n3\nother\n");
  CHECK(put(fixture, "inbox", "third\n").exit_status == 0);
}

TEST_CASE("lanes: writers at once are never mixed, and their reader ends when all have gone") {
  const CommandFixture fixture;
  REQUIRE(fixture.call({"create", "all", "--kind", "lanes", "--lanes", "4", "--capacity", "4096"})
              .exit_status == 0);
  const auto line_of = [](char letter, int number) {
    return std::string(40, letter) + " " + std::to_string(number);
  };
  Running reader = fixture.start({"get", "all"});
  // One is there from before the others to after them: in between the reader has no end.
  PipeEnds patience = make_pipe();
  CallOptions patient_options;
  patient_options.stdin_fd = patience.read.get();
  Running patient = fixture.start({"put", "all", "--lines"}, patient_options);
  write_all(patience.write, line_of('p', 0) + "\n");
  until("it has sent", [&] { return published(fixture, "all") != 0; });
  std::vector<Running> writers;
  std::vector<Descriptor> inputs;
  for (const char letter : {'a', 'b', 'c'}) {
    std::string text;
    for (int line = 0; line < 400; ++line) text += line_of(letter, line) + "\n";
    inputs.push_back(text_to_read(text));
    CallOptions options;
    options.stdin_fd = inputs.back().get();
    writers.push_back(fixture.start({"put", "all", "--lines"}, options));
  }
  for (Running& writer : writers) CHECK(fixture.finish(std::move(writer)).exit_status == 0);
  patience.write = Descriptor();
  CHECK(fixture.finish(std::move(patient)).exit_status == 0);
  const Ending got = fixture.finish(std::move(reader));
  CHECK(got.exit_status == 0);
  std::map<char, int> next;
  for (const std::string& line : lines_of(got.out)) {
    const char letter = line.front();
    CHECK(line == line_of(letter, next[letter]++));
  }
  CHECK(next == std::map<char, int>{{'a', 400}, {'b', 400}, {'c', 400}, {'p', 1}});
}

TEST_CASE("topic: each reader gets all, late ones begin where they like, what is lost is said") {
  const CommandFixture fixture;
  Running first = fixture.start({"get", "topic:news", "--json"});
  Running second = fixture.start({"get", "topic:news"});
  until("both have joined", [&] {
    Result<LinkReport> report = look_at_broadcast(fixture.directory(), "news");
    std::uint32_t member_count = 0;
    if (report) {
      for (const LinkReport::Place& place : report->places) member_count += place.is_member;
    }
    return member_count == 2;
  });
  CHECK(put(fixture, "topic:news", "x\ny\n").exit_status == 0);
  const Ending told = fixture.finish(std::move(first));
  CHECK(told.exit_status == 0);
  std::vector<std::string> texts;
  for (const std::string& line : lines_of(told.out)) {
    const auto json = nlohmann::json::parse(line);
    CHECK(json.at("lost") == 0);
    texts.push_back(json.at("text"));
  }
  CHECK(texts == std::vector<std::string>{"x", "y"});
  CHECK(fixture.finish(std::move(second)).out == "x\ny\n");
  CHECK(fixture.call({"get", "topic:news", "--oldest"}).out == "x\ny\n");
  CHECK(fixture.call({"get", "topic:news"}).out == "");
  fixture.make_records("plain");
  const Ending wrong = fixture.call({"get", "topic:plain"});
  CHECK(wrong.exit_status == 5);
  CHECK(contains(wrong.err, "is no topic but carries records"));
}

// Publishes what is written to it, until that is closed.
struct Publisher {
  Running process;
  Descriptor input;
};

Publisher start_publisher(const CommandFixture& fixture, const std::string& name) {
  PipeEnds ends = make_pipe();
  CallOptions options;
  options.stdin_fd = ends.read.get();
  return {fixture.start({"put", name, "--lines"}, options), std::move(ends.write)};
}

std::uint64_t lane_tail(const CommandFixture& fixture, const std::string& name) {
  Result<LinkReport> report = look_at_broadcast(fixture.directory(), name);
  return report ? report->tail : 0;
}

TEST_CASE(
    "topic: several publish at once, each message says whose it is, the killed block nobody") {
  const CommandFixture fixture;
  Running reader = fixture.start({"get", "topic:news", "--json"});
  until("it has joined", [&] {
    Result<LinkReport> report = look_at_broadcast(fixture.directory(), "news");
    return report && std::any_of(report->places.begin(), report->places.end(),
                                 [](const LinkReport::Place& place) { return place.is_member; });
  });
  Publisher first = start_publisher(fixture, "topic:news");
  write_all(first.input, "a0\n");
  until("the first publishes", [&] { return lane_tail(fixture, "news") == 1; });
  Publisher second = start_publisher(fixture, "topic:news");
  write_all(second.input, "b0\n");
  until("the second does", [&] { return lane_tail(fixture, "news.pub1") == 1; });
  const std::map<char, pid_t> pids{{'a', first.process.peer.pid()},
                                   {'b', second.process.peer.pid()}};
  REQUIRE(second.process.peer.send_signal(SIGKILL).ok());
  CHECK(fixture.finish(std::move(second.process)).signal_number == SIGKILL);
  // The place of the dead, with its shape; nobody waits for it, and what it said stays its own.
  Publisher third = start_publisher(fixture, "topic:news");
  const pid_t third_pid = third.process.peer.pid();
  write_all(third.input, "c0\n");
  until("the third does", [&] { return lane_tail(fixture, "news.pub1") == 2; });
  write_all(first.input, "a1\n");
  first.input = Descriptor();
  third.input = Descriptor();
  CHECK(fixture.finish(std::move(first.process)).exit_status == 0);
  CHECK(fixture.finish(std::move(third.process)).exit_status == 0);
  const Ending told = fixture.finish(std::move(reader));
  CHECK(told.exit_status == 0);
  CHECK(contains(told.err, "\"lost_messages\":0"));
  std::map<std::string, std::int64_t> senders;
  for (const std::string& line : lines_of(told.out)) {
    const auto json = nlohmann::json::parse(line);
    if (!json.contains("text")) continue;
    CHECK(json.at("lost") == 0);
    CHECK(json.at("sender").at("uid") == geteuid());
    senders[json.at("text")] = json.at("sender").at("pid").get<std::int64_t>();
  }
  CHECK(senders ==
        std::map<std::string, std::int64_t>{
            {"a0", pids.at('a')}, {"a1", pids.at('a')}, {"b0", pids.at('b')}, {"c0", third_pid}});
  CHECK(fixture.call({"get", "topic:news", "--oldest"}).out == "a0\na1\nb0\nc0\n");
  CHECK(fixture.call({"rm", "news"}).exit_status == 0);
  CHECK(is_gone(fixture));
}

TEST_CASE("topic: one that may have one publisher says so to the second, and what to do") {
  const CommandFixture fixture;
  REQUIRE(fixture
              .call({"create", "strict", "--kind", "broadcast", "--slots", "8", "--slot-size", "32",
                     "--policy", "block"})
              .exit_status == 0);
  Publisher first = start_publisher(fixture, "topic:strict");
  write_all(first.input, "x\n");
  until("the first publishes", [&] { return lane_tail(fixture, "strict") == 1; });
  const Ending refused = put(fixture, "topic:strict", "y\n");
  CHECK(refused.exit_status == 4);
  CHECK(contains(refused.err, std::to_string(first.process.peer.pid())));
  CHECK(contains(refused.err, "one publisher at a time: send to a mailbox"));
  first.input = Descriptor();
  CHECK(fixture.finish(std::move(first.process)).exit_status == 0);
}

TEST_CASE("guarded mailbox: its creator is its broker, and the kernel vouches for each sender") {
  const CommandFixture fixture;
  Running broker = fixture.start({"create", "g", "--kind", "mailbox", "--guarded", "--json"});
  until("the broker listens", [&] { return contains(fixture.call({"ls"}).out, "sealed"); });
  const Descriptor input = text_to_read("hello\n");
  CallOptions options;
  options.stdin_fd = input.get();
  Running sender = fixture.start({"put", "g", "--lines", "--no-wait"}, options);
  const pid_t sender_pid = sender.peer.pid();
  CHECK(fixture.finish(std::move(sender)).exit_status == 0);
  const Ending got = fixture.call({"get", "g", "--json"});
  CHECK(got.exit_status == 0);
  const auto json = nlohmann::json::parse(got.out);
  CHECK(json.at("text") == "hello");
  CHECK(json.at("sender").at("pid") == sender_pid);
  CHECK(json.at("sender").at("by_kernel") == true);
  REQUIRE(broker.peer.send_signal(SIGTERM).ok());
  const Ending ended = fixture.finish(std::move(broker));
  CHECK(nlohmann::json::parse(ended.out).at("guarded") == true);
}

TEST_CASE("guarded topic: its writer's memory is its own, and the kernel vouches for it") {
  const CommandFixture fixture;
  Running broker = fixture.start({"create", "news", "--kind", "broadcast", "--slots", "64",
                                  "--slot-size", "100", "--guarded", "--json"});
  until("the broker listens", [&] { return contains(fixture.call({"ls"}).out, "sealed"); });
  Running reader = fixture.start({"get", "topic:news", "--oldest", "--json"});
  const Descriptor input = text_to_read("x\ny\n");
  CallOptions options;
  options.stdin_fd = input.get();
  Running sender = fixture.start({"put", "topic:news", "--lines"}, options);
  const pid_t sender_pid = sender.peer.pid();
  CHECK(fixture.finish(std::move(sender)).exit_status == 0);
  const Ending got = fixture.finish(std::move(reader));
  CHECK(got.exit_status == 0);
  std::vector<std::string> texts;
  for (const std::string& line : lines_of(got.out)) {
    const auto json = nlohmann::json::parse(line);
    texts.push_back(json.at("text"));
    CHECK(json.at("lost") == 0);
    CHECK(json.at("sender").at("pid") == sender_pid);
    CHECK(json.at("sender").at("by_kernel") == true);
  }
  CHECK(texts == std::vector<std::string>{"x", "y"});
  CHECK(fixture.call({"verify", "news"}).exit_status == 0);
  CHECK(contains(fixture.call({"stat", "news", "--once"}).out, "news"));
  CHECK(fixture.call({"get", "mailbox:news"}).exit_status != 0);
  REQUIRE(broker.peer.send_signal(SIGTERM).ok());
  const Ending ended = fixture.finish(std::move(broker));
  CHECK(nlohmann::json::parse(ended.out).at("slot_count") == 64);
}

TEST_CASE("create: links of many refuse what does not belong to them") {
  const CommandFixture fixture;
  const std::vector<std::vector<std::string>> wrong = {
      {"--kind", "mailbox", "--lanes", "33"},
      {"--kind", "mailbox", "--lanes", "none"},
      {"--kind", "mailbox", "--slots", "8"},
      {"--kind", "records", "--capacity", "4096", "--lanes", "2"},
      {"--kind", "records", "--capacity", "4096", "--guarded"},
      {"--kind", "records", "--capacity", "4096", "--policy", "block"},
      {"--kind", "broadcast"},
      {"--kind", "broadcast", "--slots", "8", "--slot-size", "8", "--guarded", "--readers", "2"},
      {"--kind", "broadcast", "--slots", "8", "--slot-size", "8", "--guarded", "--policy", "block"},
      {"--kind", "broadcast", "--slots", "7", "--slot-size", "8"},
      {"--kind", "broadcast", "--slots", "8", "--slot-size", "8", "--policy", "maybe"},
      {"--kind", "broadcast", "--slots", "8", "--slot-size", "8", "--lag", "2"},
      {"--kind", "broadcast", "--slots", "8", "--slot-size", "8", "--readers", "33"},
  };
  for (const std::vector<std::string>& more : wrong) {
    std::vector<std::string> words{"create", "x"};
    words.insert(words.end(), more.begin(), more.end());
    CHECK(fixture.call(words).exit_status == 2);
  }
  CHECK(fixture.call({"ls"}).out == "");
}

}  // namespace
}  // namespace slipring::tools
