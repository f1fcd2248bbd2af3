// The shared image of a stage's board; see board.h.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/cpu/cache_line.h"

namespace slipring {

inline constexpr std::uint32_t kMaxBoardEntries = 96;
inline constexpr std::size_t kBoardNameBytes = 40;

// An entry that a stage keeps for its own successor, such as where to go on: a name that begins
// with a dot.  Tools leave it out of what they show to people.
[[nodiscard]] constexpr bool is_private_entry(std::string_view name) noexcept {
  return name.starts_with('.');
}

enum class BoardKind : std::uint32_t {
  kCounter = 1,  // grows; a rate makes sense
  kGauge = 2,    // a current value
};

struct BoardEntry {
  char name[kBoardNameBytes];  // zero-terminated; lower case, words joined by '_', unit last
  BoardKind kind;
  std::uint32_t reserved;
  std::atomic<std::uint64_t> value;
};
static_assert(sizeof(BoardEntry) == 56);

struct BoardPage {
  alignas(kAbiLineBytes) std::atomic<std::uint32_t> entry_count;
  std::atomic<std::uint32_t> process_id;
  std::atomic<std::uint32_t> incarnation;
  alignas(kAbiLineBytes) BoardEntry entries[kMaxBoardEntries];
};
static_assert(offsetof(BoardPage, entries) == kAbiLineBytes);

}  // namespace slipring
