#include "pipelines/stage/program_description.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <span>

#include "platform/process/child.h"
#include "platform/process/descriptor.h"
#include "platform/wait/clock.h"

namespace slipring {
namespace {

// Takes the next word off the front of `line`.
std::string_view next_word(std::string_view& line) {
  const std::size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

std::optional<DescribedPortKind> port_kind(std::string_view word) {
  if (word == "in") return DescribedPortKind::kInput;
  if (word == "out") return DescribedPortKind::kOutput;
  if (word == "oob") return DescribedPortKind::kCommands;
  return std::nullopt;
}

const char* words_of(DescribedPortKind kind) {
  switch (kind) {
    case DescribedPortKind::kInput:
      return "input port";
    case DescribedPortKind::kOutput:
      return "output port";
    case DescribedPortKind::kCommands:
      return "command port";
  }
  return "port";
}

// Reads until the end of the stream, the deadline, or the bound; false for the latter two.
bool read_all(int fd, std::uint64_t deadline_ns, std::string& text) {
  std::array<char, 4096> block;
  for (;;) {
    const std::uint64_t now_ns = monotonic_ns();
    if (now_ns >= deadline_ns) return false;
    pollfd watched{fd, POLLIN, 0};
    const int timeout_ms = static_cast<int>((deadline_ns - now_ns) / 1'000'000) + 1;
    if (poll(&watched, 1, timeout_ms) < 0 && errno != EINTR) return false;
    if (watched.revents == 0) continue;
    const ssize_t got = read(fd, block.data(), block.size());
    if (got == 0) return true;
    if (got < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    text.append(block.data(), static_cast<std::size_t>(got));
    if (text.size() > kMaxDescriptionBytes) return false;
  }
}

std::string fault_of(const ExitStatus& status) {
  if (status.by_signal) {
    return std::string("it was killed by signal ") + std::to_string(status.value);
  }
  return "it ended with status " + std::to_string(status.value);
}

std::string remedy_of(const std::string& word, std::vector<std::string> known, const char* what) {
  if (const auto meant = nearest_name(word, known)) return "did you mean \"" + *meant + "\"?";
  if (known.empty()) return std::string("it has no ") + what;
  std::string list;
  for (const std::string& name : known) list += (list.empty() ? "" : ", ") + name;
  return "it has " + list;
}

// One end that the file joins to a stage.
struct JoinedPort {
  DescribedPortKind kind;
  const PortPlan* port;
};

std::vector<JoinedPort> ports_of(const PipelinePlan& plan, std::size_t stage_index) {
  std::vector<JoinedPort> joined;
  for (const LinkPlan& link : plan.links) {
    if (link.from.stage_index == stage_index) {
      joined.push_back({DescribedPortKind::kOutput, &link.from});
    }
    if (link.to.stage_index == stage_index) joined.push_back({DescribedPortKind::kInput, &link.to});
  }
  for (const OobPlan& oob : plan.oobs) {
    if (oob.to.stage_index == stage_index)
      joined.push_back({DescribedPortKind::kCommands, &oob.to});
  }
  return joined;
}

}  // namespace

std::optional<ProgramDescription> parse_description(std::string_view text) {
  ProgramDescription description;
  bool says_program = false;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string_view first = next_word(line);
    if (first == "program") says_program = true;
    if (const auto kind = port_kind(first)) {
      const std::string_view name = next_word(line);
      const std::string_view need = next_word(line);
      if (!is_pipeline_name(name) || (need != "required" && need != "optional")) {
        return std::nullopt;
      }
      description.ports.push_back({*kind, std::string(name), need == "required"});
    } else if (first == "option") {
      const std::string_view name = next_word(line);
      if (!is_pipeline_name(name)) return std::nullopt;
      description.options.emplace_back(name);
    } else if (first == "wants") {
      description.keeps_descriptors = description.keeps_descriptors || line == "keeper";
      description.waits_in_epoll = description.waits_in_epoll || line == "bell";
    }
  }
  if (!says_program) return std::nullopt;
  return description;
}

DescribeAnswer ask_program(const std::string& program_path) {
  int pipe_fds[2] = {-1, -1};
  if (pipe2(pipe_fds, O_CLOEXEC) != 0) return {std::nullopt, strerror(errno)};
  const Descriptor read_end(pipe_fds[0]);
  Descriptor write_end(pipe_fds[1]);
  const std::string arguments[] = {"--describe"};
  ChildOptions options;
  options.program = program_path;
  options.arguments = arguments;
  options.stdout_fd = write_end.get();
  Result<Peer> started = start_child(options);
  write_end.reset();
  if (!started) {
    return {std::nullopt,
            std::string(started.error().doing) + ": " + strerror(started.error().os_errno)};
  }
  const std::uint64_t deadline_ns = deadline_after(kDescribeTimeoutNs);
  std::string text;
  const bool whole = read_all(read_end.get(), deadline_ns, text);
  Result<bool> ended = whole ? started->wait_ended(deadline_ns) : Result<bool>(false);
  const bool in_time = ended && *ended;
  // Its whole group, before reaping: the number still means it.
  if (!in_time) kill(-started->pid(), SIGKILL);
  Result<std::optional<ExitStatus>> status = started->reap(kNoDeadline);
  if (!in_time) {
    return {std::nullopt,
            text.size() > kMaxDescriptionBytes ? "it says too much" : "it gave no answer in 10 s"};
  }
  if (!status || !status->has_value()) return {std::nullopt, "its exit status is lost"};
  if (!(*status)->is_success()) return {std::nullopt, fault_of(**status)};
  auto description = parse_description(text);
  if (!description) return {std::nullopt, "its answer is no description of a stage"};
  return {std::move(description), ""};
}

std::vector<Finding> check_stage_program(const PipelinePlan& plan, std::size_t stage_index,
                                         const ProgramDescription& description) {
  const StagePlan& stage = plan.stages[stage_index];
  const auto joined = ports_of(plan, stage_index);
  std::vector<Finding> findings;
  for (const JoinedPort& end : joined) {
    std::vector<std::string> known;
    for (const DescribedPort& port : description.ports) {
      if (port.kind == end.kind) known.push_back(port.name);
    }
    if (std::find(known.begin(), known.end(), end.port->port) != known.end()) continue;
    findings.push_back({end.port->line, std::string("unknown ") + words_of(end.kind),
                        "program \"" + stage.program + "\" has no \"" + end.port->port + "\"",
                        remedy_of(end.port->port, known, words_of(end.kind))});
  }
  for (const DescribedPort& port : description.ports) {
    if (!port.required) continue;
    const bool is_joined = std::any_of(joined.begin(), joined.end(), [&](const JoinedPort& end) {
      return end.kind == port.kind && end.port->port == port.name;
    });
    if (is_joined) continue;
    const bool is_command = port.kind == DescribedPortKind::kCommands;
    const bool is_output = port.kind == DescribedPortKind::kOutput;
    findings.push_back({stage.line, std::string(words_of(port.kind)) + " joined to nothing",
                        "program \"" + stage.program + "\" needs \"" + port.name + "\"",
                        std::string("add ") + (is_command ? "an [[oob]]" : "a [[link]]") +
                            (is_output ? " with from = \"" : " with to = \"") + stage.name + "." +
                            port.name + "\""});
  }
  for (const OptionPlan& option : stage.options) {
    const auto& known = description.options;
    if (std::find(known.begin(), known.end(), option.key) != known.end()) continue;
    findings.push_back({option.line, "unknown option",
                        "program \"" + stage.program + "\" has no \"" + option.key + "\"",
                        remedy_of(option.key, known, "options")});
  }
  return findings;
}

}  // namespace slipring
