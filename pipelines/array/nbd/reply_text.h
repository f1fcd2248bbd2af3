// The headers of replies, as NBD has them.
#pragma once

#include <cstdint>

#include "pipelines/array/nbd/connection_memory.h"
#include "pipelines/array/nbd/nbd_protocol.h"

namespace slipring::array {

using ReplyText = WireText<kReplyTextMax>;

// Replies to these are structured once that is agreed; the others' stay simple.
[[nodiscard]] inline bool has_chunks(std::uint16_t command, const ConnectionState& state) noexcept {
  return state.has_structured_replies != 0 &&
         (command == static_cast<std::uint16_t>(NbdCommand::kRead) ||
          command == static_cast<std::uint16_t>(NbdCommand::kBlockStatus));
}

inline void put_chunk_header(ReplyText& text, std::uint16_t flags, ChunkType type,
                             std::uint64_t cookie, std::uint32_t length) noexcept {
  text.put(kStructuredReplyMagic);
  text.put(flags);
  text.put(static_cast<std::uint16_t>(type));
  text.put(cookie);
  text.put(length);
}

// The whole reply to a request that failed, or that succeeded without data.
[[nodiscard]] inline ReplyText error_reply(std::uint16_t command, std::uint64_t cookie,
                                           NbdError error, const ConnectionState& state) noexcept {
  ReplyText text;
  if (has_chunks(command, state)) {
    put_chunk_header(text, kChunkDone, ChunkType::kError, cookie, 6);
    text.put(static_cast<std::uint32_t>(error));
    text.put(std::uint16_t{0});  // no words to it
    return text;
  }
  text.put(kSimpleReplyMagic);
  text.put(static_cast<std::uint32_t>(error));
  text.put(cookie);
  return text;
}

}  // namespace slipring::array
