// Numbered messages that say whose they are, so that the kernel's word can be compared with theirs.
#pragma once

#include <sched.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <span>

#include <doctest/doctest.h>

#include "pipelines/link/lane_reader.h"
#include "platform/wait/clock.h"
#include "tests/pipelines/link/link_fixture.h"

namespace slipring::test {

inline constexpr const char* kSetName = "t.set";
inline constexpr std::uint64_t kLanePatienceNs = 30'000'000'000;

struct Letter {
  std::uint64_t process_id;
  std::uint64_t number;
  std::uint64_t check;  // of both, so that a torn or mixed message shows
};

[[nodiscard]] inline std::uint64_t check_of(std::uint64_t process_id, std::uint64_t number) {
  return (process_id * 0x9e37'79b9'7f4a'7c15) ^ (number * 0xff51'afd7'ed55'8ccd);
}

[[nodiscard]] inline bool put_letter(LinkWriter& writer, std::uint64_t number) {
  std::span<std::byte> place;
  if (writer.try_reserve(sizeof(Letter), place) != Transfer::kDone) return false;
  const auto process_id = static_cast<std::uint64_t>(getpid());
  const Letter letter{process_id, number, check_of(process_id, number)};
  std::memcpy(place.data(), &letter, sizeof letter);
  writer.commit(sizeof letter);
  return true;
}

[[nodiscard]] inline Letter letter_in(const LaneMessage& message) {
  Letter letter{};
  REQUIRE(message.message.bytes.size() == sizeof letter);
  std::memcpy(&letter, message.message.bytes.data(), sizeof letter);
  return letter;
}

// Takes a lane as soon as there is one.
[[nodiscard]] inline Result<LinkWriter> take_lane(const SegmentDirectory& directory) {
  const std::uint64_t deadline_ns = deadline_after(kLanePatienceNs);
  for (;;) {
    Result<LinkWriter> writer = LinkWriter::attach(directory, kSetName);
    const bool is_full = !writer && (writer.error().code == ErrorCode::kBusy ||
                                     writer.error().code == ErrorCode::kNoSpace);
    if (!is_full || monotonic_ns() >= deadline_ns) return writer;
    sched_yield();
  }
}

// What a reader is told, held against what each letter says.
class LetterLedger {
 public:
  // Wrong: what was told of the sender, the order, or the words.
  [[nodiscard]] bool enter(const LaneMessage& message) {
    const Letter letter = letter_in(message);
    ++count_;
    if (letter.check != check_of(letter.process_id, letter.number)) return false;
    if (static_cast<std::uint64_t>(message.sender.process_id) != letter.process_id) return false;
    std::uint64_t& next = next_[letter.process_id];
    if (letter.number == next) {
      ++next;
      return true;
    }
    // Again, after a reader's death: only what is marked, and nothing left out.
    ++repeated_;
    return message.message.redelivered && letter.number < next;
  }
  [[nodiscard]] std::uint64_t next_of(pid_t process) {
    return next_[static_cast<std::uint64_t>(process)];
  }
  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::uint64_t repeated() const { return repeated_; }

 private:
  std::map<std::uint64_t, std::uint64_t> next_;
  std::uint64_t count_ = 0;
  std::uint64_t repeated_ = 0;
};

}  // namespace slipring::test
