#include "tests/crash/link/takeover.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <new>

#include "pipelines/link/link_segment.h"
#include "platform/process/peer.h"
#include "platform/wait/clock.h"
#include "platform/wait/futex.h"
#include "tests/crash/link/link_scene.h"

namespace slipring::crash {
namespace {

// What a reader says about itself, for the process that kills it.
struct Report {
  std::atomic<std::uint32_t> standing_by;  // how many readers have come to where they wait
  std::atomic<std::uint32_t> reading;      // how many have read their first message
  std::atomic<std::uint64_t> first_ns;     // when the newest of them had it
  std::atomic<std::uint64_t> first_number;
  std::atomic<std::uint32_t> first_is_marked;
};

struct SharedReport {
  SharedReport()
      : words(new (mmap(nullptr, sizeof(Report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                        -1, 0)) Report{}) {}
  ~SharedReport() { munmap(words, sizeof(Report)); }
  SharedReport(const SharedReport&) = delete;
  SharedReport& operator=(const SharedReport&) = delete;
  Report* words;
};

// Counts and wakes whoever waits for the count.
void say(std::atomic<std::uint32_t>& count) {
  count.fetch_add(1);
  futex_wake(count, UINT32_MAX);
}
bool hear(const std::atomic<std::uint32_t>& count, std::uint32_t wanted) {
  const std::uint64_t deadline_ns = deadline_after(20'000'000'000);
  for (std::uint32_t now = count.load(); now < wanted; now = count.load()) {
    if (monotonic_ns() >= deadline_ns) return false;
    static_cast<void>(futex_wait(count, now, deadline_ns));
  }
  return true;
}

// A reader that stands by, takes over, reads one message and holds it until it is killed.
[[noreturn]] void stand_by(const SegmentDirectory& directory, TakeoverWay way, int told_fd,
                           Report& report) {
  say(report.standing_by);
  std::optional<Reader> reader;
  char word = 0;
  if (way == TakeoverWay::kSupervisor && read(told_fd, &word, 1) != 1) _exit(1);
  while (!reader) {
    const Status is_free = wait_for_role(directory, kLinkName, Role::kReader, kNoDeadline);
    if (!is_free) _exit(2);
    Result<Reader> attached = Reader::attach(directory, kLinkName, LinkSort::kSlots);
    if (attached) {
      reader.emplace(std::move(attached).value());
    } else if (attached.error().code != ErrorCode::kBusy) {
      _exit(3);
    }
  }
  Taken taken;
  while (reader->take(taken) != Transfer::kDone) {
  }
  report.first_ns = monotonic_ns();
  report.first_number = taken.number;
  report.first_is_marked = taken.redelivered ? 1 : 0;
  // The message is finished every second time: both a repeated and a new one are met.
  if (taken.number % 2 == 0 || taken.redelivered) reader->release();
  say(report.reading);
  for (;;) pause();
}

// A reader in a process of its own, and the line on which it is told of the death.
class Standby {
 public:
  Standby(const SegmentDirectory& directory, TakeoverWay way, Report& report) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) abort();
    std::fflush(nullptr);
    pid_ = fork();
    if (pid_ < 0) abort();
    if (pid_ == 0) {
      close(ends[1]);
      stand_by(directory, way, ends[0], report);
    }
    close(ends[0]);
    told_fd_ = ends[1];
  }
  Standby(const Standby&) = delete;
  Standby& operator=(const Standby&) = delete;
  ~Standby() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    close(told_fd_);
  }
  [[nodiscard]] pid_t pid() const { return pid_; }
  void tell() const {
    const char word = 1;
    if (write(told_fd_, &word, 1) != 1) abort();
  }

 private:
  pid_t pid_ = 0;
  int told_fd_ = -1;
};

}  // namespace

Takeovers measure_takeovers(const PrivateTmpfs& tmpfs, TakeoverWay way, std::uint64_t count,
                            std::uint64_t deadline_ns) {
  Takeovers found;
  SharedReport shared;
  Report& report = *shared.words;
  Result<SegmentDirectory> directory = SegmentDirectory::open_at(tmpfs.path());
  if (!directory || !create_link(*directory, kLinkName, shape_of(LinkSort::kSlots))) {
    ++found.failures;
    return found;
  }
  {
    Writer writer = std::move(Writer::attach(*directory, kLinkName, LinkSort::kSlots)).value();
    while (writer.put() == Transfer::kDone) {
    }
    auto reader = std::make_unique<Standby>(*directory, way, report);
    if (way == TakeoverWay::kSupervisor) reader->tell();
    bool is_well = hear(report.reading, 1);
    for (std::uint32_t i = 1; is_well && i <= count && monotonic_ns() < deadline_ns; ++i) {
      auto successor = std::make_unique<Standby>(*directory, way, report);
      is_well = hear(report.standing_by, i + 1);
      const bool was_marked = report.first_is_marked != 0;
      const std::uint64_t before = report.first_number;
      const bool was_finished = before % 2 == 0 || was_marked;
      Result<Peer> peer = Peer::open(reader->pid());
      const std::uint64_t killed_ns = monotonic_ns();
      is_well = is_well && peer.ok() && kill(reader->pid(), SIGKILL) == 0;
      if (way == TakeoverWay::kSupervisor) {
        is_well = is_well && peer->wait_ended(deadline_after(20'000'000'000)).ok();
        found.noticed_ns.push_back(monotonic_ns() - killed_ns);
        successor->tell();
      }
      is_well = is_well && hear(report.reading, i + 1);
      if (!is_well) break;
      found.reading_ns.push_back(report.first_ns - killed_ns);
      if (report.first_number != before + (was_finished ? 1 : 0)) ++found.lost;
      if ((report.first_is_marked != 0) != !was_finished) ++found.unmarked_repeats;
      while (writer.put() == Transfer::kDone) {
      }
      reader = std::move(successor);
    }
    if (!is_well) ++found.failures;
  }
  static_cast<void>(remove_segment(*directory, kLinkName));
  return found;
}

std::string quantiles_of(std::vector<std::uint64_t>& times_ns) {
  if (times_ns.empty()) return "nothing measured";
  std::sort(times_ns.begin(), times_ns.end());
  const auto microseconds_at = [&](double share) {
    const auto last = static_cast<double>(times_ns.size() - 1);
    return static_cast<double>(times_ns[static_cast<std::size_t>(share * last)]) / 1000;
  };
  char text[128];
  std::snprintf(text, sizeof text, "p50 %.0f us, p99 %.0f us, max %.0f us, N %zu",
                microseconds_at(0.5), microseconds_at(0.99), microseconds_at(1), times_ns.size());
  return text;
}

}  // namespace slipring::crash
