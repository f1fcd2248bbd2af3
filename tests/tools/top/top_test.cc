// The real program on a terminal of its own: what it shows, and that it gives the terminal back.
#include <doctest/doctest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#include <array>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "tests/tools/command_fixture.h"

namespace slipring::tools {
namespace {

constexpr const char* kEnter = "\033[?1049h";  // smcup and rmcup of xterm
constexpr const char* kLeave = "\033[?1049l";

// `slipring top` on a pseudo-terminal.
class OnTerminal {
 public:
  OnTerminal(unsigned short columns, unsigned short lines) {
    winsize size{};
    size.ws_col = columns;
    size.ws_row = lines;
    int slave = -1;
    REQUIRE(openpty(&master_, &slave, nullptr, nullptr, &size) == 0);
    REQUIRE(tcgetattr(master_, &before_) == 0);  // before anybody can have changed it
    process_ = fork();
    REQUIRE(process_ >= 0);
    if (process_ == 0) {
      close(master_);
      if (login_tty(slave) != 0) _exit(126);
      setenv("TERM", "xterm", 1);
      execl("tools/slipring", "slipring", "top", "-i", "0.1", nullptr);
      _exit(127);
    }
    close(slave);
  }
  ~OnTerminal() {
    if (process_ > 0) {
      kill(process_, SIGKILL);
      waitpid(process_, nullptr, 0);
    }
    close(master_);
  }
  OnTerminal(const OnTerminal&) = delete;
  OnTerminal& operator=(const OnTerminal&) = delete;

  // Reads until `text` has come since the last call.
  void expect(const std::string& text) {
    CAPTURE(text);
    while (unread_.find(text) == std::string::npos) REQUIRE(read_more());
    unread_.clear();
  }
  void press(const std::string& keys) {
    REQUIRE(write(master_, keys.data(), keys.size()) == static_cast<ssize_t>(keys.size()));
  }
  void resize(unsigned short columns, unsigned short lines) {
    winsize size{};
    size.ws_col = columns;
    size.ws_row = lines;
    REQUIRE(ioctl(master_, TIOCSWINSZ, &size) == 0);
  }
  void signal(int number) { REQUIRE(kill(process_, number) == 0); }
  // The wait status at its end; everything that it wrote is read.
  int end() {
    while (read_more()) {
    }
    int status = 0;
    REQUIRE(waitpid(std::exchange(process_, -1), &status, 0) > 0);
    return status;
  }
  [[nodiscard]] bool is_as_before() const {
    termios now{};
    tcgetattr(master_, &now);
    return now.c_lflag == before_.c_lflag && now.c_iflag == before_.c_iflag &&
           now.c_oflag == before_.c_oflag && all_.rfind(kLeave) != std::string::npos &&
           all_.rfind(kLeave) > all_.rfind(kEnter);
  }

 private:
  bool read_more() {
    pollfd terminal{master_, POLLIN, 0};
    REQUIRE_MESSAGE(poll(&terminal, 1, 60'000) > 0, "nothing is shown for a minute");
    std::array<char, 4096> piece{};
    const ssize_t got = read(master_, piece.data(), piece.size());
    if (got <= 0) return false;
    all_.append(piece.data(), static_cast<std::size_t>(got));
    unread_.append(piece.data(), static_cast<std::size_t>(got));
    return true;
  }

  pid_t process_ = -1;
  int master_ = -1;
  termios before_{};
  std::string all_;
  std::string unread_;
};

TEST_CASE("top: shows the links, heeds its keys, and leaves the terminal as it was") {
  const CommandFixture fixture;
  fixture.make_records("alpha");
  OnTerminal terminal(80, 24);
  terminal.expect("alpha");
  // Ctrl-L behind each, because otherwise only the letters that differ are written.
  terminal.press("s\f");
  terminal.expect("rate");
  terminal.press("s\f");
  terminal.expect("fill");
  terminal.press("p\f");
  terminal.expect("paused");
  terminal.resize(40, 10);
  terminal.press("p\f");
  terminal.expect("alpha");
  terminal.press("q");
  const int status = terminal.end();
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(terminal.is_as_before());
}

TEST_CASE("top: whatever signal ends it, the terminal is as it was") {
  const CommandFixture fixture;
  fixture.make_records("alpha");
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGABRT, SIGSEGV}) {
    CAPTURE(number);
    OnTerminal terminal(80, 24);
    terminal.expect("alpha");
    terminal.signal(number);
    const int status = terminal.end();
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == number);
    CHECK(terminal.is_as_before());
  }
}

TEST_CASE("top: without a terminal, and with --json, it is stat") {
  const CommandFixture fixture;
  const Ending text = fixture.call({"top", "nothing"});
  CHECK(text.exit_status == 3);
  CHECK(contains(text.err, "no segment 'nothing'"));
  CHECK(fixture.call({"top", "-i", "x"}).exit_status == 2);
}

}  // namespace
}  // namespace slipring::tools
