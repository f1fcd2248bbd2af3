// Bugs that the campaign must see: each scenario here has one, and each must be blamed for it.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include <doctest/doctest.h>

#include "tests/faults/campaign.h"

namespace slipring::faults {
namespace {

int open_file(const Stage& stage, const char* name, int flags) {
  int fd = -1;
  do {
    fd = ::open((stage.path + "/" + name).c_str(), flags | O_CLOEXEC, 0600);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

Outcome failed(int os_errno) {
  const bool is_space = os_errno == ENOSPC || os_errno == EDQUOT || os_errno == EFBIG;
  return Outcome::failed(
      {is_space ? ErrorCode::kNoSpace : ErrorCode::kSystem, os_errno, "do what is planted"});
}

void make_file(Stage& stage) {
  const int fd = open_file(stage, "file", O_CREAT | O_RDWR);
  if (fd < 0 || ::write(fd, "0123456789abcdef", 16) != 16) scenario_broken("no file");
  ::close(fd);
}

// A reader of the file without a bug, but for what `looks`, `reads` and `ends` do.
template <typename Read>
Scenario reader(const char* name, Read read) {
  return {.name = name, .prepare = make_file, .run = [read](Stage& stage) {
            const int fd = open_file(stage, "file", O_RDONLY);
            if (fd < 0) return failed(errno);
            Outcome outcome = read(fd);
            ::close(fd);
            return outcome;
          }};
}

Outcome read_whole(int fd) {
  char text[16];
  std::size_t got = 0;
  while (got < sizeof text) {
    const ssize_t count = ::pread(fd, text + got, sizeof text - got, static_cast<off_t>(got));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return failed(count < 0 ? errno : EIO);
    got += static_cast<std::size_t>(count);
  }
  return Outcome::done();
}

Tally tally_of(const Scenario& scenario) {
  Campaign campaign(Depth::kEvery);
  campaign.run(scenario);
  MESSAGE(campaign.summary());
  return campaign.tally();
}

bool is_blamed(const Tally& tally, Blame blame) {
  return std::any_of(tally.failures.begin(), tally.failures.end(),
                     [&](const Failure& failure) { return failure.blame == blame; });
}

}  // namespace

TEST_CASE("planted: a reader without a bug is not blamed") {
  const Tally tally = tally_of(reader("planted: none", read_whole));
  CHECK(tally.failures.empty());
  CHECK(tally.injection_count > 20);
}

TEST_CASE("planted: a descriptor is left when a later call fails") {
  const Tally tally =
      tally_of({.name = "planted: leak", .prepare = make_file, .run = [](Stage& stage) {
                  const int fd = open_file(stage, "file", O_RDONLY);
                  if (fd < 0) return failed(errno);
                  struct stat found = {};
                  if (::fstat(fd, &found) != 0) return failed(errno);
                  ::close(fd);
                  return Outcome::done();
                }});
  CHECK(is_blamed(tally, Blame::kLeak));
  CHECK_FALSE(is_blamed(tally, Blame::kSwallowed));
}

TEST_CASE("planted: a mapping is left when a later call fails") {
  const Tally tally = tally_of(reader("planted: mapping", [](int fd) {
    void* memory = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) return failed(errno);
    if (::madvise(memory, 4096, MADV_DONTFORK) != 0) return failed(errno);
    ::munmap(memory, 4096);
    return Outcome::done();
  }));
  CHECK(is_blamed(tally, Blame::kLeak));
}

TEST_CASE("planted: an errno is swallowed") {
  const Tally tally = tally_of(reader("planted: swallow", [](int fd) {
    static_cast<void>(read_whole(fd));
    return Outcome::done();
  }));
  CHECK(is_blamed(tally, Blame::kSwallowed));
}

TEST_CASE("planted: another errno is named") {
  const Tally tally = tally_of(reader("planted: unfitting", [](int fd) {
    Outcome outcome = read_whole(fd);
    if (!outcome.is_ok) ::close(-1);  // and errno is another's
    return outcome.is_ok ? outcome : failed(errno);
  }));
  CHECK(is_blamed(tally, Blame::kUnfitting));
}

TEST_CASE("planted: an interruption is a failure") {
  const Tally tally = tally_of(reader("planted: EINTR", [](int fd) {
    char text[16];
    const ssize_t count = ::pread(fd, text, sizeof text, 0);
    return count < 0 ? failed(errno) : Outcome::done();
  }));
  CHECK(is_blamed(tally, Blame::kNotRetried));
}

TEST_CASE("planted: few bytes are a failure") {
  const Tally tally = tally_of(reader("planted: short", [](int fd) {
    char text[16];
    ssize_t count = 0;
    do {
      count = ::pread(fd, text, sizeof text, 0);
    } while (count < 0 && errno == EINTR);
    return count == sizeof text ? Outcome::done() : failed(count < 0 ? errno : EIO);
  }));
  CHECK(is_blamed(tally, Blame::kNotRetried));
}

TEST_CASE("planted: every failure is retried for ever") {
  const Tally tally = tally_of(reader("planted: endless", [](int fd) {
    char text[16];
    while (::pread(fd, text, sizeof text, 0) < 0) {
    }
    return Outcome::done();
  }));
  CHECK(is_blamed(tally, Blame::kHang));
}

TEST_CASE("planted: close is retried after EINTR, and closes another's descriptor") {
  const Tally tally =
      tally_of({.name = "planted: close twice", .prepare = make_file, .run = [](Stage& stage) {
                  const int fd = open_file(stage, "file", O_RDONLY);
                  if (fd < 0) return failed(errno);
                  if (::close(fd) == 0) return Outcome::done();
                  // As a second thread would have it now.
                  const int theirs = open_file(stage, "file", O_RDONLY);
                  ::close(fd);
                  const bool is_whole = ::fcntl(theirs, F_GETFD) >= 0;
                  ::close(theirs);
                  return is_whole ? Outcome::done() : Outcome::lying("another's was closed");
                }});
  CHECK(is_blamed(tally, Blame::kLie));
}

TEST_CASE("planted: a file is left when a later call fails") {
  const Tally tally =
      tally_of({.name = "planted: file",
                .run =
                    [](Stage& stage) {
                      const int fd = open_file(stage, "new", O_CREAT | O_RDWR);
                      if (fd < 0) return failed(errno);
                      int answer = 0;
                      do {
                        answer = ::fallocate(fd, 0, 0, 4096);
                      } while (answer != 0 && errno == EINTR);
                      const int os_errno = errno;
                      ::close(fd);
                      return answer == 0 ? Outcome::done() : failed(os_errno);
                    },
                .undo = [](Stage& stage) { ::unlink((stage.path + "/new").c_str()); }});
  CHECK(is_blamed(tally, Blame::kLeak));
}

TEST_CASE("planted: a failure stops the process") {
  const Tally tally = tally_of(reader("planted: crash", [](int fd) {
    if (!read_whole(fd).is_ok) __builtin_trap();
    return Outcome::done();
  }));
  CHECK(is_blamed(tally, Blame::kCrash));
}

TEST_CASE("planted: what was there before is harmed") {
  Scenario scenario = reader("planted: damage", read_whole);
  scenario.run = [](Stage& stage) {
    const int fd = open_file(stage, "file", O_RDWR);
    if (fd < 0) return failed(errno);
    const Outcome outcome = read_whole(fd);
    if (!outcome.is_ok) ::unlink((stage.path + "/file").c_str());
    ::close(fd);
    return outcome;
  };
  scenario.verify = [](Stage& stage) -> const char* {
    return ::access((stage.path + "/file").c_str(), F_OK) == 0 ? nullptr : "it is gone";
  };
  const Tally tally = tally_of(scenario);
  CHECK(is_blamed(tally, Blame::kDamage));
  CHECK(is_blamed(tally, Blame::kNoRetry));
}

TEST_CASE("planted: a call that the table does not know") {
  const Tally tally = tally_of(reader("planted: unknown", [](int fd) {
    ::fsync(fd);
    return Outcome::done();
  }));
  CHECK(is_blamed(tally, Blame::kUnknownCall));
}

}  // namespace slipring::faults
