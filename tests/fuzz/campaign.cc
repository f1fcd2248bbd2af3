#include "tests/fuzz/campaign.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <new>

#include "core/error/check.h"

namespace slipring::fuzz {
namespace {

// What a worker shares with the watcher.
struct WorkerPage {
  std::atomic<std::uint64_t> executions{0};
  std::atomic<std::uint64_t> input_bytes{0};
  std::array<std::uint8_t, kMaxInputBytes> input{};
  Tally tally;
  std::array<char, 200> check_text{};
};

WorkerPage* worker_page = nullptr;

void note_check(const char* why, const char* /*file*/, int line) noexcept {
  if (worker_page == nullptr) return;
  snprintf(worker_page->check_text.data(), worker_page->check_text.size(), "check(): %s (line %d)",
           why, line);
}

[[nodiscard]] double now_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// The body of a worker.  Ends the process.
[[noreturn]] void work(const TargetInfo& info, const CampaignOptions& options, std::uint64_t number,
                       std::uint64_t most, WorkerPage& page) {
  worker_page = &page;
  check_failed_handler = note_check;
  // A crash is reported by the watcher: no core file, and nobody's handler.
  for (const int fault : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT}) ::signal(fault, SIG_DFL);
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  Random random(options.seed * 1'000'003 + number);
  const std::unique_ptr<FuzzTarget> target = info.make();
  const double end = options.seconds > 0 ? now_seconds() + options.seconds : 1e300;
  for (std::uint64_t i = 0; i < most; ++i) {
    const std::size_t size = target->make_input(random, page.input);
    page.input_bytes.store(size, std::memory_order_relaxed);
    target->run({page.input.data(), size}, page.tally);
    page.executions.store(i + 1, std::memory_order_relaxed);
    if (page.tally.broken != nullptr) break;
    if (i % 4096 == 4095 && now_seconds() > end) break;
  }
  // The target goes with the process: its memory may be what was broken.
  std::fflush(nullptr);
  ::_exit(0);
}

struct Worker {
  pid_t pid = 0;
  WorkerPage* page = nullptr;
  std::uint64_t seen_executions = 0;
  double seen_at = 0;
  bool is_hung = false;
};

// Waits until a child may have ended, or for a tenth of a second.
void wait_a_moment(const sigset_t& child_signal) {
  const timespec tenth{0, 100'000'000};
  ::sigtimedwait(&child_signal, nullptr, &tenth);
}

[[nodiscard]] CampaignFinding finding_of(const Worker& worker, FindingKind kind, std::string what) {
  const std::uint64_t size = worker.page->input_bytes.load(std::memory_order_relaxed);
  CampaignFinding finding{kind, std::move(what), {}, 0};
  finding.input.assign(
      worker.page->input.begin(),
      worker.page->input.begin() +
          static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(size, kMaxInputBytes)));
  finding.executions = worker.page->executions.load(std::memory_order_relaxed);
  return finding;
}

void note_end(const Worker& worker, int status, CampaignReport& report) {
  if (worker.is_hung) {
    report.findings.push_back(finding_of(worker, FindingKind::kHang, "one execution does not end"));
  } else if (worker.page->tally.broken != nullptr) {
    report.findings.push_back(finding_of(worker, FindingKind::kBroken, worker.page->tally.broken));
  } else if (WIFSIGNALED(status)) {
    std::string what = ::strsignal(WTERMSIG(status));
    if (worker.page->check_text[0] != '\0') what = worker.page->check_text.data();
    report.findings.push_back(finding_of(worker, FindingKind::kCrash, std::move(what)));
  } else if (WEXITSTATUS(status) != 0) {
    report.findings.push_back(finding_of(worker, FindingKind::kCrash, "a sanitizer's report"));
  }
}

void add_up(const Worker& worker, CampaignReport& report) {
  report.executions += worker.page->executions.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < kAnswerCount; ++i) {
    report.tally.answers[i] += worker.page->tally.answers[i];
  }
  report.tally.scribbles += worker.page->tally.scribbles;
}

// Reaps the worker if it has ended, and kills it if it has not moved for too long.
[[nodiscard]] bool has_ended(Worker& worker, const CampaignOptions& options,
                             CampaignReport& report) {
  int status = 0;
  if (::waitpid(worker.pid, &status, WNOHANG) == worker.pid) {
    note_end(worker, status, report);
    return true;
  }
  const std::uint64_t executions = worker.page->executions.load(std::memory_order_relaxed);
  if (executions != worker.seen_executions) {
    worker.seen_executions = executions;
    worker.seen_at = now_seconds();
  } else if (now_seconds() - worker.seen_at > options.hang_seconds) {
    worker.is_hung = true;
    ::kill(worker.pid, SIGKILL);
  }
  return false;
}

void watch(std::vector<Worker>& workers, const TargetInfo& info, const CampaignOptions& options,
           const sigset_t& child_signal, CampaignReport& report) {
  const double begin = now_seconds();
  double said_at = begin;
  std::vector<Worker*> running;
  for (Worker& worker : workers) running.push_back(&worker);
  while (!running.empty()) {
    wait_a_moment(child_signal);
    std::erase_if(running, [&](Worker* worker) { return has_ended(*worker, options, report); });
    if (options.progress == nullptr || now_seconds() - said_at < 10) continue;
    said_at = now_seconds();
    std::uint64_t sum = 0;
    for (const Worker& worker : workers) {
      sum += worker.page->executions.load(std::memory_order_relaxed);
    }
    std::fprintf(options.progress, "  %s: %llu executions, %.0f s\n", info.name,
                 static_cast<unsigned long long>(sum), said_at - begin);
    std::fflush(options.progress);
  }
  report.seconds = now_seconds() - begin;
}

}  // namespace

CampaignReport run_campaign(const TargetInfo& target, const CampaignOptions& options) {
  sigset_t child_signal;
  sigset_t before;
  sigemptyset(&child_signal);
  sigaddset(&child_signal, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &child_signal, &before);
  std::fflush(nullptr);
  const std::size_t bytes = sizeof(WorkerPage) * options.worker_count;
  void* shared = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  check(shared != MAP_FAILED, "no memory for the workers' pages");
  std::vector<Worker> workers(options.worker_count);
  const std::uint64_t most =
      options.executions == 0
          ? UINT64_MAX
          : (options.executions + options.worker_count - 1) / options.worker_count;
  for (std::uint32_t i = 0; i < options.worker_count; ++i) {
    workers[i].page = new (static_cast<std::byte*>(shared) + i * sizeof(WorkerPage)) WorkerPage;
    workers[i].seen_at = now_seconds();
    workers[i].pid = ::fork();
    check(workers[i].pid >= 0, "fork failed");
    if (workers[i].pid == 0) {
      ::sigprocmask(SIG_SETMASK, &before, nullptr);
      work(target, options, i, most, *workers[i].page);
    }
  }
  CampaignReport report;
  watch(workers, target, options, child_signal, report);
  for (const Worker& worker : workers) add_up(worker, report);
  ::munmap(shared, bytes);
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  return report;
}

std::string hex_of(std::span<const std::uint8_t> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::vector<std::uint8_t> bytes_of(const std::string& hex) {
  std::vector<std::uint8_t> bytes;
  for (std::size_t at = 0; at + 1 < hex.size(); at += 2) {
    bytes.push_back(
        static_cast<std::uint8_t>(std::strtoul(hex.substr(at, 2).c_str(), nullptr, 16)));
  }
  return bytes;
}

}  // namespace slipring::fuzz
