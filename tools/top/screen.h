// What `slipring top` shows, as lines of text: no terminal is needed to know it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tools/cli/terminal.h"
#include "tools/stat/sample.h"

namespace slipring::tools {

enum class TopOrder : std::uint8_t { kName, kRate, kFill };

[[nodiscard]] const char* name_of(TopOrder order) noexcept;
[[nodiscard]] TopOrder next(TopOrder order) noexcept;

struct TopView {
  std::size_t columns = 80;
  std::size_t lines = 24;
  TopOrder order = TopOrder::kName;
  std::size_t first = 0;  // rows scrolled away
  bool is_paused = false;
  std::uint64_t interval_ns = 1'000'000'000;
};

struct ScreenLine {
  std::string text;  // ASCII, at most as many columns as there are
  Tone tone = Tone::kPlain;
};

struct Screen {
  std::vector<ScreenLine> lines;  // at most as many as there are
  std::size_t row_count = 0;      // of the list, for scrolling
};

// Columns that do not fit are left out, the least telling first.
[[nodiscard]] Screen draw(const Comparison& comparison, const TopView& view);

}  // namespace slipring::tools
