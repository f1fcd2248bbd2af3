// Where decoded frames live: the decoder asks for memory here and gives it back here.
//
// The decoder writes a frame into one such buffer and hands its token on.  It may go on reading the
// buffer after that (later pictures are predicted from it) until it calls release().  Whoever
// passes the frame on must therefore take a hold of its own on the buffer before FrameSink::frame()
// returns, and reuse the memory only when the decoder and every other holder have let go.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/error/result.h"

namespace slipring::settop {

// Vector instructions of the codecs load and store whole registers of up to this many bytes.
inline constexpr std::size_t kFrameAlignmentBytes = 64;

struct FrameBuffer {
  std::byte* data = nullptr;   // aligned to kFrameAlignmentBytes
  std::size_t size_bytes = 0;  // may exceed what was asked for
  std::uint64_t token = 0;     // names the buffer; its meaning is the provider's
};

class FrameBuffers {
 public:
  // Waits for a free buffer of at least size_bytes.  Errors: kNoSpace when no buffer is that large
  // (found: the largest there is), which costs that frame; kInterrupted when the wait was cut short
  // by a stop or a flush, and any other, end what the decoder was called for.
  virtual Result<FrameBuffer> acquire(std::size_t size_bytes) = 0;

  // The decoder neither reads nor writes the buffer any more.
  virtual void release(std::uint64_t token) = 0;

 protected:
  ~FrameBuffers() = default;
};

}  // namespace slipring::settop
