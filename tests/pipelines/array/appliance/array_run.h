// The array's back end under the verifying load, as a runner runs it; stages killed, disks lost.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "platform/memory/segment_directory.h"
#include "platform/process/peer.h"

namespace slipring::array::test {

struct ArrayRunOptions {
  int level = 5;
  std::uint32_t disks = 4;
  std::uint64_t seed = 1;
  std::string planted = "none";    // in the cache
  std::string engine = "auto";     // of the disks
  std::uint64_t area_kib = 16384;  // that the load uses
  bool kills_cache_alone = false;
  bool verifies_only = false;
};

// Paths below the folder stay from one run to the next.  Nothing of doctest: also for campaigns.
class ArrayRun {
 public:
  // A scratch folder and a segment directory; both gone with the object.
  ArrayRun();
  ArrayRun(const ArrayRun&) = delete;
  ArrayRun& operator=(const ArrayRun&) = delete;
  ~ArrayRun();

  [[nodiscard]] std::string path(const std::string& name) const { return folder_ + "/" + name; }
  // False, with words in problem(), when it does not start.
  bool start(const ArrayRunOptions& options);
  // The runner's exit status; nothing when it does not end in time.
  std::optional<int> end_by_itself();
  // Tells the load to stop.
  bool tell(const std::string& lane, const std::string& text);

  // SIGKILL for the stage's present process, and waits for its successor.  False at the deadline.
  bool kill_stage(const std::string& stage);
  // 0 while nobody is it.
  [[nodiscard]] pid_t pid_of(const std::string& stage) const;
  // How often the stage has been started; 0 when it is not there.
  [[nodiscard]] std::uint32_t life_of(const std::string& stage) const;
  // A number of a stage's board; 0 when it is not there.
  [[nodiscard]] std::uint64_t number(const std::string& stage, const std::string& name) const;
  // Waits until the number has come so far.
  bool wait_for(const std::string& stage, const std::string& name, std::uint64_t value) const;
  // Until it is this, and neither less nor more.
  bool wait_until(const std::string& stage, const std::string& name, std::uint64_t value) const;

  [[nodiscard]] std::string log() const;
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  [[nodiscard]] std::string pipeline(const ArrayRunOptions& options) const;

  std::string folder_;
  std::string segments_;
  std::string problem_;
  std::optional<SegmentDirectory> directory_;
  std::optional<Peer> runner_;
};

struct KillReport {
  std::uint64_t kills = 0;
  std::uint64_t answers = 0;
  std::uint64_t answered_writes = 0;
  std::uint64_t sectors_checked = 0;
  std::uint64_t large_zeroes = 0;  // begun: past the cache
  std::uint64_t zeroed_rows = 0;   // holes
  std::uint64_t violations = 0;
  std::string problem;  // empty: all went well
};

// Kills any stage behind the load, again and again, then ends the run and verifies it in another. A
// stage that dies without having been killed is a problem.
KillReport run_kills(const ArrayRunOptions& options, std::uint64_t kills);

}  // namespace slipring::array::test
