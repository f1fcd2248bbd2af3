// The judgement over a round: what the producers' books say against what the consumers' logs say.
// Nothing here looks at a ring.
#pragma once

#include <cstdint>

#include "tests/crash/campaign/scene.h"

namespace slipring::campaign {

// What is known of a message, in Stage::known.
inline constexpr std::uint8_t kMust = 1;       // the ring accepted it
inline constexpr std::uint8_t kMaybe = 2;      // its producer died, or was refused, in the attempt
inline constexpr std::uint8_t kDelivered = 4;  // somebody has logged it
inline constexpr std::uint8_t kInHands = 8;    // a consumer died with it, having popped it for good

// One producing role, one consuming role, in order (SPSC rings, a lane): book `at` of each sort.
// Every message comes in the order of its number; a successor begins exactly behind what had been
// finished; what comes again is marked, and nothing else is.
void judge_lane(const Context& context, std::uint32_t at);

// `producer_count` producing roles, `consumer_count` consuming ones, each message to one of them.
// A successor is first given what its predecessor had not finished, marked, in order; by the
// stamps, no message comes behind one whose push began after its own was over.
void judge_crowd(const Context& context, std::uint32_t producer_count,
                 std::uint32_t consumer_count);

// One producing role, `reader_count` consuming ones, each message to each of them but those that
// the reader was told to have lost, up to the last of the `published` places.
void judge_audience(const Context& context, std::uint32_t reader_count, std::uint32_t published,
                    bool may_lose);

// For a scene with rules of its own: marks what the producer's book says of each of its messages,
// and answers how many there are; and, once the logs have marked what came, counts what did not.
[[nodiscard]] std::uint32_t read_book(const ProducerBook& book, std::uint8_t* known);
void close_book(const Context& context, std::uint32_t at, std::uint32_t count);

}  // namespace slipring::campaign
