#include "pipelines/stage/run_report.h"

#include <errno.h>
#include <poll.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>

#include "pipelines/stage/error_text.h"
#include "pipelines/stage/stage.h"
#include "platform/wait/clock.h"

namespace slipring {
namespace {

constexpr std::uint64_t kViewIntervalNs = 500'000'000;
constexpr std::uint64_t kJsonIntervalNs = 1'000'000'000;
constexpr std::size_t kSummaryColumns = 100;

// One object: opened with what every object has, closed by text().
class JsonLine {
 public:
  explicit JsonLine(std::string_view event) : writer_(buffer_) {
    writer_.StartObject();
    number("schema", 1);
    text("event", event);
    number("time_ns", monotonic_ns());
  }

  void key(std::string_view name) {
    writer_.Key(name.data(), static_cast<rapidjson::SizeType>(name.size()));
  }
  JsonLine& text(std::string_view name, std::string_view value) {
    key(name);
    const std::string shown = printable(value);
    writer_.String(shown.data(), static_cast<rapidjson::SizeType>(shown.size()));
    return *this;
  }
  JsonLine& number(std::string_view name, std::uint64_t value) {
    key(name);
    writer_.Uint64(value);
    return *this;
  }
  JsonLine& flag(std::string_view name, bool value) {
    key(name);
    writer_.Bool(value);
    return *this;
  }
  JsonLine& exit_status(const ExitStatus& status) {
    return number(status.by_signal ? "signal" : "exit_status",
                  static_cast<std::uint64_t>(status.value));
  }
  JsonLine& pid(std::string_view name, pid_t value) {
    return number(name, static_cast<std::uint64_t>(value));
  }
  void open_array(std::string_view name) {
    key(name);
    writer_.StartArray();
  }
  void close_array() { writer_.EndArray(); }
  void open_object() { writer_.StartObject(); }
  void close_object() { writer_.EndObject(); }
  void open_object(std::string_view name) {
    key(name);
    writer_.StartObject();
  }

  [[nodiscard]] std::string_view text() {
    writer_.EndObject();
    return {buffer_.GetString(), buffer_.GetSize()};
  }

