#include "platform/process/child.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <array>
#include <string>
#include <vector>

#include "platform/process/affinity.h"
#include "platform/wait/clock.h"
#include "tests/platform/other_process.h"
#include "tests/platform/scratch.h"

namespace slipring {
namespace {

struct Pipe {
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) std::abort();
    read = Descriptor(ends[0]);
    write = Descriptor(ends[1]);
  }

  // Everything until every writer is gone.
  std::string drain() {
    write.reset();
    std::string text;
    char buffer[512];
    for (;;) {
      const ssize_t count = ::read(read.get(), buffer, sizeof(buffer));
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return text;
      text.append(buffer, static_cast<std::size_t>(count));
    }
  }

  Descriptor read;
  Descriptor write;
};

struct Shell {
  explicit Shell(const char* script) : arguments{"-c", script} {
    options.program = "/bin/sh";
    options.arguments = arguments;
  }
  std::vector<std::string> arguments;
  ChildOptions options;
};

// Its output and how it ended.
std::pair<std::string, ExitStatus> run(Shell& shell) {
  Pipe output;
  shell.options.stdout_fd = output.write.get();
  Result<Peer> child = start_child(shell.options);
  if (!child.ok()) return {child.error().doing, {}};
  std::string text = output.drain();
  Result<std::optional<ExitStatus>> status = child->reap(kNoDeadline);
  if (!status.ok() || !status->has_value()) return {"not reaped", {}};
  return {text, **status};
}

TEST_CASE("child: a program that does not exist is an error of the parent, and leaves no zombie") {
  ChildOptions options;
  options.program = "/no/such/program";
  Result<Peer> child = start_child(options);
  REQUIRE_FALSE(child.ok());
  CHECK(child.error().code == ErrorCode::kNotFound);
  CHECK(child.error().os_errno == ENOENT);
  options.program = "/etc/passwd";
  CHECK(start_child(options).error().code == ErrorCode::kPermission);
  REQUIRE(::setenv("PATH", "/usr/bin:/bin", 1) == 0);
  options.program = "no-such-program-in-the-path";
  CHECK(start_child(options).error().code == ErrorCode::kNotFound);
  options.program = "";
  CHECK(start_child(options).error().code == ErrorCode::kInvalidArgument);
  CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
  CHECK(errno == ECHILD);
}

TEST_CASE("child: arguments and environment reach the program, ours stays underneath") {
  REQUIRE(::setenv("CHILD_TEST_KEPT", "kept", 1) == 0);
  REQUIRE(::setenv("CHILD_TEST_CHANGED", "old", 1) == 0);
  Shell shell("printf '%s|%s|%s|%s' \"$0\" \"$1\" \"$CHILD_TEST_KEPT\" \"$CHILD_TEST_CHANGED\"");
  shell.arguments.insert(shell.arguments.end(), {"zero", "one two"});
  shell.options.arguments = shell.arguments;
  const std::vector<std::string> environment = {"CHILD_TEST_CHANGED=new=value"};
  shell.options.environment = environment;
  const auto [text, status] = run(shell);
  CHECK(text == "zero|one two|kept|new=value");
  CHECK(status.is_success());
  const std::vector<std::string> nameless = {"no value"};
  shell.options.environment = nameless;
  CHECK(start_child(shell.options).error().code == ErrorCode::kInvalidArgument);
}

TEST_CASE("child: it has the standard streams and no other descriptor") {
  const Descriptor inheritable(::open("/dev/null", O_RDONLY));
  REQUIRE(inheritable.is_open());
  Shell shell("for fd in /proc/$$/fd/*; do printf '%s ' ${fd##*/}; done; read -r x || printf eof");
  const auto [text, status] = run(shell);
  // The shell that expands the pattern has the directory open meanwhile, under number 3 or above.
  CHECK(text.substr(0, 6) == "0 1 2 ");
  const std::string own = " " + std::to_string(inheritable.get()) + " ";
  if (inheritable.get() > 3) CHECK(text.find(own) == std::string::npos);
  CHECK(text.ends_with("eof"));
}

TEST_CASE("child: kept descriptors keep their numbers") {
  Pipe extra;
  const std::array<int, 1> kept = {extra.write.get()};
  const std::string script = "echo through >&" + std::to_string(kept[0]);
  Shell shell(script.c_str());
  shell.options.kept_fds = kept;
  CHECK(run(shell).second.is_success());
  CHECK(extra.drain() == "through\n");
}

