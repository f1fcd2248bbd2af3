#include "pipelines/stage/live_view.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

namespace slipring {
namespace {

constexpr std::size_t kFillColumns = 10;
constexpr std::size_t kFallbackColumns = 80;
constexpr std::size_t kFallbackRows = 24;

std::string with_unit(double amount, const char* unit) {
  std::array<char, 48> text;
  snprintf(text.data(), text.size(), "%.1f%s", amount, unit);
  return text.data();
}

std::string left(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

std::string right(std::string text, std::size_t width) {
  if (text.size() < width) text.insert(0, width - text.size(), ' ');
  return text;
}

std::string percent(std::uint64_t cpu_ns_per_s) {
  return with_unit(static_cast<double>(cpu_ns_per_s) / 1e7, "");
}

std::string fill_bar(const LinkReport& report) {
  const std::uint64_t share =
      report.capacity == 0 ? 0 : std::min<std::uint64_t>(report.fill * 100 / report.capacity, 100);
  const std::size_t full = static_cast<std::size_t>((share * kFillColumns + 99) / 100);
  return "[" + std::string(full, '#') + std::string(kFillColumns - full, '.') + "]" +
         right(std::to_string(share) + "%", 5);
}

// How well the ends' memory is protected from everybody else; the weaker one's.
std::string memory(const LinkReport& report) {
  if (!report.is_guarded) return "named";
  return name_of(std::max(report.writer.protection, report.reader.protection));
}

std::string asleep(const LinkReport& report) {
  if (report.writer.is_asleep && report.reader.is_asleep) return "both";
  if (report.writer.is_asleep) return "writer";
  return report.reader.is_asleep ? "reader" : "-";
}

struct WindowSize {
  std::size_t columns;
  std::size_t rows;
};

WindowSize window_size(int fd) {
  winsize size{};
  if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) {
    return {kFallbackColumns, kFallbackRows};
  }
  return {size.ws_col, size.ws_row};
}

// Bytes of the UTF-8 sequence at the front, or 0 when it is broken or a control character.
std::size_t shown_sequence(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return first >= 0x20 && first != 0x7f ? 1 : 0;
  const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, beyond Unicode, and the second set of control characters.
  if (first == 0xe0 && byte(1) < 0xa0) return 0;
  if (first == 0xed && byte(1) > 0x9f) return 0;
  if (first == 0xf0 && byte(1) < 0x90) return 0;
  if (first == 0xf4 && byte(1) > 0x8f) return 0;
  if (first == 0xc2 && byte(1) < 0xa0) return 0;
  return size;
}

}  // namespace

std::string short_number(std::uint64_t number) {
  if (number < 10'000) return std::to_string(number);
  constexpr std::array kUnits = {"k", "M", "G", "T", "P", "E"};
  double amount = static_cast<double>(number) / 1e3;
  std::size_t unit = 0;
  for (; amount >= 999.95 && unit + 1 < kUnits.size(); ++unit) amount /= 1e3;
  return with_unit(amount, kUnits[unit]);
}

std::string short_bytes(std::uint64_t size_bytes) {
  if (size_bytes < 1024) return std::to_string(size_bytes) + " B";
  constexpr std::array kUnits = {" KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};
  double amount = static_cast<double>(size_bytes) / 1024;
  std::size_t unit = 0;
  for (; amount >= 1023.95 && unit + 1 < kUnits.size(); ++unit) amount /= 1024;
  return with_unit(amount, kUnits[unit]);
}

std::string short_duration(std::uint64_t duration_ns) {
  if (duration_ns < 1'000'000) return std::to_string(duration_ns / 1000) + " us";
  if (duration_ns < 1'000'000'000) return with_unit(static_cast<double>(duration_ns) / 1e6, " ms");
  return with_unit(static_cast<double>(duration_ns) / 1e9, " s");
}

std::string printable(std::string_view text) {
  std::string shown;
  while (!text.empty()) {
    const std::size_t size = shown_sequence(text);
    if (size == 0) {
      shown.push_back(text.front() == '\t' ? ' ' : '?');
      text.remove_prefix(1);
    } else {
      shown.append(text.substr(0, size));
      text.remove_prefix(size);
    }
  }
  return shown;
}

std::string words_of(const WireState& wire) {
  std::string text = printable(wire.place) + ", " + (wire.is_connected ? "" : "not ") + "connected";
  if (wire.connection_count > 1) {
    text += ", " + short_number(wire.connection_count) + " connections so far";
  }
  return text;
}

namespace {

std::string permille(std::uint64_t share) {
  return with_unit(static_cast<double>(share) / 10, "%");
}

// A storage array's: how much is dirty, how the disks stand, what is done beside the requests.
void add_array(const LiveState& state, const std::function<void(const std::string&)>& add) {
  if (const auto dirty = state.find_number("dirty_permille")) {
    add("cache " + permille(*dirty) + " dirty");
  }
  std::size_t active = 0;
  std::string others;
  std::size_t count = 0;
  for (;; ++count) {
    const std::string disk = "disk" + std::to_string(count);
    const auto standing = state.find_number(disk + "_state");
    if (!standing) break;
    if (*standing == 1) {
      ++active;
    } else if (*standing == 2) {
      others += ", " + disk + " rebuilding " +
                permille(state.find_number("rebuild_permille").value_or(0));
    } else {
      others += ", " + disk + " missing";
    }
  }
  if (count != 0) {
    add(std::to_string(active) + " of " + std::to_string(count) + " disks active" + others);
  }
  if (const auto scrub = state.find_number("scrub_permille"); scrub && *scrub != 0) {
    add("scrub " + permille(*scrub));
  }
  if (state.find_number("is_broken").value_or(0) != 0) add("BROKEN");
}

// What a stage's counters count now, and its gauges show, in lines no wider than `width` while a
// number fits; what is 0 is left out.
std::vector<std::string> numbers_of(const StageState& stage, std::size_t width) {
  std::vector<std::string> lines;
  for (const NumberState& number : stage.numbers) {
    if (number.name.starts_with('.')) continue;  // the stage's own
    const bool is_counter = number.kind == BoardKind::kCounter;
    const std::uint64_t value = is_counter ? number.per_s : number.value;
    if (value == 0) continue;
    const std::string words =
        printable(number.name) + " " + short_number(value) + (is_counter ? "/s" : "");
    if (lines.empty() || lines.back().size() + 2 + words.size() > width) {
      lines.push_back(words);
    } else {
      lines.back() += "  " + words;
    }
  }
  return lines;
}

}  // namespace

std::string headline(const LiveState& state) {
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  if (const auto p50 = state.find_number("latency_us_p50")) {
    add("latency p50 " + short_duration(*p50 * 1000));
  }
  if (const auto p99 = state.find_number("latency_us_p99")) {
    add("p99 " + short_duration(*p99 * 1000));
  }
  if (const auto shown = state.find_number("frames_shown")) {
    add(short_number(*shown) + " frames shown");
  }
  if (const auto late = state.find_number("frames_late")) add(short_number(*late) + " late");
  if (const auto copied = state.find_number("frame_bytes_copied")) {
    add(short_bytes(*copied) + " copied");
  }
  if (const auto change = state.find_number("change_to_picture_us"); change && *change != 0) {
    add("channel change " + short_duration(*change * 1000));
  }
  add_array(state, add);
  return text;
}

std::vector<std::string> render(const LiveState& state, std::size_t width) {
  std::size_t names = 5;
  for (const StageState& stage : state.stages) names = std::max(names, stage.name.size());
  for (const LinkState& link : state.links) names = std::max(names, link.name.size());

  std::vector<std::string> lines;
  lines.push_back(state.pipeline + ", up " + short_duration(state.uptime_ns));
  if (std::string numbers = headline(state); !numbers.empty()) lines.push_back(std::move(numbers));
  lines.push_back(left("STAGE", names) + "  " + left("STATE", 10) + right("PID", 9) +
                  right("RESTARTS", 10) + right("CPU%", 7) + right("MEMORY", 12) +
                  right("LOCKED", 12));
  for (const StageState& stage : state.stages) {
    const bool runs = stage.status.phase == StagePhase::kRunning;
    lines.push_back(left(stage.name, names) + "  " + left(name_of(stage.status.phase), 10) +
                    right(runs ? std::to_string(stage.status.pid) : "-", 9) +
                    right(std::to_string(stage.status.restart_count), 10) +
                    right(runs ? percent(stage.cpu_ns_per_s) : "-", 7) +
                    right(runs ? short_bytes(stage.resident_bytes) : "-", 12) +
                    right(runs ? short_bytes(stage.locked_bytes) : "-", 12));
  }
  lines.push_back(left("LINK", names) + "  " + right("MSG/S", 8) + right("BYTES/S", 12) + "  " +
                  left("FILL", kFillColumns + 7) + right("POOL", 9) + "  ASLEEP  MEMORY");
  for (const LinkState& link : state.links) {
    const std::uint32_t pool = link.report.shape.pool_buffer_count;
    lines.push_back(
        left(link.name, names) + "  " + right(short_number(link.messages_per_s), 8) +
        right(short_bytes(link.bytes_per_s), 12) + "  " + fill_bar(link.report) +
        right(pool == 0 ? "-"
                        : std::to_string(link.report.pool_lent_count) + "/" + std::to_string(pool),
              9) +
        "  " + left(asleep(link.report), 8) + memory(link.report));
  }
  for (const LinkState& link : state.links) {
    if (link.wire) lines.push_back(left(link.name, names) + "  " + words_of(*link.wire));
  }
  const std::size_t first = lines.size();
  for (const StageState& stage : state.stages) {
    std::string name = stage.name;
    for (const std::string& numbers :
         numbers_of(stage, width > names + 2 ? width - names - 2 : 0)) {
      if (lines.size() == first) lines.push_back(left("STAGE", names) + "  NUMBERS");
      lines.push_back(left(std::exchange(name, {}), names) + "  " + numbers);
    }
  }
  for (std::string& line : lines) line.resize(std::min(line.size(), width));
  return lines;
}

LiveView::LiveView(int fd, bool wanted) : fd_(fd) {
  const char* terminal = getenv("TERM");
  const char* no_colour = getenv("NO_COLOR");
  const bool is_terminal = isatty(fd) == 1;
  const bool is_dumb = terminal == nullptr || *terminal == '\0' || strcmp(terminal, "dumb") == 0;
  is_shown_ = wanted && is_terminal && !is_dumb;
  has_colours_ = is_terminal && !is_dumb && (no_colour == nullptr || *no_colour == '\0');
}

std::string LiveView::erased() const {
  if (block_.empty()) return "";
  return "\r\x1b[" + std::to_string(block_.size()) + "A\x1b[J";
}

std::string LiveView::drawn() const {
  std::string text;
  for (const std::string& line : block_) text += line + "\n";
  return text;
}

void LiveView::write_out(const std::string& text) const {
  std::size_t written = 0;
  while (written < text.size()) {
    const ssize_t count = write(fd_, text.data() + written, text.size() - written);
    if (count >= 0) {
      written += static_cast<std::size_t>(count);
    } else if (errno == EAGAIN) {
      pollfd watched{fd_, POLLOUT, 0};
      poll(&watched, 1, -1);
    } else if (errno != EINTR) {
      return;  // the terminal is gone, and nobody reads what we would say about it
    }
  }
}

void LiveView::line(std::string_view text) {
  write_out(erased() + std::string(text) + "\n" + drawn());
}

void LiveView::show(const LiveState& state) {
  if (!is_shown_) return;
  const std::string before = erased();
  const WindowSize size = window_size(fd_);
  block_ = render(state, size.columns - 1);
  if (block_.size() + 1 > size.rows) block_.resize(size.rows - 1);
  write_out(before + drawn());
}

void LiveView::clear() {
  if (block_.empty()) return;
  const std::string before = erased();
  block_.clear();
  write_out(before);
}

}  // namespace slipring
