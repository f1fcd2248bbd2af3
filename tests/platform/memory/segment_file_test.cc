#include "platform/memory/segment_file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/ptrace.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "platform/memory/mapping.h"
#include "platform/memory/segment_name.h"
#include "tests/platform/other_process.h"
#include "tests/platform/scratch.h"

namespace slipring {
namespace {

constexpr std::uint64_t kSize = 3 * 4096;
constexpr unsigned char kMark = 0xA5;

struct Place {
  Place() : directory(opened(scratch.path() + "/d")) {}
  ~Place() {
    for (const std::string& name : files()) ::unlinkat(directory.fd(), name.c_str(), 0);
  }

  static SegmentDirectory opened(const std::string& path) {
    Result<SegmentDirectory> made = SegmentDirectory::open_at(path);
    if (!made.ok()) std::abort();
    return std::move(made).value();
  }

  // Everything in the directory, lock files included.
  std::vector<std::string> files() const {
    std::vector<std::string> found;
    const auto names = read_directory_names(directory.fd());
    if (!names.has_value()) std::abort();
    for (const std::string& name : *names) {
      if (name != "." && name != "..") found.push_back(name);
    }
    return found;
  }

  Scratch scratch;
  SegmentDirectory directory;
};

// Creates, initialises its last byte, and publishes.
ErrorCode make(const SegmentDirectory& directory, const char* name) {
  Result<NewSegment> made = NewSegment::create(directory, name, kSize);
  if (!made.ok()) return made.error().code;
  {
    Result<Mapping> mapping = Mapping::map(
        made->data_fd(), 0, kSize, {.access = Access::kReadWrite, .memory_lock = MemoryLock::kOff});
    if (!mapping.ok()) return mapping.error().code;
    mapping->writable_bytes()[kSize - 1] = std::byte{kMark};
  }
  Status published = made->publish();
  return published.ok() ? ErrorCode::kSystem : published.error().code;
}
constexpr ErrorCode kMade = ErrorCode::kSystem;  // what make() answers when all went well

// Is the segment whole: right size, initialised, with its lock file?
bool is_whole(const SegmentDirectory& directory, const char* name) {
  Result<SegmentFile> opened = SegmentFile::open(directory, name);
  if (!opened.ok() || opened->size_bytes() != kSize) return false;
  Result<Mapping> mapping = Mapping::map(opened->read_only_fd(), 0, kSize, {});
  return mapping.ok() && mapping->bytes()[kSize - 1] == std::byte{kMark};
}

TEST_CASE("segment_file: nothing is visible before publish, everything after") {
  Place place;
  Result<NewSegment> made = NewSegment::create(place.directory, "frames", kSize);
  REQUIRE(made.ok());
  CHECK(place.files().empty());
  CHECK(SegmentFile::open(place.directory, "frames").error().code == ErrorCode::kNotFound);
  REQUIRE(made->publish().ok());
  CHECK(place.files().size() == 2);
  CHECK(place.directory.list().value() == std::vector<std::string>{"frames"});

  Result<SegmentFile> opened = SegmentFile::open(place.directory, "frames");
  REQUIRE(opened.ok());
  CHECK(opened->size_bytes() == kSize);
  CHECK(opened->mode() == 0600);
  CHECK(opened->lock_inode() == made->lock_inode());
  CHECK((::fcntl(opened->read_only_fd(), F_GETFL) & O_ACCMODE) == O_RDONLY);
  CHECK(opened->open_writable(place.directory).ok());
  struct stat found = {};
  REQUIRE(::fstat(opened->read_only_fd(), &found) == 0);
  CHECK(static_cast<std::uint64_t>(found.st_blocks) * 512 >= kSize);
}

TEST_CASE("segment_file: an unpublished segment leaves no trace") {
  Place place;
  { REQUIRE(NewSegment::create(place.directory, "frames", kSize).ok()); }
  CHECK(place.files().empty());
}

TEST_CASE("segment_file: a taken name is refused, early and at publish") {
  Place place;
  Result<NewSegment> late = NewSegment::create(place.directory, "frames", kSize);
  REQUIRE(late.ok());
  REQUIRE(make(place.directory, "frames") == kMade);
  CHECK(make(place.directory, "frames") == ErrorCode::kExists);
  CHECK(late->publish().error().code == ErrorCode::kExists);
  CHECK(place.files().size() == 2);
  CHECK(is_whole(place.directory, "frames"));
}

TEST_CASE("segment_file: remove takes both names and leaves the attached alone") {
  Place place;
  REQUIRE(make(place.directory, "frames") == kMade);
  Result<SegmentFile> attached = SegmentFile::open(place.directory, "frames");
  REQUIRE(attached.ok());
  Result<Certificate> role = Certificate::acquire(attached->lock_file(), 0);
  REQUIRE(role.ok());
  CHECK(remove_segment(place.directory, "frames").ok());
  CHECK(place.files().empty());
  CHECK(role->is_intact());
  CHECK(remove_segment(place.directory, "frames").error().code == ErrorCode::kNotFound);
  // The next of that name is another segment with other locks.
  REQUIRE(make(place.directory, "frames") == kMade);
  CHECK(attached->open_writable(place.directory).error().code == ErrorCode::kNotFound);
  Result<SegmentFile> successor = SegmentFile::open(place.directory, "frames");
  REQUIRE(successor.ok());
  CHECK(Certificate::acquire(successor->lock_file(), 0).ok());
}

TEST_CASE("segment_file: bad arguments are refused") {
  Place place;
  const auto code = [&](std::string_view name, std::uint64_t size, mode_t mode) {
    Result<NewSegment> made = NewSegment::create(place.directory, name, size, {.mode = mode});
    return made.ok() ? kMade : made.error().code;
  };
  CHECK(code("../x", kSize, 0600) == ErrorCode::kInvalidArgument);
  CHECK(code("x", 0, 0600) == ErrorCode::kInvalidArgument);
  CHECK(code("x", UINT64_MAX, 0600) == ErrorCode::kInvalidArgument);
  CHECK(code("x", kSize, 0666) == ErrorCode::kInvalidArgument);
  CHECK(code("x", kSize, 0060) == ErrorCode::kInvalidArgument);
  CHECK(code("x", kSize, 0660) == kMade);
  CHECK(SegmentFile::open(place.directory, "a/b").error().code == ErrorCode::kInvalidArgument);
  CHECK(remove_segment(place.directory, ".x").error().code == ErrorCode::kInvalidArgument);
}

TEST_CASE("segment_file: what is no segment is refused") {
  Place place;
  const int directory_fd = place.directory.fd();
  REQUIRE(make(place.directory, "real") == kMade);
  REQUIRE(::symlinkat("real", directory_fd, "link") == 0);
  REQUIRE(::mkfifoat(directory_fd, "fifo", 0600) == 0);
  ::close(::openat(directory_fd, "plain", O_CREAT | O_WRONLY, 0600));
  CHECK(SegmentFile::open(place.directory, "link").error().code == ErrorCode::kPermission);
  CHECK(SegmentFile::open(place.directory, "fifo").error().code == ErrorCode::kPermission);
  CHECK(SegmentFile::open(place.directory, "plain").error().code == ErrorCode::kNotFound);
  CHECK(place.directory.list().value() == std::vector<std::string>{"real"});
  ::close(::openat(directory_fd, "wide", O_CREAT | O_WRONLY, 0600));
  REQUIRE(::fchmodat(directory_fd, "wide", 0606, 0) == 0);
  CHECK(SegmentFile::open(place.directory, "wide").error().code == ErrorCode::kPermission);
}

TEST_CASE("segment_file: a segment of another owner is refused") {
  Place place;
  REQUIRE(make(place.directory, "theirs") == kMade);
  if (::fchownat(place.directory.fd(), "theirs", ::geteuid() + 1, static_cast<gid_t>(-1), 0) != 0) {
    MESSAGE("not run: giving a file to another owner needs root");
    return;
  }
  Result<SegmentFile> opened = SegmentFile::open(place.directory, "theirs");
  REQUIRE_FALSE(opened.ok());
  CHECK(opened.error().code == ErrorCode::kPermission);
  CHECK(opened.error().found == ::geteuid() + 1);
}

TEST_CASE("segment_file: of processes that create one name exactly one wins") {
  Place place;
  constexpr int kProcesses = 6;
  constexpr int kNames = 60;
  std::vector<std::unique_ptr<OtherProcess>> racers;
  for (int p = 0; p < kProcesses; ++p) {
    racers.push_back(std::make_unique<OtherProcess>([&](Line line) {
      for (int n = 0; n < kNames; ++n) {
        const std::string name = "n" + std::to_string(n);
        if (line.hear() != 'g') return 1;
        const ErrorCode code = make(place.directory, name.c_str());
        line.say(code == kMade ? 'w' : code == ErrorCode::kExists ? 'l' : 'e');
      }
      return 0;
    }));
  }
  for (int n = 0; n < kNames; ++n) {
    for (const auto& racer : racers) racer->line().say('g');
    int winners = 0;
    int losers = 0;
    for (const auto& racer : racers) {
      const char word = racer->line().hear();
      winners += word == 'w';
      losers += word == 'l';
    }
    CHECK(winners == 1);
    CHECK(losers == kProcesses - 1);
    CHECK(is_whole(place.directory, ("n" + std::to_string(n)).c_str()));
  }
  CHECK(place.files().size() == 2 * kNames);
  for (const auto& racer : racers) CHECK(racer->wait() == 0);
}

TEST_CASE("segment_file: create, open and remove of one name meet without half a segment") {
  Place place;
  constexpr int kRounds = 1500;
  std::vector<std::unique_ptr<OtherProcess>> processes;
  for (int p = 0; p < 3; ++p) {
    processes.push_back(std::make_unique<OtherProcess>([&](Line) {
      for (int i = 0; i < kRounds; ++i) {
        const ErrorCode code = make(place.directory, "hot");
        if (code != kMade && code != ErrorCode::kExists) return 1;
        Result<SegmentFile> opened = SegmentFile::open(place.directory, "hot");
        if (opened.ok() ? opened->size_bytes() != kSize
                        : opened.error().code != ErrorCode::kNotFound) {
          return 2;
        }
        // Data without its lock file: a sweep took it from a living creator.
        if (!opened.ok() && std::strstr(opened.error().doing, "lock file is missing") != nullptr) {
          return 4;
        }
        Status removed = remove_segment(place.directory, "hot");
        if (!removed.ok() && removed.error().code != ErrorCode::kNotFound) return 3;
      }
      return 0;
    }));
  }
  for (const auto& process : processes) CHECK(process->wait() == 0);
  static_cast<void>(remove_segment(place.directory, "hot"));
  CHECK(place.files().empty());
}

TEST_CASE("segment_file: an orphan lock file is swept, that of a living creator is not") {
  Place place;
  const std::string orphan = lock_file_name("frames", 999);
  OtherProcess creator([&](Line line) {
    const int fd =
        ::openat(place.directory.fd(), orphan.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    Result<LockFile> lock = LockFile::adopt(fd);
    Result<Certificate> certificate = Certificate::acquire(*lock, kCreatorByte);
    line.say(certificate.ok() ? 'y' : 'n');
    return static_cast<int>(line.hear());
  });
  REQUIRE(creator.line().hear() == 'y');
  static_cast<void>(remove_segment(place.directory, "frames"));
  CHECK(place.files() == std::vector<std::string>{orphan});
  creator.kill_now();
  CHECK(creator.wait() == -SIGKILL);
  REQUIRE(make(place.directory, "frames") == kMade);
  CHECK(place.files().size() == 2);
  CHECK(is_whole(place.directory, "frames"));
}

// Lets the child run until its system-call stop number `stop`; false if it ended before.
bool run_to_stop(pid_t pid, int stop) {
  int status = 0;
  if (::waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) return false;
  for (int i = 0; i < stop; ++i) {
    if (::ptrace(PTRACE_SYSCALL, pid, nullptr, nullptr) != 0) return false;
    if (::waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) return false;
  }
  return true;
}

// Kills a child at its k-th system-call stop, for every k, and looks at what is left behind.
template <typename Body, typename Inspect>
int kill_at_every_system_call(Body body, Inspect inspect) {
  for (int stop = 0;; ++stop) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(3);
      ::raise(SIGSTOP);
      body();
      ::_exit(0);
    }
    const bool stopped = run_to_stop(pid, stop);
    if (stopped) {
      ::kill(pid, SIGKILL);
      int status = 0;
      while (::waitpid(pid, &status, 0) == pid && !WIFSIGNALED(status) && !WIFEXITED(status)) {
      }
    }
    inspect();
    if (!stopped) return stop;
  }
}

TEST_CASE("segment_file: a creator killed at any system call leaves all or nothing") {
  Place place;
  int visible = 0;
  const int stops =
      kill_at_every_system_call([&] { static_cast<void>(make(place.directory, "frames")); },
                                [&] {
                                  const bool seen = !place.directory.list()->empty();
                                  visible += seen;
                                  CHECK(seen == SegmentFile::open(place.directory, "frames").ok());
                                  if (seen) {
                                    CHECK(is_whole(place.directory, "frames"));
                                    CHECK(remove_segment(place.directory, "frames").ok());
                                  } else {
                                    CHECK(make(place.directory, "frames") == kMade);
                                    CHECK(is_whole(place.directory, "frames"));
                                    CHECK(place.files().size() == 2);
                                    CHECK(remove_segment(place.directory, "frames").ok());
                                  }
                                  CHECK(place.files().empty());
                                });
  MESSAGE("killed at ", stops, " system-call stops, visible after ", visible);
  CHECK(stops > 20);
  CHECK(visible > 0);
  CHECK(visible < stops);
}

TEST_CASE("segment_file: a remover killed at any system call leaves all or nothing") {
  Place place;
  int visible = 0;
  const int stops = kill_at_every_system_call(
      [&] {
        static_cast<void>(make(place.directory, "frames"));
        static_cast<void>(remove_segment(place.directory, "frames"));
      },
      [&] {
        const bool seen = !place.directory.list()->empty();
        visible += seen;
        if (seen) CHECK(is_whole(place.directory, "frames"));
        static_cast<void>(remove_segment(place.directory, "frames"));
        CHECK(place.files().empty());
      });
  CHECK(stops > 30);
  CHECK(visible > 0);
}

// In a child with a mount namespace of its own: a tmpfs of one mebibyte.
int create_on_a_full_file_system(const std::string& path) {
  if (::unshare(CLONE_NEWNS) != 0) return 77;
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 77;
  if (::mkdir(path.c_str(), 0700) != 0) return 1;
  if (::mount("tmpfs", path.c_str(), "tmpfs", 0, "size=1m,mode=0700") != 0) return 77;
  Result<SegmentDirectory> directory = SegmentDirectory::open_at(path);
  if (!directory.ok()) return 2;
  Result<NewSegment> refused = NewSegment::create(*directory, "big", 4u << 20);
  if (refused.ok() || refused.error().code != ErrorCode::kNoSpace) return 3;
  if (refused.error().wanted != 4u << 20) return 4;
  if (!directory->list()->empty()) return 5;
  return make(*directory, "small") == kMade && is_whole(*directory, "small") ? 0 : 6;
}

TEST_CASE("segment_file: a full file system is an error at create") {
  Scratch scratch;
  OtherProcess child([&](Line) { return create_on_a_full_file_system(scratch.path() + "/tiny"); });
  const int code = child.wait();
  if (code == 77) {
    MESSAGE("not run: mounting a small tmpfs needs root");
    return;
  }
  CHECK(code == 0);
}

}  // namespace
}  // namespace slipring
