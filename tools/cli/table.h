// Columns of text for people.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "tools/cli/terminal.h"

namespace slipring::tools {

enum class Align : unsigned char { kLeft, kRight };

struct Column {
  std::string title;
  Align align = Align::kLeft;
};

struct Cell {
  Cell() = default;
  Cell(const char* shown) : text(shown) {}             // NOLINT: a cell is its text
  Cell(std::string shown) : text(std::move(shown)) {}  // NOLINT: a cell is its text
  Cell(std::string shown, Tone in_tone) : text(std::move(shown)), tone(in_tone) {}

  std::string text;
  Tone tone = Tone::kPlain;
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // Cells that are missing at the end are empty.  Requires: no more cells than columns.
  void add_row(std::vector<Cell> cells);
  // A line between the rows that keeps to no columns.
  void add_line(Cell line);

  [[nodiscard]] bool is_empty() const noexcept { return rows_.empty(); }

  // Every row with a newline; no trailing spaces.
  [[nodiscard]] std::string text(bool in_colour) const;

 private:
  struct Row {
    std::vector<Cell> cells;
    bool spans = false;
  };

  std::vector<Column> columns_;
  std::vector<Row> rows_;
};

}  // namespace slipring::tools