TEST_CASE("child: output and error may be exchanged") {
  Pipe output;
  Pipe error;
  // The worst case: each wanted under the number that the other one has.
  OtherProcess starter([&](Line) {
    ::dup2(output.write.get(), STDERR_FILENO);
    ::dup2(error.write.get(), STDOUT_FILENO);
    Shell shell("echo out; echo err >&2");
    shell.options.stdout_fd = STDERR_FILENO;
    shell.options.stderr_fd = STDOUT_FILENO;
    Result<Peer> child = start_child(shell.options);
    if (!child.ok()) return 1;
    return child->reap(kNoDeadline)->value().is_success() ? 0 : 2;
  });
  CHECK(output.drain() == "out\n");
  CHECK(error.drain() == "err\n");
  CHECK(starter.wait() == 0);
}

TEST_CASE("child: the exit code and the killing signal are told apart") {
  Shell seven("exit 7");
  ExitStatus status = run(seven).second;
  CHECK_FALSE(status.by_signal);
  CHECK(status.value == 7);
  Shell killed("kill -TERM $$");
  status = run(killed).second;
  CHECK(status.by_signal);
  CHECK(status.value == SIGTERM);
}

TEST_CASE("child: it starts with default signals and an empty mask") {
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  REQUIRE(::sigprocmask(SIG_BLOCK, &blocked, nullptr) == 0);
  ::signal(SIGPIPE, SIG_IGN);
  // In the shell's place: a shell blocks signals of its own accord while it waits.
  Shell shell("exec grep -E '^Sig(Blk|Ign):' /proc/self/status");
  const auto [text, status] = run(shell);
  ::signal(SIGPIPE, SIG_DFL);
  ::sigprocmask(SIG_UNBLOCK, &blocked, nullptr);
  CAPTURE(text);
  CHECK(text.find("SigBlk:\t0000000000000000\n") != std::string::npos);
  const auto ignored = text.find("SigIgn:\t");
  REQUIRE(ignored != std::string::npos);
  // 32 and 33 are the C library's own, and as whoever started the test left them.
  constexpr unsigned long long kOfTheLibrary = 3ull << 31;
  CHECK((std::stoull(text.substr(ignored + 8), nullptr, 16) & ~kOfTheLibrary) == 0);
}

TEST_CASE("child: it leads a process group") {
  Shell shell("read -r x; exit 0");
  Pipe input;
  shell.options.stdin_fd = input.read.get();
  Result<Peer> child = start_child(shell.options);
  REQUIRE(child.ok());
  CHECK(::getpgid(child->pid()) == child->pid());
  CHECK_FALSE(child->has_ended().value());
  CHECK_FALSE(child->try_reap()->has_value());
  CHECK_FALSE(child->wait_ended(deadline_after(1'000'000)).value());
  input.write.reset();
  CHECK(child->reap(kNoDeadline)->value().is_success());
  CHECK(child->try_reap().error().code == ErrorCode::kNotFound);
  CHECK(child->send_signal(SIGTERM).error().code == ErrorCode::kNotFound);
}

TEST_CASE("child: it dies with the process that started it") {
  Pipe alive;
  OtherProcess starter([&](Line line) {
    Shell shell("while :; do read -r x || exec cat /dev/zero >/dev/null; done");
    shell.options.stdout_fd = alive.write.get();
    line.say(start_child(shell.options).ok() ? 'y' : 'n');
    return static_cast<int>(line.hear());
  });
  REQUIRE(starter.line().hear() == 'y');
  starter.kill_now();
  CHECK(starter.wait() == -SIGKILL);
  // The child is the last that holds the writing end: it must go without being told.
  CHECK(alive.drain().empty());
}

TEST_CASE("child: a signal reaches the very process, and poll sees it end") {
  Pipe input;
  Shell shell("read -r x");
  shell.options.stdin_fd = input.read.get();
  Result<Peer> child = start_child(shell.options);
  REQUIRE(child.ok());
  CHECK(child->send_signal(SIGKILL).ok());
  CHECK(child->wait_ended(kNoDeadline).value());
  CHECK(child->has_ended().value());
  const ExitStatus status = child->reap(kNoDeadline)->value();
  CHECK(status.by_signal);
  CHECK(status.value == SIGKILL);
}

TEST_CASE("child: it runs on its processors, and an impossible processor is refused at once") {
  const std::vector<std::uint32_t> allowed = allowed_cpus().value();
  const std::array<std::uint32_t, 1> last = {allowed.back()};
  Shell shell("grep Cpus_allowed_list /proc/$$/status");
  shell.options.cpus = last;
  CHECK(run(shell).first == "Cpus_allowed_list:\t" + std::to_string(last[0]) + "\n");
  const std::array<std::uint32_t, 1> missing = {kCpuNumberMax};
  shell.options.cpus = missing;
  Result<Peer> refused = start_child(shell.options);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == ErrorCode::kInvalidArgument);
  CHECK(refused.error().found == kCpuNumberMax);
}

}  // namespace
}  // namespace slipring
