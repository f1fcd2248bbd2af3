// What a successor takes over from the memory of its dead predecessor into its own.
//
// Protocol.  Positions and generations go on in one number space, and everything keeps its offset:
// whoever looked at the predecessor's memory finds the same in the successor's.  Copied are the
// role's words, its counters, its table of the pool, and of the ring and the pool's buffers what
// has not been finished by the other side.
//
// All of it is input.  The words are read once, into memory that is the successor's own, where the
// ring's attach() judges them; what decides how much is copied is bounded here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/error/result.h"
#include "pipelines/link/link_layout.h"

namespace slipring {

// Requires: `own` and `predecessor` are of the writer's size, `peer` of the reader's; `own` is
// zero. Errors: kCorruptPeer when the words contradict each other.
Status hand_over_writer(const LinkShape& shape, const LinkParts& parts,
                        std::span<const std::byte> predecessor, std::span<const std::byte> peer,
                        std::span<std::byte> own) noexcept;

// For a writer of this generation that takes nothing over: it begins where the reader's cursor
// stands, and counts on from there.  Requires: `peer` is of the reader's size, and its cursor rests
// meanwhile; `own` is of the writer's size, and zero.
void begin_anew(const LinkShape& shape, std::uint32_t generation, std::span<const std::byte> peer,
                std::span<std::byte> own) noexcept;

// Of a broadcast link's writer, to be read on where its readers are.  Where the predecessor's words
// make no sense, or there is none, nothing is taken over, and the stream begins anew with this
// generation: its end's peer_generation says so to readers.
// Requires: both are of the writer's size, or `predecessor` is empty; `own` is zero.
void hand_over_broadcast(const LinkShape& shape, const LinkParts& parts, std::uint32_t generation,
                         std::span<const std::byte> predecessor, std::span<std::byte> own) noexcept;

// Requires: both are of the reader's size; `own` is zero.
void hand_over_reader(const LinkShape& shape, std::span<const std::byte> predecessor,
                      std::span<std::byte> own) noexcept;

}  // namespace slipring
