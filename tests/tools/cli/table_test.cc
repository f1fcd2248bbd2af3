#include "tools/cli/table.h"

#include <doctest/doctest.h>

namespace slipring::tools {

TEST_CASE("table: columns are as wide as their widest cell and no line ends in spaces") {
  Table table({{"NAME"}, {"SIZE", Align::kRight}, {"NOTE"}});
  table.add_row({"a", "4 MiB", "x"});
  table.add_row({"longer", "1 B"});
  CHECK(table.text(false) ==
        "NAME     SIZE  NOTE\n"
        "a       4 MiB  x\n"
        "longer    1 B\n");
}

TEST_CASE("table: a character of several bytes takes one column") {
  Table table({{"A"}, {"B"}});
  table.add_row({"\u00b5s", "x"});
  table.add_row({"ms", "y"});
  CHECK(table.text(false) == "A   B\n\u00b5s  x\nms  y\n");
}

TEST_CASE("table: a line between the rows widens no column") {
  Table table({{"A"}, {"B"}});
  table.add_row({"1", "2"});
  table.add_line({"a long remark"});
  CHECK(table.text(false) == "A  B\n1  2\na long remark\n");
}

TEST_CASE("table: colours take no columns, and columns without titles have no title line") {
  Table table({{""}, {""}});
  table.add_row({Cell("ok", Tone::kGood), "x"});
  table.add_row({"long", "y"});
  CHECK(table.text(true) == "\033[32mok\033[0m    x\nlong  y\n");
}

TEST_CASE("terminal: text is broken at spaces and indented") {
  CHECK(wrapped("one two three", 0, 2, 2) == "one two three");
  CHECK(wrapped("one two three", 9, 2, 2) == "one two\n  three");
  CHECK(wrapped("unbreakable", 4, 2, 2) == "unbreakable");
  CHECK(wrapped("", 4, 2, 2) == "");
}

}  // namespace slipring::tools
