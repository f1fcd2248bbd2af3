// Copies a message into a ring or out of it.
//
// The sizes of messages are known only at run time; a call of memcpy for a few words costs more
// than the words.  Up to 64 bytes go in two overlapping pieces of a fixed size, which the compiler
// turns into plain moves; what is longer goes to the library.
#pragma once

#include <cstddef>
#include <cstring>

#include "core/cpu/atomics.h"

namespace slipring {
namespace message_copy_detail {

// Which of the two places is the shared one: pieces go through a register in between.
template <typename Atomics>
struct Inward {
  static void load(void* piece, const void* own, std::size_t size_bytes) noexcept {
    std::memcpy(piece, own, size_bytes);
  }
  static void store(void* shared, const void* piece, std::size_t size_bytes) noexcept {
    Atomics::copy_in(shared, piece, size_bytes);
  }
  static void copy(void* shared, const void* own, std::size_t size_bytes) noexcept {
    Atomics::copy_in(shared, own, size_bytes);
  }
};
template <typename Atomics>
struct Outward {
  static void load(void* piece, const void* shared, std::size_t size_bytes) noexcept {
    Atomics::copy_out(piece, shared, size_bytes);
  }
  static void store(void* own, const void* piece, std::size_t size_bytes) noexcept {
    std::memcpy(own, piece, size_bytes);
  }
  static void copy(void* own, const void* shared, std::size_t size_bytes) noexcept {
    Atomics::copy_out(own, shared, size_bytes);
  }
};

// Requires: kPiece <= size_bytes <= 2 * kPiece.
template <typename Way, std::size_t kPiece>
inline void copy_ends(std::byte* to, const std::byte* from, std::size_t size_bytes) noexcept {
  struct Piece {
    std::byte bytes[kPiece];
  };
  Piece first;
  Piece last;
  Way::load(&first, from, kPiece);
  Way::load(&last, from + size_bytes - kPiece, kPiece);
  Way::store(to, &first, kPiece);
  Way::store(to + size_bytes - kPiece, &last, kPiece);
}

template <typename Way>
inline void copy(std::byte* to, const std::byte* from, std::size_t size_bytes) noexcept {
  if (size_bytes > 64) {
    Way::copy(to, from, size_bytes);
  } else if (size_bytes >= 32) {
    copy_ends<Way, 32>(to, from, size_bytes);
  } else if (size_bytes >= 16) {
    copy_ends<Way, 16>(to, from, size_bytes);
  } else if (size_bytes >= 8) {
    copy_ends<Way, 8>(to, from, size_bytes);
  } else if (size_bytes >= 4) {
    copy_ends<Way, 4>(to, from, size_bytes);
  } else if (size_bytes >= 2) {
    copy_ends<Way, 2>(to, from, size_bytes);
  } else if (size_bytes == 1) {
    Way::copy(to, from, 1);
  }
}

}  // namespace message_copy_detail

// Requires, all three: the two do not overlap.  Either may be null when size_bytes is 0.
template <typename Atomics>
inline void copy_message_in(std::byte* shared, const std::byte* own,
                            std::size_t size_bytes) noexcept {
  message_copy_detail::copy<message_copy_detail::Inward<Atomics>>(shared, own, size_bytes);
}
template <typename Atomics>
inline void copy_message_out(std::byte* own, const std::byte* shared,
                             std::size_t size_bytes) noexcept {
  message_copy_detail::copy<message_copy_detail::Outward<Atomics>>(own, shared, size_bytes);
}
// Where a model need not look on: both are the caller's, or it fills a message in place.
inline void copy_message(std::byte* to, const std::byte* from, std::size_t size_bytes) noexcept {
  copy_message_in<StdAtomics>(to, from, size_bytes);
}

}  // namespace slipring
