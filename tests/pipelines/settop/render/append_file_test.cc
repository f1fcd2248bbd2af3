#include "pipelines/settop/render/append_file.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <string>
#include <vector>

#include "tests/pipelines/settop/decode/stream_fixture.h"

namespace slipring::settop {
namespace {

// Many small parts, so that one append is more than one system call.
Status append_text(AppendFile& file, std::uint64_t tag, std::string text) {
  std::vector<iovec> parts;
  for (char& letter : text) parts.push_back({&letter, 1});
  return file.append(tag, parts);
}

std::string text_of(const std::string& path) {
  const std::vector<std::byte> bytes = read_file(path);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

AppendFile open_file(const std::string& path, OpenMode mode) {
  Result<AppendFile> file = AppendFile::open(path, mode);
  REQUIRE(file.ok());
  return std::move(file).value();
}

TEST_CASE("append_file: pieces of any number of parts stand one behind the other") {
  const std::string path = scratch_path("pieces");
  const std::string large(5000, 'x');
  {
    AppendFile file = open_file(path, OpenMode::kStartAfresh);
    CHECK(!file.last_tag());
    REQUIRE(append_text(file, 1, "one ").ok());
    REQUIRE(append_text(file, 2, large).ok());
    CHECK(file.last_tag() == 2);
    CHECK(file.size_bytes() == 5004);
    REQUIRE(file.close().ok());
  }
  CHECK(text_of(path) == "one " + large);
  CHECK(!exists(path + ".journal"));
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777 & ~0644U) == 0);
}

TEST_CASE("append_file: starting afresh forgets what was there") {
  const std::string path = scratch_path("afresh");
  {
    AppendFile file = open_file(path, OpenMode::kStartAfresh);
    REQUIRE(append_text(file, 1, "old").ok());
  }
  AppendFile file = open_file(path, OpenMode::kStartAfresh);
  CHECK(!file.last_tag());
  REQUIRE(append_text(file, 2, "n").ok());
  CHECK(text_of(path) == "n");
}

TEST_CASE("append_file: a successor knows the last piece, and cuts a torn one") {
  const std::string path = scratch_path("torn");
  {
    AppendFile file = open_file(path, OpenMode::kStartAfresh);
    REQUIRE(append_text(file, 7, "whole").ok());
    REQUIRE(append_text(file, 8, "pieces").ok());
  }
  {
    AppendFile file = open_file(path, OpenMode::kContinue);
    CHECK(file.last_tag() == 8);
    CHECK(file.size_bytes() == 11);
  }
  REQUIRE(::truncate(path.c_str(), 9) == 0);  // as if killed within piece 8
  {
    AppendFile file = open_file(path, OpenMode::kContinue);
    CHECK(!file.last_tag());
    CHECK(file.size_bytes() == 5);
    REQUIRE(append_text(file, 8, "pieces").ok());
    REQUIRE(file.close().ok());
  }
  CHECK(text_of(path) == "wholepieces");
}

TEST_CASE("append_file: a broken journal is not believed") {
  const std::string path = scratch_path("journal");
  {
    AppendFile file = open_file(path, OpenMode::kStartAfresh);
    REQUIRE(append_text(file, 7, "content").ok());
  }
  std::vector<std::byte> journal = read_file(path + ".journal");
  REQUIRE(journal.size() == 40);
  journal[16] = std::byte{3};  // the offset: the file would be cut to nothing of use
  write_file(path + ".journal", journal);
  AppendFile file = open_file(path, OpenMode::kContinue);
  CHECK(!file.last_tag());
  CHECK(file.size_bytes() == 7);
}

TEST_CASE("append_file: a full disk is a clear error, and the file ends where it ended") {
  const std::string path = scratch_path("full");
  AppendFile file = open_file(path, OpenMode::kStartAfresh);
  REQUIRE(append_text(file, 1, std::string(3000, 'a')).ok());
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  rlimit small = before;
  small.rlim_cur = 4000;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const Status full = append_text(file, 2, std::string(3000, 'b'));
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  REQUIRE(!full.ok());
  CHECK(full.error().code == ErrorCode::kNoSpace);
  CHECK(file.size_bytes() == 3000);
  CHECK(text_of(path) == std::string(3000, 'a'));
  REQUIRE(append_text(file, 2, "c").ok());  // space again
  CHECK(text_of(path) == std::string(3000, 'a') + "c");
}

TEST_CASE("append_file: what is no regular file is only written to") {
  AppendFile null = open_file("/dev/null", OpenMode::kContinue);
  CHECK(!null.is_regular());
  CHECK(append_text(null, 1, "gone").ok());
  CHECK(null.patch(0, {}).ok());
  CHECK(null.close().ok());
  CHECK(!exists("/dev/null.journal"));
  AppendFile full = open_file("/dev/full", OpenMode::kStartAfresh);
  CHECK(append_text(full, 1, "no").error().code == ErrorCode::kNoSpace);
}

TEST_CASE("append_file: a symbolic link and a missing folder are refused") {
  const std::string link = scratch_path("link");
  (void)::unlink(link.c_str());
  REQUIRE(::symlink(scratch_path("target").c_str(), link.c_str()) == 0);
  CHECK(AppendFile::open(link, OpenMode::kStartAfresh).error().code == ErrorCode::kPermission);
  CHECK(!exists(scratch_path("target")));
  CHECK(AppendFile::open(scratch_path("none/file"), OpenMode::kStartAfresh).error().code ==
        ErrorCode::kNotFound);
}

// One line of 64 bytes for each number.
std::string numbered_line(std::uint64_t number) {
  char line[65];
  std::snprintf(line, sizeof line, "%020llu%043d\n", static_cast<unsigned long long>(number), 0);
  return line;
}

TEST_CASE("append_file: killed at any moment, it goes on without gap, tear or repetition") {
  const std::string path = scratch_path("killed");
  for (const std::string& old : {path, path + ".journal"}) (void)::unlink(old.c_str());
  std::uint64_t next = 0;
  for (int round = 0; round < 20; ++round) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      Result<AppendFile> file = AppendFile::open(path, OpenMode::kContinue);
      if (!file) ::_exit(1);
      for (std::uint64_t number = next;; ++number) {
        if (!append_text(*file, number, numbered_line(number)).ok()) ::_exit(1);
      }
    }
    struct stat status {};
    const auto enough = static_cast<off_t>((next + 1) * 64);
    while (::stat(path.c_str(), &status) != 0 || status.st_size < enough) {
      REQUIRE(::waitpid(child, nullptr, WNOHANG) == 0);
    }
    REQUIRE(::kill(child, SIGKILL) == 0);
    int how = 0;
    REQUIRE(::waitpid(child, &how, 0) == child);
    REQUIRE(WIFSIGNALED(how));
    AppendFile file = open_file(path, OpenMode::kContinue);
    REQUIRE(file.size_bytes() % 64 == 0);
    const std::uint64_t count = file.size_bytes() / 64;
    REQUIRE(count > next);
    if (file.last_tag()) CHECK(*file.last_tag() == count - 1);
    next = count;
  }
  const std::string text = text_of(path);
  REQUIRE(text.size() == next * 64);
  for (std::uint64_t number = 0; number < next; ++number) {
    REQUIRE(text.compare(number * 64, 64, numbered_line(number)) == 0);
  }
}

}  // namespace
}  // namespace slipring::settop
