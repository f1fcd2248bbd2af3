#include "tools/cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "pipelines/stage/error_text.h"
#include "pipelines/stage/stage.h"

namespace slipring::tools {
namespace {

int output_errno = 0;  // of the first write that failed

const char* escape_of(Tone tone) noexcept {
  switch (tone) {
    case Tone::kGood:
      return "\033[32m";
    case Tone::kWarning:
      return "\033[33m";
    case Tone::kBad:
      return "\033[31m";
    case Tone::kFaint:
      return "\033[2m";
    case Tone::kStrong:
      return "\033[1m";
    case Tone::kPlain:
      break;
  }
  return "";
}

void talk(std::string_view command, std::string_view text, Tone tone) {
  std::string front = "slipring";
  if (!command.empty()) front.append(" ").append(command);
  front += ':';
  const std::size_t indent = 2;
  const std::string line =
      toned(front, tone, wants_colour(STDERR_FILENO)) + " " +
      wrapped(text, terminal_columns(STDERR_FILENO), indent, display_width(front) + 1) + "\n";
  // Nothing is left to be told when stderr itself fails.
  static_cast<void>(std::fwrite(line.data(), 1, line.size(), stderr));
}

}  // namespace

bool wants_colour(int fd) noexcept {
  const char* refused = std::getenv("NO_COLOR");
  if (refused != nullptr && *refused != '\0') return false;
  const char* terminal = std::getenv("TERM");
  if (terminal == nullptr || *terminal == '\0' || std::strcmp(terminal, "dumb") == 0) return false;
  return isatty(fd) == 1;
}

std::string toned(std::string_view text, Tone tone, bool in_colour) {
  if (!in_colour || tone == Tone::kPlain) return std::string(text);
  return escape_of(tone) + std::string(text) + "\033[0m";
}

std::size_t terminal_columns(int fd) noexcept {
  if (isatty(fd) != 1) return 0;
  winsize size{};
  if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col != 0) return size.ws_col;
  return 80;
}

std::size_t display_width(std::string_view text) noexcept {
  // Counts all bytes but those that continue a character.
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char letter) {
    return (static_cast<unsigned char>(letter) & 0xC0U) != 0x80U;
  }));
}

std::string wrapped(std::string_view text, std::size_t columns, std::size_t indent,
                    std::size_t first_column) {
  std::string lines;
  std::size_t column = first_column;
  bool at_start = true;
  while (!text.empty()) {
    const std::size_t end = text.find(' ');
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const std::size_t width = display_width(word);
    if (!at_start && columns != 0 && column + 1 + width > columns) {
      lines += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (!at_start) {
      lines += ' ';
      ++column;
    }
    lines += word;
    column += width;
    at_start = false;
  }
  return lines;
}

void print(std::string_view text) noexcept {
  if (output_errno != 0) return;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    output_errno = errno != 0 ? errno : EIO;
  }
}

bool output_is_lost() noexcept {
  return output_errno != 0;
}

ExitStatus finish_output(ExitStatus status) noexcept {
  if (output_errno == 0 || output_errno == EPIPE) return status;
  talk("", std::string("cannot write the output: ") + std::strerror(output_errno), Tone::kBad);
  return first_failure(status, ExitStatus::kFailure);
}

void complain(std::string_view command, std::string_view text) {
  talk(command, text, Tone::kBad);
}

ExitStatus complain(std::string_view command, std::string_view what, const Error& error) {
  complain(command, std::string(what) + ": " + describe_error(error));
  return exit_status_of(error.code);
}

void remark(std::string_view command, std::string_view text) {
  talk(command, text, Tone::kFaint);
}

}  // namespace slipring::tools
