// What can be fuzzed: one honest end or one parser, and what one execution of it is.
//
// An execution is a function of its input alone, so that an input found anywhere is found again by
// itself.  It allocates nothing where what is tested allocates nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "core/ring/transfer.h"
#include "tests/fuzz/fuzz_random.h"

namespace slipring::fuzz {

inline constexpr std::size_t kMaxInputBytes = 4096;

// What honest ends and parsers answered; printed, so that one sees that a target is not trivially
// refusing.
enum class Answer : std::uint8_t {
  kDone,
  kBlocked,
  kCorruptPeer,
  kRefused,  // an attach that failed, a text that is not one; broadcast: evicted
  kAsked,    // a question that changes nothing
};
inline constexpr std::size_t kAnswerCount = 5;
inline constexpr std::array<const char*, kAnswerCount> kAnswerNames{"done", "blocked", "corrupt",
                                                                    "refused", "asked"};

[[nodiscard]] constexpr Answer answer_of(Transfer answer) noexcept {
  return static_cast<Answer>(answer);
}
static_assert(answer_of(Transfer::kDone) == Answer::kDone);
static_assert(answer_of(Transfer::kBlocked) == Answer::kBlocked);
static_assert(answer_of(Transfer::kCorruptPeer) == Answer::kCorruptPeer);

// What executions leave behind.  Shared with the process that watches.
struct Tally {
  std::array<std::uint64_t, kAnswerCount> answers{};
  std::uint64_t scribbles = 0;       // hostile stores
  const char* broken = nullptr;      // the invariant that did not hold
  volatile std::uint64_t sight = 0;  // so that every byte handed out is read

  void count(Answer answer) noexcept { ++answers[static_cast<std::size_t>(answer)]; }
  void count(Transfer answer) noexcept { count(answer_of(answer)); }
  void expect(bool holds, const char* why) noexcept {
    if (!holds) broken = why;
  }
  void look_at(std::span<const std::byte> bytes) noexcept {
    std::uint64_t sum = 0;
    for (const std::byte byte : bytes) sum += std::to_integer<std::uint64_t>(byte);
    sight = sum;
  }
};

class FuzzTarget {
 public:
  FuzzTarget() = default;
  FuzzTarget(const FuzzTarget&) = delete;
  FuzzTarget& operator=(const FuzzTarget&) = delete;
  virtual ~FuzzTarget() = default;

  // One execution.
  virtual void run(std::span<const std::uint8_t> input, Tally& tally) = 0;
  // Makes an input in `place`; answers its size.
  virtual std::size_t make_input(Random& random, std::span<std::uint8_t> place) = 0;
};

enum class TargetKind : std::uint8_t {
  kShared,  // ends of rings and pools, recovery: memory that a peer writes
  kParser,
};

struct TargetInfo {
  const char* name;
  TargetKind kind;
  const char* execution;  // what one is, in words
  std::unique_ptr<FuzzTarget> (*make)();
};

template <typename Target>
[[nodiscard]] std::unique_ptr<FuzzTarget> make_target() {
  return std::make_unique<Target>();
}

// All that is honest; and the broken ends that the campaign must find.
[[nodiscard]] std::span<const TargetInfo> all_targets();
[[nodiscard]] std::span<const TargetInfo> planted_targets();

}  // namespace slipring::fuzz
