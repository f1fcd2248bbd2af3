#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "pipelines/link/board.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "platform/memory/segment_file.h"
#include "tests/tools/command_fixture.h"

namespace slipring::tools {
namespace {

bool exists(const CommandFixture& fixture, const std::string& name) {
  return std::filesystem::exists(fixture.path() + "/" + name);
}

// Somebody attached and left, or died: what counts is that nobody holds a role.
void use(const CommandFixture& fixture, const char* name, std::uint64_t message_count = 0) {
  fixture.make_records(name);
  Result<LinkWriter> writer = LinkWriter::attach(fixture.directory(), name, MemoryLock::kOff);
  REQUIRE(writer.ok());
  for (std::uint64_t i = 0; i < message_count; ++i) {
    std::span<std::byte> place;
    REQUIRE(writer->try_reserve(8, place) == Transfer::kDone);
    writer->commit(8);
  }
}

// A socket at which nobody listens, as a killed broker leaves it.
void leave_socket(const CommandFixture& fixture, const std::string& name) {
  const Descriptor bound(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  REQUIRE(bound.is_open());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = fixture.path() + "/" + name + ".guard";
  REQUIRE(path.size() < sizeof address.sun_path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  REQUIRE(bind(bound.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
}

std::string leave_lock(const CommandFixture& fixture, const std::string& name) {
  const std::string file = "." + name + ".1.lock";
  std::ofstream(fixture.path() + "/" + file) << "";
  REQUIRE(chmod((fixture.path() + "/" + file).c_str(), 0600) == 0);
  return file;
}

TEST_CASE("reap: lists by default, removes with --yes, and never touches what is held or fresh") {
  const CommandFixture fixture;
  use(fixture, "stale");
  use(fixture, "unread", 3);
  use(fixture, "held");
  fixture.make_records("fresh");
  leave_socket(fixture, "broker");
  const std::string lock = leave_lock(fixture, "orphan");
  Result<LinkReader> holder = LinkReader::attach(fixture.directory(), "held", MemoryLock::kOff);
  REQUIRE(holder.ok());

  for (const auto& words : {std::vector<std::string>{"reap"}, {"reap", "--dry-run"}}) {
    const Ending listed = fixture.call(words);
    CHECK(listed.exit_status == 0);
    CHECK(lines_of(listed.out).size() == 5);
    CHECK(contains(listed.err, "nothing was removed"));
    for (const char* name : {"stale", "unread", "held", "fresh"}) CHECK(exists(fixture, name));
    CHECK(exists(fixture, "broker.guard"));
    CHECK(exists(fixture, lock));
  }

  const Ending reaped = fixture.call({"reap", "--yes", "--json"});
  CHECK(reaped.exit_status == 0);
  const auto json = nlohmann::json::parse(reaped.out);
  CHECK(json.at("schema") == 1);
  CHECK(json.at("dry_run") == false);
  REQUIRE(json.at("leftovers").size() == 4);
  for (const auto& leftover : json.at("leftovers")) {
    CAPTURE(leftover.dump());
    CHECK(leftover.at("removed") == (leftover.at("name") != "unread"));
    CHECK(leftover.at("kept") == (leftover.at("name") == "unread"));
  }
  CHECK_FALSE(exists(fixture, "stale"));
  CHECK_FALSE(exists(fixture, "broker.guard"));
  CHECK_FALSE(exists(fixture, lock));
  for (const char* name : {"unread", "held", "fresh"}) CHECK(exists(fixture, name));

  CHECK(fixture.call({"reap", "--yes", "--unread"}).exit_status == 0);
  CHECK_FALSE(exists(fixture, "unread"));
  for (const char* name : {"held", "fresh"}) CHECK(exists(fixture, name));
  const Ending nothing = fixture.call({"reap"});
  CHECK(nothing.out == "");
  CHECK(contains(nothing.err, "nothing is left behind"));
}

TEST_CASE("reap: a lock file beside a living segment of its name goes alone") {
  const CommandFixture fixture;
  use(fixture, "name");
  Result<LinkReader> holder = LinkReader::attach(fixture.directory(), "name", MemoryLock::kOff);
  REQUIRE(holder.ok());
  const std::string lock = leave_lock(fixture, "name");
  CHECK(fixture.call({"reap", "--yes"}).exit_status == 0);
  CHECK_FALSE(exists(fixture, lock));
  CHECK(exists(fixture, "name"));
  CHECK(SegmentFile::open(fixture.directory(), "name").ok());
}

TEST_CASE("reap: what the wire keeps beside a link is left behind when the link is") {
  const CommandFixture fixture;
  use(fixture, "stale");
  fixture.make_records("fresh");
  for (const char* name : {"stale.wire-in", "fresh.wire-out", "gone.wire-in"}) {
    REQUIRE(create_board(fixture.directory(), name).ok());
    REQUIRE(Board::attach(fixture.directory(), name, MemoryLock::kOff).ok());
  }
  CHECK(lines_of(fixture.call({"reap"}).out).size() == 4);
  CHECK(fixture.call({"reap", "--yes"}).exit_status == 0);
  CHECK(fixture.directory().list().value() == std::vector<std::string>{"fresh", "fresh.wire-out"});
}

TEST_CASE("reap: a link that is kept for its unread messages keeps what the wire keeps beside it") {
  const CommandFixture fixture;
  use(fixture, "mail", 3);
  REQUIRE(create_board(fixture.directory(), "mail.wire-in").ok());
  REQUIRE(Board::attach(fixture.directory(), "mail.wire-in", MemoryLock::kOff).ok());
  // Nor is it called left behind: the link alone is listed, as kept.
  CHECK(lines_of(fixture.call({"reap"}).out).size() == 2);
  CHECK(fixture.call({"reap", "--yes"}).exit_status == 0);
  CHECK(fixture.directory().list().value() == std::vector<std::string>{"mail", "mail.wire-in"});
}

TEST_CASE("reap: what cannot be looked into is left, and said to be") {
  const CommandFixture fixture;
  use(fixture, "odd");
  fixture.scribble("odd", 0, "nonsense");
  const Ending ending = fixture.call({"reap", "--yes"});
  CHECK(ending.exit_status == 0);
  CHECK(contains(ending.err, "odd is left"));
  CHECK(exists(fixture, "odd"));
  CHECK(fixture.call({"reap", "--yes", "--dry-run"}).exit_status == 2);
}

}  // namespace
}  // namespace slipring::tools
