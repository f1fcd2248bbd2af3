#include "tools/cli/table.h"

#include <algorithm>
#include <utility>

#include "core/error/check.h"

namespace slipring::tools {

void Table::add_row(std::vector<Cell> cells) {
  check(cells.size() <= columns_.size(), "a row has at most as many cells as there are columns");
  rows_.push_back({std::move(cells), false});
}

void Table::add_line(Cell line) {
  rows_.push_back({{std::move(line)}, true});
}

std::string Table::text(bool in_colour) const {
  std::vector<std::size_t> widths;
  std::vector<Cell> titles;
  for (const Column& column : columns_) {
    widths.push_back(display_width(column.title));
    titles.emplace_back(column.title, Tone::kStrong);
  }
  for (const Row& row : rows_) {
    if (row.spans) continue;
    for (std::size_t i = 0; i < row.cells.size(); ++i) {
      widths[i] = std::max(widths[i], display_width(row.cells[i].text));
    }
  }
  std::string all;
  const auto add = [&](const Row& row) {
    std::size_t owed = 0;  // spaces that are written only if something follows
    for (std::size_t i = 0; i < row.cells.size(); ++i) {
      const Cell& cell = row.cells[i];
      const std::size_t width = display_width(cell.text);
      const std::size_t padding = row.spans ? 0 : widths[i] - width;
      if (columns_[i].align == Align::kRight && !row.spans) owed += padding;
      if (!cell.text.empty()) {
        all.append(owed, ' ').append(toned(cell.text, cell.tone, in_colour));
        owed = 0;
      }
      if (columns_[i].align == Align::kLeft || row.spans) owed += padding;
      owed += 2;
    }
    all += '\n';
  };
  const bool has_titles = std::any_of(columns_.begin(), columns_.end(),
                                      [](const Column& column) { return !column.title.empty(); });
  if (has_titles) add({titles, false});
  for (const Row& row : rows_) add(row);
  return all;
}

}  // namespace slipring::tools
