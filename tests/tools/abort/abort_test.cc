#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/link/stream_link.h"
#include "platform/wait/clock.h"
#include "platform/wait/waiter.h"
#include "tests/platform/other_process.h"
#include "tests/tools/command_fixture.h"

namespace slipring::tools {
namespace {

template <typename End>
End attach(const CommandFixture& fixture, const char* name) {
  Result<End> end = End::attach(fixture.directory(), name, MemoryLock::kOff);
  REQUIRE(end.ok());
  return std::move(end).value();
}

void put(LinkWriter& writer, std::uint64_t number) {
  std::span<std::byte> place;
  REQUIRE(writer.try_reserve(sizeof number, place) == Transfer::kDone);
  std::memcpy(place.data(), &number, sizeof number);
  writer.commit(sizeof number);
}

// Waits for a command, asleep, and obeys it.
bool obey(LinkReader& reader) {
  Waiter waiter;
  const WaitPoint point = reader.control_point();
  const WaitOutcome outcome = waiter.wait(
      std::span<const WaitPoint>(&point, 1), [&] { return reader.has_command(); },
      deadline_after(30'000'000'000));
  reader.obey_commands();
  return outcome == WaitOutcome::kReady;
}

TEST_CASE("abort: --wait says what the reader dropped, and how long it took") {
  const CommandFixture fixture;
  fixture.make_records("jobs", 65536);
  LinkWriter writer = attach<LinkWriter>(fixture, "jobs");
  LinkReader reader = attach<LinkReader>(fixture, "jobs");
  for (std::uint64_t i = 0; i < 1000; ++i) put(writer, i);
  Running running = fixture.start({"abort", "jobs", "--wait=30", "--json"});
  REQUIRE(obey(reader));
  const Ending ending = fixture.finish(std::move(running));
  CHECK(ending.exit_status == 0);
  CHECK(ending.err == "");
  const auto json = nlohmann::json::parse(ending.out);
  CHECK(json.at("schema") == 1);
  CHECK(json.at("name") == "jobs");
  CHECK(json.at("kind") == "records");
  CHECK(json.at("before") == writer.position());
  CHECK(json.at("observed") == true);
  CHECK(json.at("observed_after_us") > 0);
  CHECK(json.at("dropped_messages") == 1000);
  CHECK(json.at("dropped_bytes") == 16000);
  CHECK(writer.drops().dropped.messages == 1000);
  put(writer, 1000);
  Message message;
  REQUIRE(reader.try_peek(message) == Transfer::kDone);
  std::uint64_t number = 0;
  std::memcpy(&number, message.bytes.data(), sizeof number);
  CHECK(number == 1000);

  reader.release(message);
  Running spoken = fixture.start({"abort", "jobs", "--wait=30"});
  REQUIRE(obey(reader));
  CHECK(contains(fixture.finish(std::move(spoken)).out, "jobs dropped 0 messages, 0 B before"));
}

TEST_CASE("abort: a stream drops bytes") {
  const CommandFixture fixture;
  REQUIRE(create_link(fixture.directory(), "bytes", stream_link_shape(65536)).ok());
  StreamWriter writer = attach<StreamWriter>(fixture, "bytes");
  StreamReader reader = attach<StreamReader>(fixture, "bytes");
  const std::vector<std::byte> bytes(50'000);
  std::size_t count = 0;
  REQUIRE(writer.try_write(bytes, count) == Transfer::kDone);
  const Ending ending = fixture.call({"abort", "bytes", "--json"});
  CHECK(ending.exit_status == 0);
  const auto json = nlohmann::json::parse(ending.out);
  CHECK(json.at("queued") == 50'000);
  CHECK_FALSE(json.contains("observed"));
  CHECK_FALSE(reader.is_finished());
  StreamView view;
  CHECK(reader.try_peek(view) == Transfer::kBlocked);
  CHECK(writer.drops().dropped.bytes == 50'000);
}

TEST_CASE("abort: without a reader the command stays for the next one, and --wait is status 4") {
  const CommandFixture fixture;
  fixture.make_records("jobs");
  LinkWriter writer = attach<LinkWriter>(fixture, "jobs");
  for (std::uint64_t i = 0; i < 7; ++i) put(writer, i);
  const Ending ending = fixture.call({"abort", "jobs", "--wait=0.01"});
  CHECK(ending.exit_status == 4);
  CHECK(ending.out == "");
  CHECK(contains(ending.err, "nobody reads jobs now"));
  CHECK(contains(ending.err, "it still will"));
  LinkReader reader = attach<LinkReader>(fixture, "jobs");
  Message message;
  CHECK(reader.try_peek(message) == Transfer::kBlocked);
  CHECK(writer.drops().dropped.messages == 7);
}

TEST_CASE("abort: a commander that was stopped is named, and nothing is taken from it") {
  const CommandFixture fixture;
  fixture.make_records("jobs");
  OtherProcess holder([&](Line line) {
    Result<SegmentFile> file = SegmentFile::open(fixture.directory(), "jobs");
    Result<Certificate> held =
        Certificate::acquire(file->lock_file(), static_cast<std::uint32_t>(Role::kCommander));
    line.say(held.ok() ? 'y' : 'n');
    return line.hear() == 'x' ? 1 : 0;
  });
  REQUIRE(holder.line().hear() == 'y');
  const Ending refused = fixture.call({"abort", "jobs", "--timeout", "0.02"});
  CHECK(refused.exit_status == 4);
  CHECK(contains(refused.err, std::to_string(holder.pid())));
  Running running = fixture.start({"abort", "jobs", "--timeout", "30"});
  holder.kill_now();
  CHECK(fixture.finish(std::move(running)).exit_status == 0);
}

// A pipe whose reading end nobody reads, until read_all().
struct Outlet {
  int ends[2] = {-1, -1};
  Outlet() { REQUIRE(pipe2(ends, O_CLOEXEC) == 0); }
  Outlet(const Outlet&) = delete;
  Outlet& operator=(const Outlet&) = delete;
  ~Outlet() {
    close(ends[0]);
    if (ends[1] >= 0) close(ends[1]);
  }
  std::string read_all() {
    close(std::exchange(ends[1], -1));
    std::string all;
    char piece[65536];
    for (ssize_t got = 1; (got = read(ends[0], piece, sizeof piece)) > 0;) {
      all.append(piece, static_cast<std::size_t>(got));
    }
    return all;
  }
};

TEST_CASE("abort: `get` that is blocked in a full pipe drops what is queued at once") {
  const CommandFixture fixture;
  constexpr std::size_t kCapacity = 1 << 20;
  REQUIRE(create_link(fixture.directory(), "bytes", stream_link_shape(kCapacity)).ok());
  StreamWriter writer = attach<StreamWriter>(fixture, "bytes");
  Outlet outlet;
  Running getter = fixture.start({"get", "bytes"}, {.stdout_fd = outlet.ends[1]});
  const std::vector<std::byte> queued(kCapacity, std::byte{'q'});
  std::size_t published = 0;
  REQUIRE(writer.try_write(queued, published) == Transfer::kDone);
  REQUIRE(published == kCapacity);
  // The pipe holds a sixteenth of it, and nobody reads: without being interrupted it never looks.
  const Ending aborted = fixture.call({"abort", "bytes", "--wait=30"});
  CAPTURE(aborted.err);
  CHECK(aborted.exit_status == 0);
  const std::uint64_t dropped = writer.drops().dropped.bytes;
  CHECK(dropped > 0);
  const std::string fresh = "fresh";
  std::size_t count = 0;
  REQUIRE(writer.try_write(std::as_bytes(std::span(fresh)), count) == Transfer::kDone);
  writer.close();
  const std::string got = outlet.read_all();
  CHECK(fixture.finish(std::move(getter)).exit_status == 0);
  CHECK(got.size() == kCapacity - dropped + fresh.size());
  CHECK(got.substr(got.size() - fresh.size()) == fresh);
  CHECK(got.find('f') == got.size() - fresh.size());
}

TEST_CASE("abort: `get --lines` that is blocked in a full pipe drops the messages queued") {
  const CommandFixture fixture;
  fixture.make_records("lines", 1 << 20);
  LinkWriter writer = attach<LinkWriter>(fixture, "lines");
  std::uint64_t published = 0;
  for (std::span<std::byte> place; writer.try_reserve(1000, place) == Transfer::kDone;) {
    std::memset(place.data(), 'q', place.size());
    writer.commit(1000);
    ++published;
  }
  Outlet outlet;
  Running getter = fixture.start({"get", "lines", "--lines"}, {.stdout_fd = outlet.ends[1]});
  // Once it has written some, it is bound to be blocked.
  pollfd some{outlet.ends[0], POLLIN, 0};
  REQUIRE(poll(&some, 1, 30'000) == 1);
  const Ending aborted = fixture.call({"abort", "lines", "--wait=30"});
  CAPTURE(aborted.err);
  CHECK(aborted.exit_status == 0);
  std::span<std::byte> place;
  REQUIRE(writer.try_reserve(5, place) == Transfer::kDone);
  std::memcpy(place.data(), "fresh", 5);
  writer.commit(5);
  writer.close();
  const std::string got = outlet.read_all();
  CHECK(fixture.finish(std::move(getter)).exit_status == 0);
  const std::vector<std::string> lines = lines_of(got);
  const std::uint64_t dropped = writer.drops().dropped.messages;
  CHECK(dropped > 0);
  CHECK(lines.size() == published - dropped + 1);
  CHECK(lines.back() == "fresh");
}

TEST_CASE("abort: what is no link is refused") {
  const CommandFixture fixture;
  REQUIRE(create_link(fixture.directory(), "jobs", stream_link_shape(4096)).ok());
  fixture.scribble("jobs", 0, "nonsense");
  CHECK(fixture.call({"abort", "jobs"}).exit_status == 5);
  CHECK(fixture.call({"abort", "jobs", "--wait=soon"}).exit_status == 2);
}

}  // namespace
}  // namespace slipring::tools
