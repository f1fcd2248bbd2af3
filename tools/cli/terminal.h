// Where words go: data to stdout, talk to stderr, colour only to people.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/error/error.h"
#include "tools/cli/exit_status.h"

namespace slipring::tools {

enum class Tone : unsigned char { kPlain, kGood, kWarning, kBad, kFaint, kStrong };

// Whether `fd` is a terminal of somebody who wants colours: not with NO_COLOR set, nor with TERM
// missing or "dumb".
[[nodiscard]] bool wants_colour(int fd) noexcept;

// `text` in its colour, or as it is.
[[nodiscard]] std::string toned(std::string_view text, Tone tone, bool in_colour);

// The columns of the terminal on `fd`; 0 when it is none, so that nothing is wrapped for programs.
[[nodiscard]] std::size_t terminal_columns(int fd) noexcept;

// How many columns a UTF-8 text takes, as long as every character takes one.
[[nodiscard]] std::size_t display_width(std::string_view text) noexcept;

// Breaks `text` at spaces into lines of at most `columns` (0: no limit), every line after the first
// indented by `indent` spaces.  `first_column` columns of the first line are taken already.
[[nodiscard]] std::string wrapped(std::string_view text, std::size_t columns, std::size_t indent,
                                  std::size_t first_column);

// Writes data to stdout at once.
void print(std::string_view text) noexcept;

// Whether writing has failed: nobody sees what follows.
[[nodiscard]] bool output_is_lost() noexcept;

// Whether all data arrived; complains when not, except that a reader who went away is nobody's
// fault.  Call last.
ExitStatus finish_output(ExitStatus status) noexcept;

// One line on stderr: "slipring COMMAND: TEXT", the front in red on a terminal.
void complain(std::string_view command, std::string_view text);

// The same for an error, with everything that is known about it; answers the status for it.
ExitStatus complain(std::string_view command, std::string_view what, const Error& error);

// The same without the red, for what is merely worth knowing.
void remark(std::string_view command, std::string_view text);

}  // namespace slipring::tools
