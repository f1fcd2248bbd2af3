#include "tests/crash/link/runner_crash.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "platform/wait/clock.h"
#include "tests/crash/link/private_tmpfs.h"

namespace slipring::crash {
namespace {

constexpr std::uint64_t kPatienceNs = 20'000'000'000;
constexpr int kCallStop = SIGTRAP | 0x80;

constexpr const char* kPipeline = R"([pipeline]
name = "crash"
memlock = "off"
wait = "sleep"
[[stage]]
name = "source"
program = "count_source"
[stage.options]
count = 100
[[stage]]
name = "sink"
program = "count_sink"
[[link]]
name = "numbers"
from = "source.numbers"
to = "sink.numbers"
capacity = "4KiB"
)";

class RunnerCrash {
 public:
  explicit RunnerCrash(const RunnerKillOptions& options)
      : options_(options), file_(options.scratch + "/crash.toml") {
    std::ofstream(file_) << kPipeline;
  }

  RunnerKills go() {
    found_.calls = count_calls();
    expect(found_.calls > 100, "the pipeline does not run undisturbed");
    for (std::uint64_t call = options_.first;
         call < found_.calls && monotonic_ns() < options_.deadline_ns; call += options_.stride) {
      kill_at(call);
    }
    return found_;
  }

 private:
  void expect(bool holds, const std::string& what) {
    if (holds) return;
    if (found_.violations++ == 0) found_.first_violation = what;
  }

  // A runner; traced ones stop at their first instruction.
  pid_t start(bool traced) {
    const pid_t pid = fork();
    if (pid < 0) abort();
    if (pid > 0) return pid;
    const std::string log = options_.scratch + "/log";
    const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    setenv("SLIPRING_DIR", tmpfs_.path().c_str(), 1);
    setenv("SLIPRING_STAGE_PATH", options_.programs.c_str(), 1);
    if (traced) ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    const std::string program = options_.programs + "/run_file";
    execl(program.c_str(), program.c_str(), file_.c_str(), nullptr);
    _exit(126);
  }

  // Lets a traced runner pass `calls` system calls (entry and exit are two stops); false when it
  // has ended, with its status.
  static bool pass(pid_t pid, std::uint64_t calls, std::uint64_t& passed, int& status) {
    if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) return false;
    ptrace(PTRACE_SETOPTIONS, pid, nullptr, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD);
    int given = 0;
    for (std::uint64_t stops = 0; stops < 2 * calls;) {
      if (ptrace(PTRACE_SYSCALL, pid, nullptr, given) != 0) return false;
      if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) return false;
      const bool is_call = WSTOPSIG(status) == kCallStop;
      given = is_call || WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
      if (is_call) passed = ++stops / 2;
    }
    return true;
  }

  std::uint64_t count_calls() {
    std::uint64_t passed = 0;
    int status = 0;
    static_cast<void>(pass(start(true), UINT64_MAX / 4, passed, status));
    expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a run does not end well");
    expect(tmpfs_.census().names.empty(), "a run leaves a file");
    return passed;
  }

  void kill_at(std::uint64_t call) {
    const std::string at = " (killed at call " + std::to_string(call) + ")";
    std::uint64_t passed = 0;
    int status = 0;
    const pid_t pid = start(true);
    if (!pass(pid, call, passed, status)) {
      // How often it looks at its stages is the scheduler's business.
      ++found_.ended;
      return;
    }
    kill(pid, SIGKILL);
    // Not reaped: whoever runs it next does not wait for that either.
    const int next = run_to_end();
    expect(next == 0, "the next run ends with " + std::to_string(next) + at + ": " + last_words());
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    ++found_.kills;
    expect(tmpfs_.census().names.empty(), "a file is left after the next run" + at);
    expect(no_stage_is_left(), "a stage lives on" + at);
  }

  int run_to_end() {
    const pid_t pid = start(false);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
  }

  [[nodiscard]] std::string last_words() const {
    std::ifstream log(options_.scratch + "/log");
    return {std::istreambuf_iterator<char>(log), std::istreambuf_iterator<char>()};
  }

  // Processes that were started for our directory, zombies aside.
  [[nodiscard]] std::size_t stage_count() const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const std::string name = entry.path().filename().string();
      if (!std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; })) {
        continue;
      }
      std::ifstream environment(entry.path() / "environ");
      const std::string text{std::istreambuf_iterator<char>(environment),
                             std::istreambuf_iterator<char>()};
      if (text.find("SLIPRING_DIR=" + tmpfs_.path()) != std::string::npos) ++count;
    }
    return count;
  }
  [[nodiscard]] bool no_stage_is_left() const {
    const std::uint64_t deadline_ns = deadline_after(kPatienceNs);
    while (stage_count() != 0) {
      if (monotonic_ns() >= deadline_ns) return false;
    }
    return true;
  }

  const RunnerKillOptions& options_;
  PrivateTmpfs tmpfs_;
  std::string file_;
  RunnerKills found_;
};

}  // namespace

RunnerKills kill_runner_at_calls(const RunnerKillOptions& options) {
  return RunnerCrash(options).go();
}

}  // namespace slipring::crash