 private:
  rapidjson::StringBuffer buffer_;
  rapidjson::Writer<rapidjson::StringBuffer> writer_;
};

void write_end(JsonLine& line, std::string_view name, const EndReport& end) {
  line.open_object(name);
  line.pid("pid", end.process_id);
  line.flag("is_alive", end.holder != Holder::kNobody);
  line.flag("is_closed", end.state == EndState::kClosed);
  line.flag("is_asleep", end.is_asleep);
  line.flag("is_locked", end.is_locked);
  line.text("protection_level", name_of(end.protection));
  line.number("incarnation", end.incarnation);
  line.number("message_count", end.message_count);
  line.number("payload_bytes", end.payload_bytes);
  line.number("blocked_count", end.blocked_count);
  line.number("sleep_count", end.sleep_count);
  line.number("abort_count", end.abort_count);
  line.number("redelivered_count", end.redelivered_count);
  line.number("recovered_count", end.recovered_count);
  line.number("corrupt_count", end.corrupt_count);
  if (end.corrupt_count != 0) {
    line.pid("offender_pid", end.offender_process_id).number("offender_user", end.offender_user);
  }
  line.close_object();
}

void write_state(JsonLine& line, const LiveState& state) {
  line.text("pipeline", state.pipeline).number("uptime_ns", state.uptime_ns);
  line.open_array("stages");
  for (const StageState& stage : state.stages) {
    line.open_object();
    line.text("name", stage.name).text("state", name_of(stage.status.phase));
    line.pid("pid", stage.status.pid).number("restart_count", stage.status.restart_count);
    line.number("cpu_time_ns", stage.cpu_time_ns).number("cpu_ns_per_s", stage.cpu_ns_per_s);
    line.number("resident_bytes", stage.resident_bytes);
    line.number("locked_bytes", stage.locked_bytes);
    line.open_object("numbers");
    for (const NumberState& number : stage.numbers) line.number(number.name, number.value);
    line.close_object();
    line.close_object();
  }
  line.close_array();
  line.open_array("links");
  for (const LinkState& link : state.links) {
    line.open_object();
    line.text("name", link.name);
    line.text("kind", name_of(link.report.shape.kind));
    line.flag("is_guarded", link.report.is_guarded);
    line.number("messages_per_s", link.messages_per_s).number("bytes_per_s", link.bytes_per_s);
    line.number("fill", link.report.fill).number("capacity", link.report.capacity);
    line.number("pool_lent_count", link.report.pool_lent_count);
    line.number("pool_buffer_count", link.report.shape.pool_buffer_count);
    if (link.wire) {
      line.open_object("wire");
      line.text("place", link.wire->place).flag("is_connected", link.wire->is_connected);
      line.number("connection_count", link.wire->connection_count);
      line.close_object();
    }
    write_end(line, "writer", link.report.writer);
    write_end(line, "reader", link.report.reader);
    line.close_object();
  }
  line.close_array();
}

// "a 1, b 2, …" folded at kSummaryColumns, each line behind `indent` spaces.
std::string folded(const std::vector<std::string>& parts, std::size_t indent) {
  std::string text;
  std::size_t column = indent;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string part = parts[i] + (i + 1 < parts.size() ? "," : "");
    if (i != 0 && column + 1 + part.size() > kSummaryColumns) {
      text += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (i != 0) {
      text += ' ';
      ++column;
    }
    text += part;
    column += part.size();
  }
  return text;
}

std::string stage_summary(const StageState& stage, std::size_t width) {
  std::vector<std::string> parts;
  if (stage.status.restart_count != 0) {
    parts.push_back("restarts " + std::to_string(stage.status.restart_count));
  }
  for (const NumberState& number : stage.numbers) {
    if (number.value == 0 || is_private_entry(number.name)) continue;
    parts.push_back(number.name + " " + std::to_string(number.value));
  }
  if (parts.empty()) parts.emplace_back("nothing counted");
  return "  " + stage.name + std::string(width - stage.name.size() + 2, ' ') +
         folded(parts, width + 4);
}

std::string link_summary(const LinkState& link, std::size_t width) {
  const LinkReport& report = link.report;
  std::vector<std::string> parts;
  parts.push_back(std::to_string(report.writer.message_count) + " messages");
  parts.push_back(short_bytes(report.writer.payload_bytes));
  const auto add = [&](std::uint64_t count, const char* what) {
    if (count != 0) parts.push_back(std::to_string(count) + " " + what);
  };
  add(report.reader.redelivered_count, "redelivered");
  add(report.reader.abort_count, "aborted");
  add(report.writer.recovered_count, "buffers recovered");
  add(report.writer.corrupt_count + report.reader.corrupt_count, "corrupt");
  for (const EndReport* end : {&report.writer, &report.reader}) {
    if (end->corrupt_count == 0) continue;
    parts.push_back(std::string(end == &report.writer ? "reader" : "writer") +
                    " shut out: " + offender_text(end->offender_process_id, end->offender_user));
  }
  add(report.writer.blocked_count, "times full");
  if (link.wire) parts.push_back(words_of(*link.wire));
  return "  " + link.name + std::string(width - link.name.size() + 2, ' ') +
         folded(parts, width + 4);
}

}  // namespace

std::string words_of(const ExitStatus& status) {
  if (!status.by_signal) return "exit status " + std::to_string(status.value);
  const char* name = sigdescr_np(status.value);
  std::string text = "signal " + std::to_string(status.value);
  if (name != nullptr) text += std::string(" (") + name + ")";
  if (status.dumped_core) text += ", core dumped";
  return text;
}

RunReport::RunReport(const ReportOptions& options)
    : json_(options.json),
      quiet_(options.quiet),
      view_(STDERR_FILENO, !options.json && !options.quiet) {}

std::uint64_t RunReport::state_interval_ns() const noexcept {
  if (json_) return kJsonIntervalNs;
  return view_.is_shown() ? kViewIntervalNs : 0;
}

void RunReport::say(std::string_view line, bool is_important) {
  if (json_ || (quiet_ && !is_important)) return;
  if (is_important && view_.has_colours()) {
    view_.line("\x1b[1m" + std::string(line) + "\x1b[0m");
  } else {
    view_.line(line);
  }
}

void RunReport::write_json(std::string_view object) {
  if (!json_ || is_broken_) return;
  const std::string line = std::string(object) + "\n";
  std::size_t written = 0;
  while (written < line.size()) {
    const ssize_t count = write(STDOUT_FILENO, line.data() + written, line.size() - written);
    if (count >= 0) {
      written += static_cast<std::size_t>(count);
    } else if (errno == EAGAIN) {
      pollfd watched{STDOUT_FILENO, POLLOUT, 0};
      poll(&watched, 1, -1);
    } else if (errno != EINTR) {
      is_broken_ = true;
      return;
    }
  }
}

void RunReport::refused(std::string_view file, std::span<const Finding> findings) {
  JsonLine line("refused");
  line.open_array("findings");
  for (const Finding& finding : findings) {
    // On stderr whatever the mode: a script's author looks there first.
    view_.line(to_string(finding, file));
    line.open_object();
    line.text("file", file).number("line", static_cast<std::uint64_t>(std::max(finding.line, 0)));
    line.text("wrong", finding.wrong).text("found", finding.found).text("remedy", finding.remedy);
    line.close_object();
  }
  line.close_array();
  write_json(line.text());
}

void RunReport::started(std::string_view pipeline, std::size_t stage_count,
                        std::size_t swept_count) {
  if (swept_count != 0) {
    say("removed " + std::to_string(swept_count) + " segments that a killed run of " +
            std::string(pipeline) + " had left",
        false);
  }
  write_json(JsonLine("started")
                 .text("pipeline", pipeline)
                 .number("stage_count", stage_count)
                 .number("swept_segment_count", swept_count)
                 .text());
}

void RunReport::stage_said(std::string_view stage, std::string_view line) {
  const bool is_trouble = line.starts_with("error: ") || line.starts_with("warning: ");
  const std::string shown = std::string(stage) + ": " + printable(line);
  if (!json_ && (!quiet_ || is_trouble)) view_.line(shown);
  write_json(JsonLine("stage_said").text("stage", stage).text("line", line).text());
}

void RunReport::stage_started(std::string_view stage, pid_t pid) {
  write_json(JsonLine("stage_started").text("stage", stage).pid("pid", pid).text());
}

void RunReport::stage_finished(std::string_view stage, pid_t pid) {
  say("stage " + std::string(stage) + " finished", false);
  write_json(JsonLine("stage_finished").text("stage", stage).pid("pid", pid).text());
}

void RunReport::stage_died(std::string_view stage, pid_t pid, const ExitStatus& status,
                           std::uint64_t restart_delay_ns) {
  // A restart at once says both in one line.
  if (restart_delay_ns != 0) {
    say("stage " + std::string(stage) + " (pid " + std::to_string(pid) + ") ended by " +
            words_of(status) + "; it is started again in " + short_duration(restart_delay_ns),
        true);
  }
  write_json(JsonLine("stage_died")
                 .text("stage", stage)
                 .pid("pid", pid)
                 .exit_status(status)
                 .number("restart_delay_ns", restart_delay_ns)
                 .text());
}

void RunReport::stage_restarted(std::string_view stage, pid_t old_pid, const ExitStatus& status,
                                pid_t new_pid, std::uint64_t after_ns,
                                std::uint32_t restart_count) {
  say("stage " + std::string(stage) + " (pid " + std::to_string(old_pid) + ") ended by " +
          words_of(status) + "; restarted in " + short_duration(after_ns) + " as pid " +
          std::to_string(new_pid) + " (restart " + std::to_string(restart_count) + ")",
      true);
  write_json(JsonLine("stage_restarted")
                 .text("stage", stage)
                 .pid("pid", new_pid)
                 .number("after_ns", after_ns)
                 .number("restart_count", restart_count)
                 .text());
}

void RunReport::stage_failed(std::string_view stage, std::string_view why) {
  say("stage " + std::string(stage) + " failed for good: " + printable(why), true);
  write_json(JsonLine("stage_failed").text("stage", stage).text("why", why).text());
}

void RunReport::stopping(std::string_view why) {
  say("stopping: " + std::string(why), false);
  write_json(JsonLine("stopping").text("why", why).text());
}

void RunReport::stage_killed(std::string_view stage, pid_t pid, std::string_view why) {
  say("stage " + std::string(stage) + " (pid " + std::to_string(pid) +
          ") is killed: " + std::string(why),
      true);
  write_json(JsonLine("stage_killed").text("stage", stage).pid("pid", pid).text("why", why).text());
}

void RunReport::state(const LiveState& state) {
  view_.show(state);
  if (!json_) return;
  JsonLine line("state");
  write_state(line, state);
  write_json(line.text());
}

void RunReport::summary(const LiveState& state, bool failed, std::string_view why) {
  view_.clear();
  if (json_) {
    JsonLine line("summary");
    line.flag("failed", failed).text("why", why);
    write_state(line, state);
    write_json(line.text());
    return;
  }
  std::size_t width = 0;
  for (const StageState& stage : state.stages) width = std::max(width, stage.name.size());
  for (const LinkState& link : state.links) width = std::max(width, link.name.size());
  say(state.pipeline + " ran for " + short_duration(state.uptime_ns) + " and " +
          (failed ? "failed: " : "ended: ") + std::string(why),
      failed);
  if (std::string numbers = headline(state); !numbers.empty()) say("  " + numbers, false);
  for (const StageState& stage : state.stages) say(stage_summary(stage, width), false);
  for (const LinkState& link : state.links) say(link_summary(link, width), false);
}

}  // namespace slipring
