#include "pipelines/link/stream_link.h"

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "pipelines/link/link_observer.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/link/role_watch.h"
#include "tests/pipelines/link/guarded_fixture.h"
#include "tests/pipelines/link/link_fixture.h"

namespace slipring {
namespace {

using test::BrokerProcess;
using test::Directory;
using test::must;

constexpr const char* kName = "t.link";

std::byte byte_at(std::uint64_t position) {
  return static_cast<std::byte>(position * 0x9e37'79b9 >> 24);
}

// Writes as much of the stream as there is room for, at most `most` bytes.
std::uint64_t write_some(StreamWriter& writer, std::size_t most) {
  std::array<std::byte, 5000> bytes;
  REQUIRE(most <= bytes.size());
  for (std::size_t i = 0; i < most; ++i) bytes[i] = byte_at(writer.position() + i);
  std::size_t count = 0;
  static_cast<void>(writer.try_write({bytes.data(), most}, count));
  return count;
}

// Whether what can be read goes on where the reader stands.
bool is_right(const StreamView& view) {
  std::uint64_t position = view.position;
  for (const auto part : {view.bytes.first, view.bytes.second}) {
    for (const std::byte byte : part) {
      if (byte != byte_at(position++)) return false;
    }
  }
  return true;
}

// Writer and reader, each replaced many times, over a link that stands already.
void take_turns(const SegmentDirectory& directory) {
  std::uint64_t written = 0;
  std::uint64_t read = 0;
  StreamReader reader = must(StreamReader::attach(directory, kName));
  for (std::uint32_t round = 0; round < 40; ++round) {
    StreamWriter writer = must(StreamWriter::attach(directory, kName));
    CHECK(writer.incarnation() == round + 1);
    CHECK(writer.position() == written);
    written += write_some(writer, 100 + 97 * round);
    StreamView view;
    REQUIRE(reader.try_peek(view, 1) == Transfer::kDone);
    CHECK(view.position == read);
    CHECK(is_right(view));
    const std::uint64_t some = view.bytes.size() / 2;
    reader.consume(some);
    read += some;
    // What was looked at and not consumed is marked for the successor.
    const std::uint64_t looked_at = view.bytes.size() - some;
    { StreamReader gone = std::move(reader); }
    reader = must(StreamReader::attach(directory, kName));
    REQUIRE(reader.try_peek(view, 1) == Transfer::kDone);
    CHECK(view.position == read);
    CHECK(view.redelivered_bytes == looked_at);
    CHECK(is_right(view));
    read += view.bytes.size();
    reader.consume(view.bytes.size());
    CHECK(read == written);
    if (round == 39) writer.close();
  }
  CHECK(reader.is_finished());
}

TEST_CASE("stream link: bytes in order over forty writers and forty readers, named and guarded") {
  SUBCASE("named") {
    Directory folder;
    SegmentDirectory directory = folder.open();
    REQUIRE(create_link(directory, kName, stream_link_shape(4096)).ok());
    take_turns(directory);
  }
  SUBCASE("guarded") {
    Directory folder;
    SegmentDirectory directory = folder.open();
    BrokerProcess broker(directory, stream_link_shape(4096));
    take_turns(directory);
  }
}

TEST_CASE("stream link: a full ring takes a part, and room given back is seen") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, kName, stream_link_shape(1024)).ok());
  StreamWriter writer = must(StreamWriter::attach(directory, kName));
  StreamReader reader = must(StreamReader::attach(directory, kName));
  CHECK(write_some(writer, 1500) == 1024);
  CHECK_FALSE(writer.has_space());
  std::array<std::byte, 100> piece;
  std::size_t count = 0;
  REQUIRE(reader.try_read(piece, count) == Transfer::kDone);
  CHECK(count == 100);
  CHECK(writer.has_space(100));
  CHECK(write_some(writer, 1500) == 100);
  writer.abort_published();
  CHECK(reader.has_abort());
  CHECK(reader.skip_aborted() == 1024);
  CHECK(write_some(writer, 10) == 10);
  StreamView view;
  REQUIRE(reader.try_peek(view) == Transfer::kDone);
  CHECK(view.bytes.size() == 10);
  CHECK(is_right(view));
}

TEST_CASE("stream link: another kind is refused, and observers count bytes") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, "records", test::records(4096)).ok());
  CHECK(StreamWriter::attach(directory, "records").error().code == ErrorCode::kVersion);
  CHECK(create_link(directory, "odd", stream_link_shape(1000)).error().code ==
        ErrorCode::kInvalidArgument);
  REQUIRE(create_link(directory, kName, stream_link_shape(1024)).ok());
  CHECK(LinkWriter::attach(directory, kName).error().code == ErrorCode::kVersion);
  CHECK(LinkReader::attach(directory, kName).error().code == ErrorCode::kVersion);
  StreamWriter writer = must(StreamWriter::attach(directory, kName));
  CHECK(write_some(writer, 300) == 300);
  const LinkReport report = must(LinkObserver::attach(directory, kName)).report();
  CHECK(report.fill == 300);
  CHECK(report.capacity == 1024);
}

TEST_CASE("role watch: nobody, a living holder with a descriptor, and its certified death") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, kName, stream_link_shape(1024)).ok());
  RoleWatch watch = must(RoleWatch::open(directory, kName, Role::kWriter));
  CHECK(must(watch.look()) == Holder::kNobody);
  CHECK(watch.poll_fd() == -1);
  OtherProcess holder([&](Line line) {
    Result<StreamWriter> writer = StreamWriter::attach(directory, kName);
    line.say(writer.ok() ? 'y' : 'n');
    line.hear();
    return 0;
  });
  REQUIRE(holder.line().hear() == 'y');
  CHECK(must(watch.look()) == Holder::kAnother);
  pollfd death{watch.poll_fd(), POLLIN, 0};
  REQUIRE(death.fd >= 0);
  CHECK(poll(&death, 1, 0) == 0);
  holder.kill_now();
  CHECK(poll(&death, 1, 60'000) == 1);
  CHECK(must(watch.look()) == Holder::kNobody);
  CHECK(watch.poll_fd() == -1);
  StreamWriter ours = must(StreamWriter::attach(directory, kName));
  CHECK(must(watch.look()) == Holder::kUs);
}

}  // namespace
}  // namespace slipring
