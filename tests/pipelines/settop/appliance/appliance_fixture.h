// The whole set-top box as a test sees it: streams that the ffmpeg program makes, the slipring
// program that runs the pipeline, and the digests that both sides give of what they decoded.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace slipring::test {

// A folder for files, and a segment directory of its own; both gone with it.
class Workshop {
 public:
  Workshop();
  Workshop(const Workshop&) = delete;
  Workshop& operator=(const Workshop&) = delete;
  ~Workshop();

  [[nodiscard]] std::string file(const std::string& name) const { return folder_ + "/" + name; }
  [[nodiscard]] const std::string& segments() const { return segments_; }
  // What lies in the segment directory now.
  [[nodiscard]] std::vector<std::string> leftovers() const;

 private:
  std::string folder_;
  std::string segments_;
};

// Runs a shell command to its end; its exit status, or 128 + signal.
[[nodiscard]] int shell(const std::string& command);

// A program running beside the test; killed, if it still runs, when the object goes.
class Process {
 public:
  // Standard output and error go to `log_path`.  `environment` holds KEY=VALUE, on top of ours.
  Process(const std::vector<std::string>& words, const std::string& log_path,
          const std::vector<std::string>& environment);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool is_running();
  void send(int signal_number) const;
  // Its exit status, or 128 + signal; -1 when it still runs after `seconds`.
  [[nodiscard]] int wait(int seconds);

 private:
  pid_t pid_ = -1;
  int status_ = -1;
};

// The path of a file among the test's data, by its place in the source tree.
[[nodiscard]] std::string data(const std::string& workspace_path);
[[nodiscard]] std::string slipring();

// The words of `slipring run` for the shipped pipeline, with every option that a test wants.
[[nodiscard]] std::vector<std::string> run_words(
    const std::vector<std::pair<std::string, std::string>>& settings);

// MD5s by stream, in order: 0 the pictures, 1 the sound.
using Digests = std::map<int, std::vector<std::string>>;
[[nodiscard]] Digests read_digests(const std::string& path);

// What the ffmpeg program decodes: every picture, and the sound as one run of 16-bit samples.
[[nodiscard]] std::vector<std::string> reference_pictures(const Workshop& shop,
                                                          const std::string& stream,
                                                          const std::string& map);
[[nodiscard]] std::string reference_sound(const Workshop& shop, const std::string& stream,
                                          const std::string& map);
// The samples of a WAV file, from behind its header to its end.
[[nodiscard]] std::string wav_samples(const std::string& path);
[[nodiscard]] std::string contents(const std::string& path);

// A number of a running stage's board; 0 when the stage or the number is not there.
[[nodiscard]] std::uint64_t board_number(const Workshop& shop, const std::string& stage,
                                         const std::string& name);
// The process id of the stage that holds its board; 0 when none does.
[[nodiscard]] pid_t stage_pid(const Workshop& shop, const std::string& stage);

// Looks again and again until `holds()` is true; false after `seconds`.
template <typename Condition>
[[nodiscard]] bool eventually(Condition&& holds, int seconds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    sched_yield();
  }
  return true;
}

}  // namespace slipring::test
