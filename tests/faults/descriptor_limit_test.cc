// RLIMIT_NOFILE: each operation with every number of descriptors left.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "pipelines/link/board.h"
#include "pipelines/link/link_observer.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "platform/memory/memory_file.h"
#include "platform/process/child.h"
#include "platform/process/peer.h"
#include "platform/wait/waiter.h"
#include "tests/faults/holdings.h"
#include "tests/platform/other_process.h"
#include "tests/platform/scratch.h"

namespace slipring {
namespace {

using faults::Holdings;
using faults::holdings_of_this_process;

constexpr int kEnough = 16;

struct Operation {
  const char* name;
  std::function<Status(const SegmentDirectory&)> run;
};

template <typename T>
Status status_of(const Result<T>& result) {
  return result.ok() ? Status{} : Status{result.error()};
}

Status run_program() {
  ChildOptions options;
  options.program = "/bin/true";
  Result<Peer> peer = start_child(options);
  if (!peer.ok()) return peer.error();
  return status_of(peer->reap(kNoDeadline));
}

std::vector<Operation> operations() {
  return {
      {"create a link",
       [](const SegmentDirectory& directory) {
         LinkShape shape;
         shape.kind = SegmentKind::kRecordLink;
         shape.capacity_bytes = 4096;
         if (Status made = create_link(directory, "new", shape); !made.ok()) return made;
         return remove_segment(directory, "new");
       }},
      {"attach a writer",
       [](const SegmentDirectory& directory) {
         return status_of(LinkWriter::attach(directory, "l"));
       }},
      {"attach a reader",
       [](const SegmentDirectory& directory) {
         return status_of(LinkReader::attach(directory, "l"));
       }},
      {"observe",
       [](const SegmentDirectory& directory) {
         return status_of(LinkObserver::attach(directory, "l"));
       }},
      {"attach a board",
       [](const SegmentDirectory& directory) { return status_of(Board::attach(directory, "b")); }},
      {"list", [](const SegmentDirectory& directory) { return status_of(directory.list()); }},
      {"make an event bell",
       [](const SegmentDirectory&) { return status_of(EventBell::create()); }},
      {"make memory",
       [](const SegmentDirectory&) { return status_of(make_memory_file(4096, true)); }},
      {"open a peer", [](const SegmentDirectory&) { return status_of(Peer::open(::getppid())); }},
      {"start a program", [](const SegmentDirectory&) { return run_program(); }},
  };
}

void set_limit(rlim_t limit) {
  struct rlimit now = {};
  if (::getrlimit(RLIMIT_NOFILE, &now) != 0) std::abort();
  now.rlim_cur = limit;
  if (::setrlimit(RLIMIT_NOFILE, &now) != 0) std::abort();
}

// A limit under which `count` more descriptors can be opened; those that are open stay.
rlim_t limit_for(int count) {
  int last = -1;
  std::vector<int> filled;
  // Every number below the next is taken, so that the limit means what it says.
  for (;;) {
    const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    filled.push_back(fd);
    if (fd == last + 1 && last > 20) break;
    last = fd;
  }
  ::close(filled.back());
  return static_cast<rlim_t>(filled.back() + count);
}

// 0: refused; 1: done; else what is wrong.
int run_with(const Operation& operation, const std::string& path, int count) {
  Result<SegmentDirectory> directory = SegmentDirectory::open_at(path);
  if (!directory.ok()) return 10;
  const rlim_t limit = limit_for(count);
  const Holdings before = holdings_of_this_process(path);
  set_limit(limit);
  Status status = operation.run(*directory);
  set_limit(256);
  if (!Holdings::difference(before, holdings_of_this_process(path)).empty()) return 14;
  if (!status.ok()) {
    const Error& error = status.error();
    const bool fits = error.os_errno == EMFILE || error.os_errno == EINVAL;
    if (!fits || error.doing[0] == '\0') return 12;
  }
  if (!operation.run(*directory).ok()) return 13;
  return status.ok() ? 1 : 0;
}

// A ready descriptor among several is found although the limit is below their number.
int wait_with(int limit) {
  std::array<int, 2> quiet = {};
  std::array<int, 2> ready = {};
  if (::pipe(quiet.data()) != 0 || ::pipe(ready.data()) != 0) return 10;
  if (::write(ready[1], "x", 1) != 1) return 11;
  set_limit(static_cast<rlim_t>(limit));
  std::array<WaitDescriptor, 3> descriptors = {};
  descriptors[0].fd = quiet[0];
  descriptors[1].fd = quiet[0];
  descriptors[2].fd = ready[0];
  Waiter waiter({.strategy = WaitStrategy::kSleep});
  const WaitOutcome found = waiter.wait({}, [] { return false; }, deadline_after(200'000'000),
                                        {.descriptors = descriptors});
  // With a limit of 0 the kernel polls nothing at all; the deadline still holds.
  if (limit == 0) return found == WaitOutcome::kDeadline ? 0 : 13;
  return found == WaitOutcome::kDescriptor && descriptors[2].is_ready ? 0 : 14;
}

}  // namespace

TEST_CASE("descriptor limit: every operation, every number left") {
  const Scratch scratch;
  {
    Result<SegmentDirectory> directory = SegmentDirectory::open_at(scratch.path());
    REQUIRE(directory.ok());
    LinkShape shape;
    shape.kind = SegmentKind::kRecordLink;
    shape.capacity_bytes = 4096;
    REQUIRE(create_link(*directory, "l", shape).ok());
    REQUIRE(create_board(*directory, "b").ok());
  }
  int refused = 0;
  int done = 0;
  for (const Operation& operation : operations()) {
    bool is_done = false;
    for (int count = 0; count <= kEnough; ++count) {
      OtherProcess child([&](Line) { return run_with(operation, scratch.path(), count); });
      const int answer = child.wait();
      CAPTURE(std::string(operation.name));
      CAPTURE(count);
      CAPTURE(answer);
      CHECK((answer == 0 || answer == 1));
      CHECK_FALSE((is_done && answer == 0));
      is_done = answer == 1;
      ++(is_done ? done : refused);
    }
    CAPTURE(std::string(operation.name));
    CHECK(is_done);
    CHECK(scratch.names().size() == 4);
  }
  MESSAGE("10 operations x 17 limits: " << refused << " refused, " << done << " done, 0 crashes");
}

TEST_CASE("descriptor limit: a wait on more descriptors than the limit") {
  for (int limit = 0; limit < 4; ++limit) {
    OtherProcess child([&](Line) { return wait_with(limit); });
    CAPTURE(limit);
    CHECK(child.wait() == 0);
  }
}

}  // namespace slipring
