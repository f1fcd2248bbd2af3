// Copies a message in or out of a ring.
//
// The sizes of messages are known only at run time; a call of memcpy for a few words costs more
// than the words.  Up to 64 bytes go in two overlapping pieces of a fixed size, which the compiler
// turns into plain moves; what is longer goes to the library.
#pragma once

#include <cstddef>
#include <cstring>

namespace slipring {
namespace message_copy_detail {

// Requires: kPiece <= size_bytes <= 2 * kPiece.
template <std::size_t kPiece>
inline void copy_ends(std::byte* to, const std::byte* from, std::size_t size_bytes) noexcept {
  struct Piece {
    std::byte bytes[kPiece];
  };
  Piece first;
  Piece last;
  std::memcpy(&first, from, kPiece);
  std::memcpy(&last, from + size_bytes - kPiece, kPiece);
  std::memcpy(to, &first, kPiece);
  std::memcpy(to + size_bytes - kPiece, &last, kPiece);
}

}  // namespace message_copy_detail

// Requires: the two do not overlap.  Either may be null when size_bytes is 0.
inline void copy_message(std::byte* to, const std::byte* from, std::size_t size_bytes) noexcept {
  using message_copy_detail::copy_ends;
  if (size_bytes > 64) {
    std::memcpy(to, from, size_bytes);
  } else if (size_bytes >= 32) {
    copy_ends<32>(to, from, size_bytes);
  } else if (size_bytes >= 16) {
    copy_ends<16>(to, from, size_bytes);
  } else if (size_bytes >= 8) {
    copy_ends<8>(to, from, size_bytes);
  } else if (size_bytes >= 4) {
    copy_ends<4>(to, from, size_bytes);
  } else if (size_bytes >= 2) {
    copy_ends<2>(to, from, size_bytes);
  } else if (size_bytes == 1) {
    *to = *from;
  }
}

}  // namespace slipring
