// A runner in a process of its own, with stages that count, in a segment directory of its own.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "core/segment/segment_layout.h"
#include "pipelines/link/board.h"
#include "pipelines/link/link_segment.h"
#include "pipelines/stage/runner.h"
#include "platform/memory/segment_directory.h"
#include "platform/process/child.h"
#include "platform/process/usage.h"
#include "platform/wait/clock.h"
#include "tests/pipelines/stage/edited_text.h"

namespace slipring::test {

inline constexpr std::uint64_t kPatienceNs = 60'000'000'000;
inline constexpr int kLookAgainMs = 2;

inline std::string folder_of_programs() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path().string();
}

inline std::string read_file(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Looks until it holds; false when it does not in time.
template <typename Holds>
[[nodiscard]] bool eventually(Holds&& holds) {
  const std::uint64_t deadline_ns = deadline_after(kPatienceNs);
  while (!holds()) {
    if (monotonic_ns() >= deadline_ns) return false;
    poll(nullptr, 0, kLookAgainMs);
  }
  return true;
}

// A segment directory and a scratch folder that are this test case's alone.
class Place {
 public:
  Place() {
    char segments[] = "/dev/shm/slipring-runner-test-XXXXXX";
    REQUIRE(mkdtemp(segments) != nullptr);
    segments_ = segments;
    const char* scratch = getenv("TEST_TMPDIR");
    std::string folder = std::string(scratch != nullptr ? scratch : "/tmp") + "/runner-XXXXXX";
    REQUIRE(mkdtemp(folder.data()) != nullptr);
    folder_ = folder;
  }
  ~Place() {
    std::filesystem::remove_all(segments_);
    std::filesystem::remove_all(folder_);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  [[nodiscard]] const std::string& segments() const { return segments_; }
  [[nodiscard]] std::string path(const std::string& name) const { return folder_ + "/" + name; }
  [[nodiscard]] std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name)) << text;
    return path(name);
  }
  [[nodiscard]] SegmentDirectory directory() const {
    Result<SegmentDirectory> opened = SegmentDirectory::open_at(segments_);
    REQUIRE(opened.ok());
    return std::move(opened).value();
  }
  // Everything in the segment directory, lock files included.
  [[nodiscard]] std::vector<std::string> leftovers() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(segments_)) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }

 private:
  std::string segments_;
  std::string folder_;
};

// A runner in a process of its own.
class Runner {
 public:
  // `wrapper`: a program, and its first words, that becomes the runner.
  Runner(const Place& place, const std::string& file, bool json = false,
         const std::vector<std::string>& wrapper = {})
      : output_path_(file + ".out"), error_path_(file + ".err") {
    const Descriptor output(
        open(output_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    const Descriptor error(
        open(error_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    std::vector<std::string> arguments = wrapper;
    arguments.push_back(folder_of_programs() + "/run_file");
    arguments.push_back(file);
    if (json) arguments.emplace_back("--json");
    const std::string program = arguments.front();
    arguments.erase(arguments.begin());
    const std::string environment[] = {"SLIPRING_DIR=" + place.segments(),
                                       "SLIPRING_STAGE_PATH=" + folder_of_programs() + ":" +
                                           folder_of_programs() + "/../../../pipelines/stage"};
    ChildOptions options;
    options.program = program;
    options.arguments = arguments;
    options.environment = environment;
    options.stdout_fd = output.get();
    options.stderr_fd = error.get();
    Result<Peer> started = start_child(options);
    REQUIRE(started.ok());
    peer_.emplace(std::move(started).value());
  }
  ~Runner() {
    if (!peer_) return;
    static_cast<void>(peer_->send_signal(SIGKILL));
    static_cast<void>(peer_->reap(kNoDeadline));
  }
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  [[nodiscard]] pid_t pid() const { return peer_->pid(); }
  void signal(int number) const { REQUIRE(peer_->send_signal(number).ok()); }

  // Its exit status, or 1000 and the signal.
  int wait() {
    Result<std::optional<ExitStatus>> status = peer_->reap(deadline_after(kPatienceNs));
    REQUIRE(status.ok());
    REQUIRE_MESSAGE(status->has_value(), "the runner does not end: " << errors());
    peer_.reset();
    return (*status)->by_signal ? 1000 + (*status)->value : (*status)->value;
  }

  [[nodiscard]] std::string output() const { return read_file(output_path_); }
  [[nodiscard]] std::string errors() const { return read_file(error_path_); }
  [[nodiscard]] std::size_t descriptor_count() const {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry :
         std::filesystem::directory_iterator("/proc/" + std::to_string(pid()) + "/fd")) {
      ++count;
    }
    return count;
  }

 private:
  std::string output_path_;
  std::string error_path_;
  std::optional<Peer> peer_;
};

// Waits for a board and for somebody to hold it.
inline BoardObserver board_of(const Runner& runner, const SegmentDirectory& directory,
                              const std::string& name) {
  std::optional<BoardObserver> board;
  const bool is_there = eventually([&] {
    Result<BoardObserver> seen = BoardObserver::attach(directory, name);
    if (!seen || seen->incarnation() == 0) return false;
    board.emplace(std::move(seen).value());
    return true;
  });
  REQUIRE_MESSAGE(is_there, name << " does not appear: " << runner.errors());
  return std::move(*board);
}

inline bool lives(pid_t pid) {
  Result<ProcessUsage> usage = read_usage(pid);
  return usage.ok() && usage->state != 'Z';
}

inline const std::string kChain = R"([pipeline]
name = "box"
[[stage]]
name = "source"
program = "count_source"
[stage.options]
count = 5000
[[stage]]
name = "relay"
program = "count_relay"
restart_limit = 1000
[[stage]]
name = "sink"
program = "count_sink"
[[link]]
name = "first"
from = "source.numbers"
to = "relay.in"
capacity = "4KiB"
[[link]]
name = "second"
from = "relay.out"
to = "sink.numbers"
capacity = "4KiB"
[[oob]]
name = "commands"
to = "source.commands"
)";

// The chain, counting as fast as it goes until the file exists.
inline std::string endless(const std::string& until) {
  return replaced(kChain, "count = 5000", "until = \"" + until + "\"");
}

// The same at leisure.
inline std::string leisurely(const std::string& until) {
  return replaced(endless(until), "until = ", "pause_us = 500\nuntil = ");
}

}  // namespace slipring::test
