#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pipelines/link/board.h"
#include "pipelines/link/lane_reader.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_segment.h"
#include "pipelines/link/link_writer.h"
#include "platform/memory/segment_file.h"
#include "tests/tools/command_fixture.h"

namespace slipring::tools {
namespace {

std::vector<std::string> names_in(const CommandFixture& fixture) {
  return fixture.directory().list().value();
}

std::string version_bytes(std::uint32_t version) {
  return {reinterpret_cast<const char*>(&version), sizeof version};
}

// Kills a child that has taken the writing role.
void die_as_writer(const CommandFixture& fixture, std::string_view name) {
  std::array<int, 2> ready{};
  REQUIRE(pipe2(ready.data(), O_CLOEXEC) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    Result<LinkWriter> writer = LinkWriter::attach(fixture.directory(), name, MemoryLock::kOff);
    const char word = writer.ok() ? 'y' : 'n';
    static_cast<void>(write(ready[1], &word, 1));
    for (;;) pause();
  }
  char word = 0;
  CHECK(read(ready[0], &word, 1) == 1);
  CHECK(word == 'y');
  kill(child, SIGKILL);
  CHECK(waitpid(child, nullptr, 0) == child);
  close(ready[0]);
  close(ready[1]);
}

TEST_CASE("rm: what nobody holds goes, by name and by pattern") {
  const CommandFixture fixture;
  for (const char* name : {"settop.ts", "settop.es", "settopper", "other"}) {
    fixture.make_records(name);
  }
  const Ending ending = fixture.call({"rm", "settop.*", "other"});
  CHECK(ending.exit_status == 0);
  CHECK(ending.out == "removed other\nremoved settop.es\nremoved settop.ts\n");
  CHECK(names_in(fixture) == std::vector<std::string>{"settopper"});
}

TEST_CASE("rm: a pipeline's name alone removes nothing, and says how it would") {
  const CommandFixture fixture;
  fixture.make_records("settop.ts");
  const Ending ending = fixture.call({"rm", "settop"});
  CHECK(ending.exit_status == 3);
  CHECK(contains(ending.err, "did you mean 'settop.*'?"));
  CHECK(names_in(fixture).size() == 1);
}

TEST_CASE("rm: what a living process holds stays, with role and process named") {
  const CommandFixture fixture;
  fixture.make_records("a");
  fixture.make_records("b");
  REQUIRE(create_board(fixture.directory(), "c").ok());
  fixture.make_records("d");
  const std::string pid = std::to_string(getpid());
  Result<LinkWriter> writer = LinkWriter::attach(fixture.directory(), "a", MemoryLock::kOff);
  Result<LinkReader> reader = LinkReader::attach(fixture.directory(), "b", MemoryLock::kOff);
  Result<Board> board = Board::attach(fixture.directory(), "c", MemoryLock::kOff);
  REQUIRE((writer.ok() && reader.ok() && board.ok()));
  const Ending ending = fixture.call({"rm", "a", "b", "c", "d"});
  CHECK(ending.exit_status == 1);
  CHECK(ending.out == "removed d\n");
  CHECK(contains(ending.err, "cannot remove a: in use by writer " + pid));
  CHECK(contains(ending.err, "cannot remove b: in use by reader " + pid));
  CHECK(contains(ending.err, "cannot remove c: in use by stage " + pid));
  CHECK(names_in(fixture) == std::vector<std::string>{"a", "b", "c"});
}

TEST_CASE("rm: --force removes what is held, and says what that means") {
  const CommandFixture fixture;
  fixture.make_records("a");
  Result<LinkWriter> writer = LinkWriter::attach(fixture.directory(), "a", MemoryLock::kOff);
  REQUIRE(writer.ok());
  const Ending ending = fixture.call({"rm", "a", "--force"});
  CHECK(ending.exit_status == 0);
  CHECK(ending.out == "removed a\n");
  CHECK(contains(ending.err, "was in use by writer " + std::to_string(getpid())));
  CHECK(names_in(fixture).empty());
}

TEST_CASE("rm: --stale takes what the dead have left, and neither the living's nor the new") {
  const CommandFixture fixture;
  for (const char* name : {"dead", "held", "new"}) fixture.make_records(name);
  Result<LinkReader> reader = LinkReader::attach(fixture.directory(), "held", MemoryLock::kOff);
  REQUIRE(reader.ok());
  die_as_writer(fixture, "dead");
  die_as_writer(fixture, "held");
  const Ending ending = fixture.call({"rm", "--stale"});
  CHECK(ending.exit_status == 0);
  CHECK(ending.out == "removed dead\n");
  CHECK(ending.err == "");
  CHECK(names_in(fixture) == std::vector<std::string>{"held", "new"});
}

TEST_CASE("rm: unread messages that go with a segment are mentioned") {
  const CommandFixture fixture;
  fixture.make_records("a");
  {
    Result<LinkWriter> writer = LinkWriter::attach(fixture.directory(), "a", MemoryLock::kOff);
    REQUIRE(writer.ok());
    std::span<std::byte> place;
    REQUIRE(writer->try_reserve(100, place) == Transfer::kDone);
    writer->commit(100);
  }
  const Ending ending = fixture.call({"rm", "a"});
  CHECK(ending.exit_status == 0);
  CHECK(contains(ending.err, "nobody had finished"));
}

TEST_CASE("rm: a segment of another layout version goes when it is named") {
  const CommandFixture fixture;
  fixture.make_records("old");
  fixture.scribble("old", 8, version_bytes(99));
  const Ending stale = fixture.call({"rm", "--stale"});
  CHECK(stale.exit_status == 0);
  CHECK(contains(stale.err, "version 99"));
  CHECK(names_in(fixture).size() == 1);
  const Ending named = fixture.call({"rm", "old"});
  CHECK(named.exit_status == 0);
  CHECK(named.out == "removed old\n");
  CHECK(names_in(fixture).empty());
}

TEST_CASE("rm: a role that only another layout version knows is respected") {
  const CommandFixture fixture;
  fixture.make_records("old");
  fixture.scribble("old", 8, version_bytes(99));
  Result<SegmentFile> file = SegmentFile::open(fixture.directory(), "old");
  REQUIRE(file.ok());
  Result<Certificate> certificate = Certificate::acquire(file->lock_file(), 7);
  REQUIRE(certificate.ok());
  const Ending ending = fixture.call({"rm", "old"});
  CHECK(ending.exit_status == 1);
  CHECK(contains(ending.err, "role 7 " + std::to_string(getpid())));
  CHECK(names_in(fixture).size() == 1);
}

TEST_CASE("rm: a file that is no segment goes by --force only") {
  const CommandFixture fixture;
  const std::string path = fixture.path() + "/notes";
  close(open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  CHECK(fixture.call({"rm", "notes"}).exit_status == 3);
  CHECK(access(path.c_str(), F_OK) == 0);
  CHECK(fixture.call({"rm", "notes", "--force"}).exit_status == 0);
  CHECK(access(path.c_str(), F_OK) != 0);
}

TEST_CASE("rm: JSON says of each segment what became of it") {
  const CommandFixture fixture;
  fixture.make_records("a");
  fixture.make_records("b");
  Result<LinkWriter> writer = LinkWriter::attach(fixture.directory(), "a", MemoryLock::kOff);
  REQUIRE(writer.ok());
  const Ending ending = fixture.call({"rm", "a", "b", "--json"});
  CHECK(ending.exit_status == 1);
  const auto json = nlohmann::json::parse(ending.out);
  CHECK(json.at("schema") == 1);
  const auto& segments = json.at("segments");
  REQUIRE(segments.size() == 2);
  CHECK(segments[0].at("removed") == false);
  CHECK(segments[0].at("holders")[0].at("pid") == getpid());
  CHECK(segments[1].at("removed") == true);
}

// A mailbox with a letter of a sender that has gone.
void leave_mail(const CommandFixture& fixture, const char* name) {
  REQUIRE(create_link(fixture.directory(), name, lane_set_shape(2, 4096)).ok());
  Result<LinkWriter> sender = LinkWriter::attach(fixture.directory(), name, MemoryLock::kOff);
  REQUIRE(sender.ok());
  std::span<std::byte> place;
  REQUIRE(sender->try_reserve(8, place) == Transfer::kDone);
  sender->commit(8);
}

TEST_CASE("rm: --stale keeps a mailbox with unread mail, says so, and takes it when told to") {
  const CommandFixture fixture;
  leave_mail(fixture, "box");
  leave_mail(fixture, "other");
  const Ending kept = fixture.call({"rm", "--stale"});
  CHECK(kept.exit_status == 0);
  CHECK(kept.out == "");
  CHECK(contains(kept.err, "box is kept: it holds 16 B of mail that nobody has read"));
  CHECK(contains(kept.err, "`slipring rm box` removes it"));
  CHECK(names_in(fixture).size() == 2);
  CHECK(fixture.call({"rm", "box"}).out == "removed box\n");
  CHECK(fixture.call({"rm", "--stale", "--force"}).out == "removed other\n");
  leave_mail(fixture, "read");
  CHECK(fixture.call({"get", "read", "--no-wait"}).exit_status == 0);
  CHECK(fixture.call({"rm", "--stale"}).out == "removed read\n");
}

TEST_CASE("rm: what the wire keeps beside a link goes with the link, and not before") {
  const CommandFixture fixture;
  for (const char* name : {"link", "used"}) fixture.make_records(name);
  for (const char* name :
       {"link.3.wire-in", "link.wire-in", "link.wire-out", "used.wire-in", "gone.wire-in"}) {
    REQUIRE(create_board(fixture.directory(), name).ok());
    REQUIRE(Board::attach(fixture.directory(), name, MemoryLock::kOff).ok());
  }
  CHECK(fixture.call({"rm", "--stale"}).out == "removed gone.wire-in\n");
  Result<LinkWriter> writer = LinkWriter::attach(fixture.directory(), "used", MemoryLock::kOff);
  REQUIRE(writer.ok());
  CHECK(fixture.call({"rm", "used"}).exit_status == 1);
  CHECK(names_in(fixture).size() == 6);
  die_as_writer(fixture, "link");
  const Ending stale = fixture.call({"rm", "--stale"});
  CHECK(stale.out ==
        "removed link\nremoved link.3.wire-in\nremoved link.wire-in\nremoved link.wire-out\n");
  CHECK(fixture.call({"rm", "used.wire-in"}).out == "removed used.wire-in\n");
}

}  // namespace
}  // namespace slipring::tools
