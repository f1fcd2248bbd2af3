// How a server waits, and where it runs, by what its requests say of whom it serves.
//
// Singly.  The sender has one or two requests under way: its client says nothing more before it has
// the answer.  Falling asleep then costs each request two wake-ups, which is most of what it takes;
// so the server lingers (Waiter::set_lingering).  It runs where the scheduler puts it, which is
// beside the client and the sender, who take turns.
//
// In a crowd.  With many under way there is always something to do, and what a request costs
// decides.  Where there are two processors, one for the client and one for the stages, the server
// goes where its sender runs: they then take turns by the batch.  Apart, each wakes the other for a
// few requests at a time and pushes the client from its processor.  With three processors or more
// each may have its own, and with one there is no choice.
//
// A processor named in a request is input: only those are heeded that the thread could run on
// before.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "pipelines/array/block_request.h"
#include "platform/process/affinity.h"

namespace slipring::array {

// What to do, without doing it.
class ServingChoice {
 public:
  // `cpus`: those that the server may run on.
  explicit ServingChoice(std::vector<std::uint32_t> cpus) noexcept : cpus_(std::move(cpus)) {}

  void heed(const BlockRequest& request) noexcept;

  [[nodiscard]] bool is_served_singly() const noexcept { return is_said_ && !is_crowded_; }
  // The index in `cpus` of the one to run on; nothing: on any.
  [[nodiscard]] std::optional<std::size_t> place() const noexcept { return place_; }

 private:
  // Requests under way, a moving average: an eighth of the way with each request.
  static constexpr std::uint32_t kUnit = 16;
  static constexpr std::uint32_t kCrowd = 6 * kUnit;          // from here on it is one
  static constexpr std::uint32_t kFew = kCrowd - kCrowd / 4;  // below it is none any more
  static constexpr std::size_t kFollowingCpuCount = 2;

  std::vector<std::uint32_t> cpus_;
  std::optional<std::size_t> place_;
  std::uint32_t under_way_ = kUnit;
  bool is_said_ = false;
  bool is_crowded_ = false;
};

// The same, done.  For the thread that made it, and not thread-safe.
class ServingPlace {
 public:
  // Where the thread may run now is where it may be put later.
  ServingPlace();

  // A failure to move is no failure to serve: the thread stays where it is.
  void heed(const BlockRequest& request) noexcept;

  [[nodiscard]] bool is_served_singly() const noexcept { return choice_.is_served_singly(); }

 private:
  explicit ServingPlace(std::vector<std::uint32_t> cpus);

  ServingChoice choice_;
  std::optional<std::size_t> place_;
  std::vector<CpuSet> sets_;  // one a processor, and last all of them
};

}  // namespace slipring::array
