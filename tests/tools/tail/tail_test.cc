#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "pipelines/link/board.h"
#include "pipelines/link/broadcast_layout.h"
#include "pipelines/link/broadcast_receiver.h"
#include "pipelines/link/broadcast_sender.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/link/topic_lanes.h"
#include "pipelines/link/value_link.h"
#include "platform/process/descriptor.h"
#include "platform/wait/clock.h"
#include "tests/tools/command_fixture.h"

namespace slipring::tools {
namespace {

void put_text(LinkWriter& writer, const std::string& text) {
  std::span<std::byte> place;
  REQUIRE(writer.try_reserve(text.size(), place) == Transfer::kDone);
  std::ranges::copy(std::as_bytes(std::span(text)), place.begin());
  writer.commit(text.size());
}

// A descriptor that has this text to read, and then ends.
Descriptor text_to_read(const std::string& text) {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  Descriptor read_end(ends[0]);
  const Descriptor write_end(ends[1]);
  REQUIRE(write(write_end.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  return read_end;
}

TEST_CASE("tail: shows what is unread, and takes nothing") {
  const CommandFixture fixture;
  fixture.make_records("log");
  Result<LinkWriter> writer = LinkWriter::attach(fixture.directory(), "log", MemoryLock::kOff);
  REQUIRE(writer.ok());
  put_text(*writer, "one");
  put_text(*writer, std::string("t\two\n\\\x01\xff", 8));
  put_text(*writer, "");
  CHECK(fixture.call({"tail", "log", "--unread", "-n", "3"}).out ==
        "one\nt\\two\\n\\\\\\x01\\xff\n\n");
  CHECK(fixture.call({"tail", "log", "--unread", "-n", "1", "--hex"}).out == "6f6e65\n");
  CHECK(fixture.call({"tail", "log", "--unread", "-n", "1", "--raw"}).out == "one");
  const auto json =
      nlohmann::json::parse(fixture.call({"tail", "log", "--unread", "-n", "1", "--json"}).out);
  CHECK(json.at("schema") == 1);
  CHECK(json.at("hex") == "6f6e65");
  CHECK(json.at("position") == 0);
  CHECK(json.at("lost") == 0);
  Result<LinkReader> reader = LinkReader::attach(fixture.directory(), "log", MemoryLock::kOff);
  REQUIRE(reader.ok());
  Message message;
  REQUIRE(reader->try_peek(message) == Transfer::kDone);
  CHECK(message.bytes.size() == 3);
  CHECK_FALSE(message.redelivered);
}

TEST_CASE("tail: follows until the writer closes, also behind a reader that is quicker") {
  const CommandFixture fixture;
  fixture.make_records("log", 65536);
  Result<LinkWriter> writer = LinkWriter::attach(fixture.directory(), "log", MemoryLock::kOff);
  Result<LinkReader> reader = LinkReader::attach(fixture.directory(), "log", MemoryLock::kOff);
  REQUIRE((writer.ok() && reader.ok()));
  put_text(*writer, "first");
  // With --unread it does not matter when it has started, as long as the reader takes nothing.
  Running running = fixture.start({"tail", "log", "--unread"});
  std::string expected = "first\n";
  for (int i = 0; i < 100; ++i) {
    put_text(*writer, std::to_string(i));
    expected += std::to_string(i) + "\n";
  }
  writer->close();
  const Ending ending = fixture.finish(std::move(running));
  CHECK(ending.exit_status == 0);
  CHECK(ending.out == expected);
  CHECK(ending.err == "");
}

TEST_CASE("tail: what the writer went past is counted, and never shown torn") {
  const CommandFixture fixture;
  fixture.make_records("log", 4096);
  Result<LinkWriter> writer = LinkWriter::attach(fixture.directory(), "log", MemoryLock::kOff);
  Result<LinkReader> reader = LinkReader::attach(fixture.directory(), "log", MemoryLock::kOff);
  REQUIRE((writer.ok() && reader.ok()));
  Running running = fixture.start({"tail", "log", "--unread", "--json"});
  for (int i = 0; i < 20'000; ++i) {
    put_text(*writer,
             std::string(static_cast<std::size_t>(i % 700), static_cast<char>('a' + i % 26)));
    Message message;
    REQUIRE(reader->try_peek(message) == Transfer::kDone);
    reader->release(message);
  }
  writer->close();
  const Ending ending = fixture.finish(std::move(running));
  CHECK(ending.exit_status == 0);
  for (const std::string& line : lines_of(ending.out)) {
    const auto json = nlohmann::json::parse(line);
    const std::string hex = json.at("hex");
    REQUIRE(hex.size() == 2 * json.at("size_bytes").get<std::size_t>());
    for (std::size_t i = 2; i < hex.size(); i += 2) REQUIRE(hex.substr(i, 2) == hex.substr(0, 2));
  }
}

TEST_CASE("tail: slots, and what cannot be listened to") {
  const CommandFixture fixture;
  LinkShape shape;
  shape.kind = SegmentKind::kSlotLink;
  shape.slot_count = 8;
  shape.slot_bytes = 4;
  fixture.make_slots("slots", shape);
  Result<LinkWriter> writer = LinkWriter::attach(fixture.directory(), "slots", MemoryLock::kOff);
  REQUIRE(writer.ok());
  put_text(*writer, "abcd");
  CHECK(fixture.call({"tail", "slots", "--unread", "-n", "1"}).out == "abcd\n");

  shape = {};
  shape.kind = SegmentKind::kStreamLink;
  shape.capacity_bytes = 4096;
  fixture.make_slots("stream", shape);
  const Descriptor input = text_to_read("bytes without boundaries");
  CallOptions options;
  options.stdin_fd = input.get();
  CHECK(fixture.call({"put", "stream"}, options).exit_status == 0);
  CHECK(fixture.call({"tail", "stream", "--unread", "--raw"}).out == "bytes without boundaries");
  CHECK(fixture.call({"get", "stream"}).out == "bytes without boundaries");
  REQUIRE(create_board(fixture.directory(), "numbers").ok());
  const Ending numbers = fixture.call({"tail", "numbers"});
  CHECK(numbers.exit_status == 1);
  CHECK(numbers.out == "");
  CHECK(contains(numbers.err, "a board has numbers and no messages"));
  CHECK(fixture.call({"tail", "nothing"}).exit_status == 3);
  CHECK(fixture.call({"tail"}).exit_status == 2);
  CHECK(fixture.call({"tail", "slots", "-n", "0"}).exit_status == 2);
  CHECK(fixture.call({"tail", "slots", "--raw", "--hex"}).exit_status == 2);
}

bool send_text(BroadcastSender& sender, const std::string& text) {
  return sender.try_send(std::as_bytes(std::span(text))) == Transfer::kDone;
}

TEST_CASE("tail: a topic's messages, whatever its policy, and neither writer nor reader notices") {
  const CommandFixture fixture;
  for (const BroadcastPolicy policy :
       {BroadcastPolicy::kOverwrite, BroadcastPolicy::kBlock, BroadcastPolicy::kEvict}) {
    const std::uint64_t lag_limit = policy == BroadcastPolicy::kEvict ? 4 : 0;
    const std::string name = "news" + std::to_string(static_cast<int>(policy));
    CAPTURE(name);
    REQUIRE(create_broadcast(fixture.directory(), name, {8, 8, 1, policy, lag_limit}).ok());
    Result<BroadcastSender> sender = BroadcastSender::attach(fixture.directory(), name);
    Result<BroadcastReceiver> reader = BroadcastReceiver::attach(fixture.directory(), name);
    REQUIRE((sender.ok() && reader.ok()));
    std::string expected;
    for (int i = 0; i < 3; ++i) {
      REQUIRE(send_text(*sender, std::to_string(i)));
      expected += std::to_string(i) + "\n";
    }
    CHECK(fixture.call({"tail", name, "--unread", "-n", "3"}).out == expected);
    // Its places are all taken, and a tap needs none.
    CHECK(sender->count_members() == 1);
    Running running = fixture.start({"tail", name, "--unread", "--json"});
    BroadcastMessage message;
    for (int i = 3; i < 2000; ++i) {
      REQUIRE(send_text(*sender, std::to_string(i)));  // full for nobody but its reader
      while (reader->try_receive(message) == Transfer::kDone) reader->release(message);
    }
    CHECK(reader->lost_count() == 0);
    CHECK(reader->evicted_count() == 0);
    sender->close();
    const Ending ending = fixture.finish(std::move(running));
    CHECK(ending.exit_status == 0);
    // From the oldest that was held when it came, every message is shown or counted.
    std::optional<std::uint64_t> next;
    std::uint64_t lost = 0;
    for (const std::string& line : lines_of(ending.out)) {
      const auto json = nlohmann::json::parse(line);
      const std::uint64_t position = json.at("position");
      const std::uint64_t lost_now = json.at("lost");
      if (next) CHECK(position == *next + (lost_now - lost));
      next = position + 1;
      lost = lost_now;
    }
    CHECK(next == 2000);
  }
}

TEST_CASE("tail: a topic of several publishers, whose lanes are there or come later") {
  const CommandFixture fixture;
  REQUIRE(create_broadcast(fixture.directory(), "news", {8, 8, 1, BroadcastPolicy::kOverwrite, 0})
              .ok());
  Result<BroadcastSender> first = attach_publisher(fixture.directory(), "news");
  Result<BroadcastSender> second = attach_publisher(fixture.directory(), "news");
  REQUIRE((first.ok() && second.ok()));
  REQUIRE(send_text(*first, "a"));
  REQUIRE(send_text(*second, "b"));
  CHECK(fixture.call({"tail", "news", "--unread", "-n", "2"}).out == "a\nb\n");
  Running running = fixture.start({"tail", "news", "--unread", "-n", "3"});
  Result<BroadcastSender> third = attach_publisher(fixture.directory(), "news");
  REQUIRE(third.ok());
  REQUIRE(send_text(*third, "c"));
  const Ending ending = fixture.finish(std::move(running));
  CHECK(ending.exit_status == 0);
  CHECK(ending.out == "a\nb\nc\n");
}

TEST_CASE("tail: a guarded topic's messages, over its writers") {
  const CommandFixture fixture;
  Running maker = fixture.start({"create", "news", "--kind", "broadcast", "--guarded", "--slots",
                                 "8", "--slot-size", "8", "--json"});
  const std::uint64_t deadline_ns = deadline_after(60'000'000'000);
  while (!contains(fixture.call({"ls"}).out, "news") && monotonic_ns() < deadline_ns) {
  }
  Running running = fixture.start({"tail", "news", "--unread"});
  for (const char* text : {"one", "two"}) {
    std::optional<BroadcastSender> sender;
    while (!sender && monotonic_ns() < deadline_ns) {
      Result<BroadcastSender> taken = BroadcastSender::attach(fixture.directory(), "news");
      if (taken) sender.emplace(std::move(taken).value());
    }
    REQUIRE(sender.has_value());
    REQUIRE(send_text(*sender, text));
    if (text == std::string("two")) sender->close();
  }
  const Ending ending = fixture.finish(std::move(running));
  CHECK(ending.exit_status == 0);
  CHECK(ending.out == "one\ntwo\n");
  REQUIRE(maker.peer.send_signal(SIGTERM).ok());
  static_cast<void>(fixture.finish(std::move(maker)));
}

TEST_CASE("tail: values that their reader has not finished") {
  const CommandFixture fixture;
  LinkShape shape;
  shape.kind = SegmentKind::kValueLink;
  shape.slot_count = 5;
  shape.slot_bytes = 4;
  fixture.make_slots("values", shape);
  using Writer = ValueWriter<std::array<char, 4>>;
  using Reader = ValueReader<std::array<char, 4>>;
  Result<Writer> writer = Writer::attach(fixture.directory(), "values", MemoryLock::kOff);
  Result<Reader> reader = Reader::attach(fixture.directory(), "values", MemoryLock::kOff);
  REQUIRE((writer.ok() && reader.ok()));
  for (char round = '0'; round < '9'; ++round) {
    REQUIRE(writer->try_push({'a', 'b', 'c', round}) == Transfer::kDone);
    REQUIRE(writer->try_push({'x', 'y', 'z', round}) == Transfer::kDone);
    const std::string digit(1, round);
    CHECK(fixture.call({"tail", "values", "--unread", "-n", "2"}).out ==
          "abc" + digit + "\nxyz" + digit + "\n");
    std::array<char, 4> value{};
    for (int i = 0; i < 2; ++i) REQUIRE(reader->try_pop(value) == Transfer::kDone);
    CHECK(value.back() == round);
  }
}

TEST_CASE("tail: every lane of a set, named or guarded, and nothing is taken") {
  const CommandFixture fixture;
  for (const bool is_guarded : {false, true}) {
    CAPTURE(is_guarded);
    std::vector<std::string> words{"create", "box", "--kind", "mailbox", "--lanes", "3"};
    if (is_guarded) words.insert(words.end(), {"--guarded", "--json"});
    Running maker = fixture.start(words);
    for (const char* text : {"one\n", "two\n"}) {
      Ending put;
      put.exit_status = -1;
      const std::uint64_t deadline_ns = deadline_after(60'000'000'000);
      // Once it is there; before, another link would be made.
      while (!contains(fixture.call({"ls"}).out, "lanes") && monotonic_ns() < deadline_ns) {
      }
      const Descriptor input = text_to_read(text);
      CallOptions options;
      options.stdin_fd = input.get();
      put = fixture.call({"put", "box", "--lines", "--no-wait"}, options);
      CHECK(put.exit_status == 0);
    }
    CHECK(fixture.call({"tail", "box", "--unread", "-n", "2"}).out == "one\ntwo\n");
    CHECK(fixture.call({"get", "box"}).out == "one\ntwo\n");
    if (is_guarded) REQUIRE(maker.peer.send_signal(SIGTERM).ok());
    static_cast<void>(fixture.finish(std::move(maker)));
    if (!is_guarded) CHECK(fixture.call({"rm", "box"}).exit_status == 0);
  }
}

TEST_CASE("tail: a signal ends it") {
  const CommandFixture fixture;
  fixture.make_records("log");
  Running running = fixture.start({"tail", "log"});
  REQUIRE(running.peer.send_signal(SIGTERM).ok());
  CHECK(fixture.finish(std::move(running)).signal_number == SIGTERM);
}

}  // namespace
}  // namespace slipring::tools
