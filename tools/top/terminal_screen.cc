#include "tools/top/terminal_screen.h"

#include <curses.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace slipring::tools {
namespace {

// What a signal handler needs to give the terminal back: written before the handler is there.
termios before{};
std::array<char, 64> farewell{};
std::size_t farewell_size = 0;

constexpr std::array<int, 6> kFatal = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGQUIT};

void give_back_and_die(int signal_number) noexcept {
  static_cast<void>(!write(STDOUT_FILENO, farewell.data(), farewell_size));
  tcsetattr(STDIN_FILENO, TCSANOW, &before);
  // The handler was for one time; now the signal has its way.
  raise(signal_number);
}

void add_farewell(const char* capability) {
  const char* text = tigetstr(capability);
  if (text == nullptr || text == reinterpret_cast<const char*>(-1)) return;
  const std::size_t size = std::strlen(text);
  if (farewell_size + size > farewell.size()) return;
  std::memcpy(farewell.data() + farewell_size, text, size);
  farewell_size += size;
}

int attribute_of(Tone tone, bool in_colour) {
  switch (tone) {
    case Tone::kStrong:
      return static_cast<int>(A_BOLD);
    case Tone::kFaint:
      return static_cast<int>(A_DIM);
    case Tone::kGood:
      return static_cast<int>(in_colour ? COLOR_PAIR(1) : A_NORMAL);
    case Tone::kWarning:
      return static_cast<int>(in_colour ? COLOR_PAIR(2) : A_BOLD);
    case Tone::kBad:
      return static_cast<int>(in_colour ? COLOR_PAIR(3) : A_REVERSE);
    case Tone::kPlain:
      break;
  }
  return static_cast<int>(A_NORMAL);
}

}  // namespace

bool TerminalScreen::is_there() noexcept {
  const char* const term = std::getenv("TERM");
  return isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0 && term != nullptr &&
         *term != '\0' && std::string_view(term) != "dumb";
}

TerminalScreen::TerminalScreen() {
  tcgetattr(STDIN_FILENO, &before);
  initscr();
  farewell_size = 0;
  for (const char* capability : {"sgr0", "cnorm", "rmcup"}) add_farewell(capability);
  struct sigaction action {};
  action.sa_handler = give_back_and_die;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
  for (const int number : kFatal) sigaction(number, &action, nullptr);
  cbreak();
  noecho();
  curs_set(0);
  keypad(stdscr, TRUE);
  if (wants_colour(STDOUT_FILENO) && has_colors()) {
    is_coloured_ = true;
    start_color();
    use_default_colors();
    init_pair(1, COLOR_GREEN, -1);
    init_pair(2, COLOR_YELLOW, -1);
    init_pair(3, COLOR_RED, -1);
  }
}

TerminalScreen::~TerminalScreen() {
  endwin();
  for (const int number : kFatal) signal(number, SIG_DFL);
}

std::size_t TerminalScreen::columns() const noexcept {
  return static_cast<std::size_t>(COLS > 0 ? COLS : 80);
}

std::size_t TerminalScreen::lines() const noexcept {
  return static_cast<std::size_t>(LINES > 0 ? LINES : 24);
}

void TerminalScreen::show(const Screen& screen) {
  erase();
  int at = 0;
  for (const ScreenLine& line : screen.lines) {
    attrset(attribute_of(line.tone, is_coloured_));
    mvaddnstr(at++, 0, line.text.c_str(), static_cast<int>(line.text.size()));
  }
  attrset(static_cast<int>(A_NORMAL));
  refresh();
}

TopKey TerminalScreen::key(int timeout_ms) {
  timeout(timeout_ms);
  switch (getch()) {
    case 'q':
    case 'Q':
      return TopKey::kQuit;
    case 's':
      return TopKey::kSort;
    case 'p':
    case ' ':
      return TopKey::kPause;
    case '-':
      return TopKey::kQuicker;
    case '+':
    case '=':
      return TopKey::kSlower;
    case KEY_UP:
    case 'k':
      return TopKey::kUp;
    case KEY_DOWN:
    case 'j':
      return TopKey::kDown;
    case KEY_PPAGE:
      return TopKey::kPageUp;
    case KEY_NPAGE:
      return TopKey::kPageDown;
    case '\f':  // Ctrl-L: somebody else has written over it
      clearok(curscr, TRUE);
      return TopKey::kResize;
    case KEY_RESIZE:
      return TopKey::kResize;
    default:
      return TopKey::kNone;
  }
}

}  // namespace slipring::tools
