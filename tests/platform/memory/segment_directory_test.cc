#include "platform/memory/segment_directory.h"

#include <doctest/doctest.h>
#include <fcntl.h>

#include "tests/platform/scratch.h"

namespace slipring {
namespace {

TEST_CASE("segment_directory: names follow the grammar and nothing else") {
  CHECK(is_segment_name("a"));
  CHECK(is_segment_name("video.frames_2-x"));
  CHECK(is_segment_name(std::string(80, 'n')));
  CHECK_FALSE(is_segment_name(""));
  CHECK_FALSE(is_segment_name(std::string(81, 'n')));
  CHECK_FALSE(is_segment_name(".hidden"));
  CHECK_FALSE(is_segment_name("-option"));
  CHECK_FALSE(is_segment_name(".."));
  CHECK_FALSE(is_segment_name("a/b"));
  CHECK_FALSE(is_segment_name("a b"));
  CHECK_FALSE(is_segment_name(std::string_view("a\0b", 3)));
  CHECK_FALSE(is_segment_name("gr\xc3\xbc"));
}

TEST_CASE("segment_directory: it is made for its owner alone, whatever the umask takes away") {
  Scratch scratch;
  const mode_t before = ::umask(0277);
  Result<SegmentDirectory> directory = SegmentDirectory::open_at(scratch.path() + "/new");
  ::umask(before);
  REQUIRE(directory.ok());
  struct stat found = {};
  REQUIRE(::fstat(directory->fd(), &found) == 0);
  CHECK((found.st_mode & 07777) == 0700);
  CHECK(directory->list()->empty());
  CHECK(SegmentDirectory::open_at(scratch.path() + "/new/").ok());
}

TEST_CASE("segment_directory: one that others may write in is refused") {
  Scratch scratch;
  const std::string path = scratch.path() + "/open";
  REQUIRE(::mkdir(path.c_str(), 0700) == 0);
  for (const mode_t mode : {0770u, 0702u, 01777u}) {
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    Result<SegmentDirectory> directory = SegmentDirectory::open_at(path);
    REQUIRE_FALSE(directory.ok());
    CHECK(directory.error().code == ErrorCode::kPermission);
  }
  REQUIRE(::chmod(path.c_str(), 0750) == 0);
  CHECK(SegmentDirectory::open_at(path).ok());
}

TEST_CASE("segment_directory: a symlink and a file are refused, with and without a slash") {
  Scratch scratch;
  REQUIRE(::mkdir((scratch.path() + "/real").c_str(), 0700) == 0);
  REQUIRE(::symlink("real", (scratch.path() + "/link").c_str()) == 0);
  ::close(::open((scratch.path() + "/file").c_str(), O_CREAT | O_WRONLY, 0600));
  for (const char* name : {"/link", "/link/", "/link//", "/file"}) {
    Result<SegmentDirectory> directory = SegmentDirectory::open_at(scratch.path() + name);
    REQUIRE_FALSE(directory.ok());
    CHECK(directory.error().code == ErrorCode::kPermission);
  }
}

TEST_CASE("segment_directory: one of another owner is refused") {
  Scratch scratch;
  const std::string path = scratch.path() + "/theirs";
  REQUIRE(::mkdir(path.c_str(), 0700) == 0);
  if (::chown(path.c_str(), ::geteuid() + 1, static_cast<gid_t>(-1)) != 0) {
    MESSAGE("not run: giving a directory to another owner needs root");
    return;
  }
  Result<SegmentDirectory> directory = SegmentDirectory::open_at(path);
  REQUIRE_FALSE(directory.ok());
  CHECK(directory.error().code == ErrorCode::kPermission);
  CHECK(directory.error().found == ::geteuid() + 1);
}

TEST_CASE("segment_directory: SLIPRING_DIR chooses it and must be absolute") {
  Scratch scratch;
  const std::string path = scratch.path() + "/chosen";
  REQUIRE(::setenv("SLIPRING_DIR", path.c_str(), 1) == 0);
  Result<SegmentDirectory> directory = SegmentDirectory::open();
  REQUIRE(directory.ok());
  CHECK(directory->path() == path);
  REQUIRE(::setenv("SLIPRING_DIR", "relative", 1) == 0);
  CHECK(SegmentDirectory::open().error().code == ErrorCode::kInvalidArgument);
  REQUIRE(::unsetenv("SLIPRING_DIR") == 0);
  CHECK(SegmentDirectory::default_path() == "/dev/shm/slipring-" + std::to_string(::geteuid()));
}

TEST_CASE("segment_directory: a missing parent is not made") {
  Scratch scratch;
  Result<SegmentDirectory> directory = SegmentDirectory::open_at(scratch.path() + "/no/such");
  REQUIRE_FALSE(directory.ok());
  CHECK(directory.error().code == ErrorCode::kNotFound);
}

}  // namespace
}  // namespace slipring
