// A named broadcast link, and messages that say whether they are whole.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "pipelines/link/broadcast_receiver.h"
#include "pipelines/link/broadcast_sender.h"
#include "tests/pipelines/link/link_fixture.h"

namespace slipring::test {

inline constexpr const char* kTopic = "t.news";
inline constexpr std::uint64_t kPatienceNs = 30'000'000'000;

inline SegmentDirectory open_link(const Directory& folder, BroadcastPolicy policy,
                                  std::uint64_t slot_count = 16, std::uint32_t reader_count = 4) {
  SegmentDirectory directory = folder.open();
  const std::uint64_t lag_limit = policy == BroadcastPolicy::kEvict ? slot_count / 2 : 0;
  REQUIRE(
      create_broadcast(directory, kTopic, {slot_count, 64, reader_count, policy, lag_limit}).ok());
  return directory;
}

// A number and text of a length that goes with it, so that sizes and words are both checked.
inline std::vector<std::byte> message_of(std::uint64_t number) {
  std::vector<std::byte> bytes(8 + number % 57, static_cast<std::byte>(number));
  std::memcpy(bytes.data(), &number, sizeof number);
  return bytes;
}

inline bool send(BroadcastSender& sender, std::uint64_t number) {
  return sender.try_send(message_of(number)) == Transfer::kDone;
}

inline std::uint64_t number_in(const BroadcastMessage& message) {
  std::uint64_t number = 0;
  REQUIRE(message.bytes.size() >= sizeof number);
  std::memcpy(&number, message.bytes.data(), sizeof number);
  const std::vector<std::byte> whole = message_of(number);
  REQUIRE(std::equal(whole.begin(), whole.end(), message.bytes.begin(), message.bytes.end()));
  return number;
}

}  // namespace slipring::test
