// A segment of another version, or with any field of its header changed by somebody who also
// mended the check: refused, with what was found and what was wanted.
#include <fcntl.h>
#include <unistd.h>

#include <functional>
#include <string>

#include <doctest/doctest.h>

#include "pipelines/link/board.h"
#include "pipelines/link/link_observer.h"
#include "tests/pipelines/link/link_fixture.h"

namespace slipring {
namespace {

using test::Directory;

struct Change {
  const char* field;
  std::function<void(SegmentHeader&)> apply;
  ErrorCode code;
  std::uint64_t found;  // 0: not looked at
  std::uint64_t wanted;
};

std::vector<Change> changes(const SegmentHeader& whole) {
  const auto version = static_cast<std::uint64_t>(whole.version);
  return {
      {"version N-1", [](SegmentHeader& h) { --h.version; }, ErrorCode::kVersion, version - 1,
       version},
      {"version N+1", [](SegmentHeader& h) { ++h.version; }, ErrorCode::kVersion, version + 1,
       version},
      {"magic", [](SegmentHeader& h) { h.magic ^= 1; }, ErrorCode::kVersion, whole.magic ^ 1,
       whole.magic},
      {"byte order", [](SegmentHeader& h) { h.magic = __builtin_bswap64(h.magic); },
       ErrorCode::kVersion, __builtin_bswap64(whole.magic), whole.magic},
      {"header_bytes", [](SegmentHeader& h) { h.header_bytes -= 8; }, ErrorCode::kVersion, 0, 0},
      {"lock_inode", [](SegmentHeader& h) { ++h.lock_inode; }, ErrorCode::kCorruptPeer,
       whole.lock_inode, whole.lock_inode + 1},
      {"total_bytes", [](SegmentHeader& h) { h.total_bytes += 4096; }, ErrorCode::kCorruptPeer,
       whole.total_bytes, whole.total_bytes + 4096},
      {"page_bytes", [](SegmentHeader& h) { h.page_bytes = 100; }, ErrorCode::kCorruptPeer, 0, 0},
      {"region_count", [](SegmentHeader& h) { h.region_count = 99; }, ErrorCode::kCorruptPeer, 99,
       kMaxRegions},
      {"parameter_count", [](SegmentHeader& h) { h.parameter_count = 99; }, ErrorCode::kCorruptPeer,
       0, 0},
      {"a parameter", [](SegmentHeader& h) { h.parameters[0] += 4096; }, ErrorCode::kCorruptPeer, 0,
       0},
      {"a region's offset", [](SegmentHeader& h) { h.regions[0].offset_bytes += 1; },
       ErrorCode::kCorruptPeer, 0, 0},
      {"a region's size", [](SegmentHeader& h) { h.regions[1].size_bytes += 4096; },
       ErrorCode::kCorruptPeer, 0, 0},
      {"a region's role", [](SegmentHeader& h) { h.regions[0].role = static_cast<Role>(77); },
       ErrorCode::kCorruptPeer, 0, 0},
      {"kind", [](SegmentHeader& h) { h.kind = SegmentKind::kBoard; }, ErrorCode::kCorruptPeer, 0,
       0},
      {"kind of a later version", [](SegmentHeader& h) { h.kind = static_cast<SegmentKind>(99); },
       ErrorCode::kCorruptPeer, 0, 0},
  };
}

SegmentHeader header_of(const std::string& file) {
  SegmentHeader header{};
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(::pread(fd, &header, sizeof header, 0) == sizeof header);
  ::close(fd);
  return header;
}

void store(const std::string& file, const SegmentHeader& header) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(::pwrite(fd, &header, sizeof header, 0) == sizeof header);
  ::close(fd);
}

void expect(const Error& error, const Change& change) {
  CAPTURE(std::string(change.field));
  CAPTURE(std::string(error.doing));
  CHECK(error.code == change.code);
  CHECK(error.doing[0] != '\0');
  if (change.wanted != 0) {
    CHECK(error.found == change.found);
    CHECK(error.wanted == change.wanted);
  }
}

}  // namespace

TEST_CASE("foreign version: every field, with a check that holds") {
  const Directory folder;
  const SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, "l", test::records(4096)).ok());
  const std::string file = folder.path() + "/l";
  const SegmentHeader whole = header_of(file);
  int refused = 0;
  for (const Change& change : changes(whole)) {
    SegmentHeader header = whole;
    change.apply(header);
    header.check = segment_check(header);
    store(file, header);
    Result<LinkWriter> writer = LinkWriter::attach(directory, "l");
    Result<LinkReader> reader = LinkReader::attach(directory, "l");
    Result<LinkObserver> observer = LinkObserver::attach(directory, "l");
    CAPTURE(std::string(change.field));
    CHECK_FALSE(writer.ok());
    CHECK_FALSE(reader.ok());
    CHECK_FALSE(observer.ok());
    if (writer.ok() || reader.ok() || observer.ok()) continue;
    expect(writer.error(), change);
    expect(reader.error(), change);
    expect(observer.error(), change);
    refused += 3;
  }
  store(file, whole);
  CHECK(LinkWriter::attach(directory, "l").ok());
  MESSAGE(changes(whole).size() << " changes x 3 ways to attach: " << refused << " refused");
}

TEST_CASE("foreign version: a board of another version, and a link that is not a board") {
  const Directory folder;
  const SegmentDirectory directory = folder.open();
  REQUIRE(create_board(directory, "b").ok());
  REQUIRE(create_link(directory, "l", test::records(4096)).ok());
  const std::string file = folder.path() + "/b";
  SegmentHeader header = header_of(file);
  --header.version;
  header.check = segment_check(header);
  store(file, header);
  Result<Board> board = Board::attach(directory, "b");
  REQUIRE_FALSE(board.ok());
  CHECK(board.error().code == ErrorCode::kVersion);
  CHECK(board.error().found == kSegmentVersion - 1);
  CHECK(board.error().wanted == kSegmentVersion);
  Result<Board> link = Board::attach(directory, "l");
  REQUIRE_FALSE(link.ok());
  CHECK(link.error().code == ErrorCode::kCorruptPeer);
}

TEST_CASE("foreign version: a file of every length below the header's") {
  const Directory folder;
  const SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, "l", test::records(4096)).ok());
  const std::string file = folder.path() + "/l";
  for (off_t size = sizeof(SegmentHeader); size-- > 0;) {
    REQUIRE(::truncate(file.c_str(), size) == 0);
    Result<LinkReader> reader = LinkReader::attach(directory, "l");
    REQUIRE_FALSE(reader.ok());
    CHECK(reader.error().code == ErrorCode::kVersion);
    CHECK(reader.error().found == static_cast<std::uint64_t>(size));
    CHECK(reader.error().wanted == sizeof(SegmentHeader));
  }
}

}  // namespace slipring
