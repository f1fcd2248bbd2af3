#include "pipelines/stage/stage.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "pipelines/stage/error_text.h"
#include "platform/memory/segment_directory.h"
#include "platform/process/closed_directory.h"
#include "platform/process/inspection.h"
#include "platform/process/refused_calls.h"

namespace slipring {
namespace {

volatile sig_atomic_t stop_signal = 0;

void note_stop(int signal_number) {
  stop_signal = signal_number;
}

// A bug of our own: said before the trap, since core itself prints nothing.
void say_check_failed(const char* why, const char* file, int line) noexcept {
  fprintf(stderr, "bug: %s:%d: %s\n", file, line, why);
}

void install_signal_handlers() {
  struct sigaction action {};
  action.sa_handler = note_stop;
  sigemptyset(&action.sa_mask);
  action.sa_flags = 0;  // no SA_RESTART: a sleep must end
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

}  // namespace

Stage::~Stage() = default;

std::unique_ptr<Stage> Stage::start(int argc, char** argv, const StageDescription& description,
                                    int& exit_status) {
  check_failed_handler = say_check_failed;
  install_signal_handlers();
  std::unique_ptr<Stage> stage(new Stage());
  stage->description_ = description;
  stage->name_ = std::string(description.program);
  exit_status = 0;
  if (!stage->parse({argv + 1, static_cast<std::size_t>(argc > 0 ? argc - 1 : 0)}, exit_status)) {
    return nullptr;
  }
  stage->waiter_ = Waiter(stage->waiter_options_);
  if (!stage->attach(exit_status)) return nullptr;
  return stage;
}

void Stage::complain(const std::string& what) const {
  fprintf(stderr, "error: %s\n", what.c_str());
}

std::string Stage::segment(std::string_view port) const {
  for (const Wanted& wanted : wanted_) {
    if (wanted.port == port) return wanted.segment;
  }
  return {};
}

int Stage::rung_bell(std::string_view port) const noexcept {
  for (const auto& [rung_port, fd] : rung_bells_) {
    if (rung_port == port) return fd;
  }
  return -1;
}

bool Stage::shut_in() const {
  if (!is_sandboxed_) return true;
  Result<SegmentDirectory> directory = SegmentDirectory::open();
  if (directory) return shut_in(directory->fd());
  complain("cannot open the segment directory: " + describe_error(directory.error()));
  return false;
}

// Everything that the stage needs of the segment directory it has by now.
bool Stage::shut_in(int directory_fd) const {
  if (const Status forbidden = forbid_inspection(); !forbidden) {
    complain("cannot be put out of others' reach: " + describe_error(forbidden.error()));
    return false;
  }
  if (const Status given_up = give_up_privilege_gains(); !given_up) {
    complain("cannot give up gaining privileges: " + describe_error(given_up.error()));
    return false;
  }
  if (const Status refused = refuse_calls(); !refused) {
    log(Severity::kWarning, "no system calls are refused to this stage: %s",
        describe_error(refused.error()).c_str());
  }
  if (const Status closed = close_directory(directory_fd); !closed) {
    // Named segments of others stay within reach; guarded ones never are.
    log(Severity::kWarning, "the segment directory stays open to this stage: %s",
        describe_error(closed.error()).c_str());
  }
  return true;
}

LinkReader* Stage::input(std::string_view port) noexcept {
  for (InputEnd& end : inputs_) {
    if (end.port == port) return &end.reader;
  }
  return nullptr;
}

LinkWriter* Stage::output(std::string_view port) noexcept {
  for (OutputEnd& end : outputs_) {
    if (end.port == port) return &end.writer;
  }
  return nullptr;
}

std::string Stage::option(std::string_view name) const {
  for (auto given = options_.rbegin(); given != options_.rend(); ++given) {
    if (given->first == name) return given->second;
  }
  for (const OptionDescription& option : description_.options) {
    if (option.name == name) return std::string(option.default_value);
  }
  check(false, "an option that the stage does not describe");
  return {};
}

std::int64_t Stage::option_number(std::string_view name, std::int64_t least,
                                  std::int64_t most) const {
  const std::string text = option(name);
  std::int64_t number = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (fault != std::errc{} || end != text.data() + text.size() || number < least || number > most) {
    complain("option " + std::string(name) + ": '" + text + "' is not a whole number from " +
             std::to_string(least) + " to " + std::to_string(most));
    exit(2);
  }
  return number;
}

bool Stage::option_flag(std::string_view name) const {
  const std::string text = option(name);
  if (text == "true" || text == "on" || text == "1") return true;
  if (text == "false" || text == "off" || text == "0") return false;
  complain("option " + std::string(name) + ": '" + text + "' is neither true nor false");
  exit(2);
}

Board::Number Stage::counter(std::string_view name) noexcept {
  return board_ ? board_->number(name, BoardKind::kCounter) : Board::Number();
}

Board::Number Stage::gauge(std::string_view name) noexcept {
  return board_ ? board_->number(name, BoardKind::kGauge) : Board::Number();
}

std::uint32_t Stage::incarnation() const noexcept {
  return board_ ? board_->incarnation() : 1;
}

bool Stage::stop_requested() const noexcept {
  return stop_signal != 0;
}

bool Stage::has_command() const noexcept {
  return std::any_of(commands_.begin(), commands_.end(),
                     [](const InputEnd& end) { return end.reader.has_message(); });
}

std::optional<Command> Stage::next_command() {
  for (auto end = commands_.begin(); end != commands_.end();) {
    Message message;
    Transfer answer = end->reader.try_peek(message);
    for (; answer == Transfer::kDone; answer = end->reader.try_peek(message)) {
      std::optional<Command> command = decode_command(message.bytes);
      end->reader.release(message);
      if (command) return command;
      log(Severity::kWarning, "a record on command port %s is no command (%zu bytes); dropped",
          end->port.c_str(), message.bytes.size());
    }
    if (answer != Transfer::kCorruptPeer) {
      ++end;
      continue;
    }
    log(Severity::kError,
        "command port %s holds impossible values, written by %s; it is closed now",
        end->port.c_str(), offender_text(end->reader.offender()).c_str());
    end = commands_.erase(end);
  }
  return std::nullopt;
}

void Stage::note_sleeps(std::uint64_t more) noexcept {
  if (more == 0) return;
  sleep_count_.add(more);
  for (InputEnd& end : inputs_) end.reader.count_sleep(more);
  for (InputEnd& end : commands_) end.reader.count_sleep(more);
}

void Stage::log(Severity severity, const char* format, ...) const {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  const char* prefix = severity == Severity::kError     ? "error: "
                       : severity == Severity::kWarning ? "warning: "
                                                        : "";
  // One write, so that lines of several stages do not mix.
  fprintf(stderr, "%s%s\n", prefix, text);
}

}  // namespace slipring
