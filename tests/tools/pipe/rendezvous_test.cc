// Many senders and one reader, all of them processes that know only a name.

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "pipelines/link/link_observer.h"
#include "tests/tools/pipe/pipe_fixture.h"

namespace slipring::tools {
namespace {

constexpr const char* kBox = "mailbox:box";

// A `put` into the mailbox, and what it is to send.
struct Sender {
  Running process;
  Descriptor input;
};

Sender start_sender(const CommandFixture& fixture, const std::string& name,
                    std::vector<std::string> more = {}) {
  PipeEnds ends = make_pipe();
  CallOptions options;
  options.stdin_fd = ends.read.get();
  std::vector<std::string> words{"put", name, "--lines"};
  words.insert(words.end(), more.begin(), more.end());
  return {fixture.start(words, options), std::move(ends.write)};
}

// What a process has written so far; the descriptor's place is the process's own.
std::string said(const Descriptor& file) {
  std::string text(std::size_t{1} << 20, '\0');
  const ssize_t got = pread(file.get(), text.data(), text.size(), 0);
  REQUIRE(got >= 0);
  text.resize(static_cast<std::size_t>(got));
  return text;
}

void until_said(const Descriptor& file, std::string_view text) {
  until("it says so", [&] { return contains(said(file), text); });
}

std::uint32_t senders_of(const CommandFixture& fixture, const char* name) {
  Result<LinkObserver> set = LinkObserver::attach(fixture.directory(), name);
  std::uint32_t count = 0;
  if (!set) return 0;
  for (const LinkReport::Lane& lane : set->report().lanes) {
    if (lane.writer.holder != Holder::kNobody) ++count;
  }
  return count;
}

Ending finish_killed(const CommandFixture& fixture, Sender sender) {
  REQUIRE(sender.process.peer.send_signal(SIGKILL).ok());
  Ending ending = fixture.finish(std::move(sender.process));
  CHECK(ending.signal_number == SIGKILL);
  return ending;
}

TEST_CASE("rendezvous: senders wait for their reader; one is killed waiting") {
  const CommandFixture fixture;
  Sender first = start_sender(fixture, kBox);
  Sender second = start_sender(fixture, kBox);
  Sender killed = start_sender(fixture, kBox);
  write_all(first.input, "1\n");
  write_all(second.input, "2\n");
  write_all(killed.input, "never\n");
  until("all three wait", [&] { return senders_of(fixture, "box") == 3; });
  CHECK(published(fixture, "box") == 0);  // nothing is stored before the opening is through
  static_cast<void>(finish_killed(fixture, std::move(killed)));
  first.input.reset();
  second.input.reset();
  const Ending got = fixture.call({"get", kBox, "--json"});
  CHECK(got.exit_status == 0);
  std::map<std::string, std::int64_t> senders;
  for (const std::string& line : lines_of(got.out)) {
    const auto json = nlohmann::json::parse(line);
    senders[json.at("text")] = json.at("sender").at("pid");
  }
  CHECK(senders == std::map<std::string, std::int64_t>{{"1", first.process.peer.pid()},
                                                       {"2", second.process.peer.pid()}});
  const Ending sent = fixture.finish(std::move(first.process));
  CHECK(sent.exit_status == 0);
  CHECK(contains(sent.err, "waiting for box: nobody reads it"));
  CHECK(fixture.finish(std::move(second.process)).exit_status == 0);
}

TEST_CASE("rendezvous: who finds every lane taken waits for one, and a waiter's death frees it") {
  const CommandFixture fixture;
  REQUIRE(fixture.call({"create", "two", "--kind", "lanes", "--lanes", "2"}).exit_status == 0);
  Sender first = start_sender(fixture, "two");
  Sender second = start_sender(fixture, "two");
  until("both lanes are taken", [&] { return senders_of(fixture, "two") == 2; });
  CHECK(fixture.call({"put", "two", "--lines", "--no-wait"}).exit_status == 4);
  const Ending late = fixture.call({"put", "two", "--lines", "-W", "0.01"});
  CHECK(late.exit_status == 4);
  CHECK(contains(late.err, "all 2 are taken by living processes"));
  Sender third = start_sender(fixture, "two");
  write_all(third.input, "third\n");
  third.input.reset();
  until_said(third.process.err, "waiting for two: all 2 are taken");
  static_cast<void>(finish_killed(fixture, std::move(first)));
  second.input.reset();
  const Ending got = fixture.call({"get", "two"});
  CHECK(got.exit_status == 0);
  // The reader may find its last sender gone before the third has come.
  const Ending rest = fixture.call({"get", "two", "--no-wait"});
  CHECK(rest.exit_status == 0);
  static_cast<void>(fixture.finish(std::move(second.process)));
  if (got.out + rest.out != "third\n") CHECK(fixture.call({"get", "two"}).out == "third\n");
  CHECK(fixture.finish(std::move(third.process)).exit_status == 0);
}

TEST_CASE("rendezvous: without waiting, mail is left, and what is there is taken") {
  const CommandFixture fixture;
  Sender sender = start_sender(fixture, kBox, {"--no-wait"});
  write_all(sender.input, "left\n");
  sender.input.reset();
  CHECK(fixture.finish(std::move(sender.process)).exit_status == 0);
  CHECK(fixture.call({"get", kBox, "--no-wait"}).out == "left\n");
  const Ending nothing = fixture.call({"get", kBox, "--no-wait"});
  CHECK(nothing.exit_status == 0);
  CHECK(nothing.out == "");
  const Ending alone = fixture.call({"put", kBox, "--lines", "-W", "0.01"});
  CHECK(alone.exit_status == 4);
  CHECK(contains(alone.err, "nobody reads it"));
  const Ending wrong = fixture.call({"put", "plain", "--lines", "--no-wait"});
  CHECK(wrong.exit_status == 2);
}

TEST_CASE("rendezvous: a reader stands by, and goes on where the first was killed") {
  const CommandFixture fixture;
  Running first = fixture.start({"get", kBox, "--stay"});
  Sender sender = start_sender(fixture, kBox);
  write_all(sender.input, "one\n");
  until_said(first.out, "one\n");
  CHECK(fixture.call({"get", kBox, "--no-wait"}).exit_status == 4);
  Running second = fixture.start({"get", kBox});
  until_said(second.err, "waiting for box");
  REQUIRE(first.peer.send_signal(SIGKILL).ok());
  static_cast<void>(fixture.finish(std::move(first)));
  write_all(sender.input, "two\n");
  sender.input.reset();
  const Ending got = fixture.finish(std::move(second));
  CHECK(fixture.finish(std::move(sender.process)).exit_status == 0);
  // What was read and not yet finished is given again.
  CHECK((got.out == "two\n" || got.out == "one\ntwo\n"));
}

TEST_CASE("rendezvous: of many at once each line is whole, each sender's in order") {
  const CommandFixture fixture;
  constexpr int kSenders = 20;  // more than there are lanes
  constexpr int kLines = 200;
  Running reader = fixture.start({"get", kBox, "--stay"});
  std::vector<Running> senders;
  for (int number = 0; number < kSenders; ++number) {
    Sender sender = start_sender(fixture, kBox);
    std::string text;
    for (int line = 0; line < kLines; ++line) {
      text += std::string(50, static_cast<char>('a' + number)) + " " + std::to_string(line) + "\n";
    }
    write_all(sender.input, text);
    senders.push_back(std::move(sender.process));
  }
  for (Running& sender : senders) CHECK(fixture.finish(std::move(sender)).exit_status == 0);
  const auto expected = static_cast<std::ptrdiff_t>(kSenders) * kLines;
  std::string all;
  until("all have been read", [&] {
    all = said(reader.out);
    return std::count(all.begin(), all.end(), '\n') == expected;
  });
  std::map<char, int> next;
  for (const std::string& line : lines_of(all)) {
    const char letter = line.front();
    CHECK(line == std::string(50, letter) + " " + std::to_string(next[letter]++));
  }
  CHECK(next.size() == kSenders);
  REQUIRE(reader.peer.send_signal(SIGTERM).ok());
  CHECK(fixture.finish(std::move(reader)).signal_number == SIGTERM);
}

TEST_CASE("rendezvous: a stop signal ends the waiting, and leaves the lane free") {
  const CommandFixture fixture;
  Sender sender = start_sender(fixture, kBox);
  until("it waits", [&] { return senders_of(fixture, "box") == 1; });
  REQUIRE(sender.process.peer.send_signal(SIGTERM).ok());
  CHECK(fixture.finish(std::move(sender.process)).signal_number == SIGTERM);
  CHECK(senders_of(fixture, "box") == 0);
}

TEST_CASE("rendezvous: who makes the mailbox says who may use it") {
  const CommandFixture fixture;
  Sender sender = start_sender(fixture, kBox, {"--no-wait", "--mode", "0660"});
  write_all(sender.input, "mail\n");
  sender.input.reset();
  CHECK(fixture.finish(std::move(sender.process)).exit_status == 0);
  struct stat seen {};
  REQUIRE(::stat((fixture.path() + "/box").c_str(), &seen) == 0);
  CHECK((seen.st_mode & 0777) == 0660);
  CHECK(fixture.call({"get", "mailbox:other", "--mode", "0777"}).exit_status == 2);
}

bool has_box(const CommandFixture& fixture) {
  return contains(fixture.call({"ls"}).out, "box");
}

TEST_CASE("rendezvous: a mailbox goes with whoever leaves it last, and unread mail keeps it") {
  const CommandFixture fixture;
  const auto leave_mail = [&](const char* text) {
    Sender sender = start_sender(fixture, kBox, {"--no-wait"});
    write_all(sender.input, text);
    sender.input.reset();
    CHECK(fixture.finish(std::move(sender.process)).exit_status == 0);
  };
  leave_mail("one\ntwo\n");
  CHECK(has_box(fixture));
  CHECK(fixture.call({"get", kBox, "-C", "1"}).out == "one\n");
  CHECK(has_box(fixture));
  CHECK(fixture.call({"get", kBox, "--no-wait"}).out == "two\n");
  CHECK_FALSE(has_box(fixture));
  // Nobody came.
  CHECK(fixture.call({"put", kBox, "--lines", "-W", "0.01"}).exit_status == 4);
  CHECK_FALSE(has_box(fixture));
  CHECK(fixture.call({"get", kBox, "--no-wait"}).out == "");
  CHECK_FALSE(has_box(fixture));
  // By its plain name it is the same set.
  leave_mail("three\n");
  CHECK(fixture.call({"get", "box"}).out == "three\n");
  CHECK_FALSE(has_box(fixture));
  // Who made it on purpose has it until it is removed on purpose.
  CHECK(fixture.call({"create", "box", "--kind", "mailbox"}).exit_status == 0);
  leave_mail("four\n");
  CHECK(fixture.call({"get", kBox, "--no-wait"}).out == "four\n");
  CHECK(has_box(fixture));
  CHECK(fixture.call({"rm", "box"}).exit_status == 0);
}

TEST_CASE("rendezvous: a guarded mailbox is met on alike, until its broker goes") {
  const CommandFixture fixture;
  Running broker = fixture.start({"create", "g", "--kind", "mailbox", "--guarded"});
  until("the broker listens", [&] { return contains(fixture.call({"ls"}).out, "sealed"); });
  Sender sender = start_sender(fixture, "mailbox:g");
  Sender killed = start_sender(fixture, "g");
  until_said(sender.process.err, "waiting for g");
  until_said(killed.process.err, "waiting for g");
  static_cast<void>(finish_killed(fixture, std::move(killed)));
  write_all(sender.input, "sealed\n");
  sender.input.reset();
  const Ending got = fixture.call({"get", "mailbox:g", "--json"});
  CHECK(nlohmann::json::parse(got.out).at("sender").at("by_kernel") == true);
  CHECK(fixture.finish(std::move(sender.process)).exit_status == 0);
  Sender orphan = start_sender(fixture, "g");
  until_said(orphan.process.err, "waiting for g");
  REQUIRE(broker.peer.send_signal(SIGKILL).ok());
  static_cast<void>(fixture.finish(std::move(broker)));
  const Ending left = fixture.finish(std::move(orphan.process));
  CHECK(left.exit_status == 1);
  CHECK(contains(left.err, "the set's broker went away"));
}

}  // namespace
}  // namespace slipring::tools
