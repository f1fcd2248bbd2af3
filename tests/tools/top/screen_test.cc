#include "tools/top/screen.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace slipring::tools {
namespace {

Sample sample_of(std::size_t link_count) {
  Sample sample;
  sample.taken_ns = 1'000'000'000;
  for (std::size_t i = 0; i < link_count; ++i) {
    LinkSample link;
    link.name = "settop.link.with.a.long.name." + std::to_string(i);
    link.report.capacity = 100;
    link.report.fill = i * 10 % 101;
    link.report.writer.message_count = 1000 * (link_count - i);
    link.report.writer.incarnation = 1;
    link.report.writer.holder = i % 2 == 0 ? Holder::kAnother : Holder::kNobody;
    link.report.writer.process_id = 4711;
    sample.links.push_back(link);
  }
  sample.processes.push_back({4711, "settop.demux", {}});
  return sample;
}

TEST_CASE("top: fits every size, from none to large, and keeps the name and what tells most") {
  const Sample sample = sample_of(30);
  for (std::size_t columns = 0; columns <= 132; ++columns) {
    for (const std::size_t lines : {0U, 1U, 2U, 3U, 10U, 24U, 60U}) {
      CAPTURE(columns);
      CAPTURE(lines);
      TopView view;
      view.columns = columns;
      view.lines = lines;
      const Screen screen = draw(Comparison(sample, nullptr), view);
      REQUIRE(screen.lines.size() <= lines);
      for (const ScreenLine& line : screen.lines) REQUIRE(line.text.size() <= columns);
      if (columns >= 20 && lines >= 4) {
        CHECK(screen.lines[3].text.starts_with("settop.lin"));
        CHECK(screen.lines[3].text.find("0 %") != std::string::npos);
      }
    }
  }
}

TEST_CASE("top: at 80 columns there are fill, rates, and both holders") {
  const Sample sample = sample_of(3);
  const Screen screen = draw(Comparison(sample, nullptr), {});
  for (const char* title : {"LINK", "FILL", "MSG/S", "DATA/S", "WRITER", "READER"}) {
    CAPTURE(title);
    CHECK(screen.lines[2].text.find(title) != std::string::npos);
  }
  CHECK(screen.lines[3].text.find("4711") != std::string::npos);
  CHECK(screen.lines[4].text.find("gone") != std::string::npos);
  CHECK(screen.lines[4].tone == Tone::kWarning);
}

TEST_CASE("top: sorts by name, by rate, and by fill; scrolls no further than there is something") {
  Sample before = sample_of(30);
  Sample now = sample_of(30);
  now.taken_ns += 1'000'000'000;
  for (std::size_t i = 0; i < now.links.size(); ++i) {
    now.links[i].report.writer.message_count += i == 7 ? 500 : i;
  }
  const Comparison comparison(now, &before);
  TopView view;
  view.columns = 132;
  const auto first_name = [&] {
    const std::string line = draw(comparison, view).lines[3].text;
    return line.substr(0, line.find(' '));
  };
  CHECK(first_name() == now.links[0].name);
  view.order = next(view.order);
  CHECK(view.order == TopOrder::kRate);
  CHECK(first_name() == now.links[7].name);
  view.order = next(view.order);
  CHECK(first_name() == now.links[10].name);  // 100 %
  CHECK(next(view.order) == TopOrder::kName);

  view.first = 1'000'000;
  const Screen end = draw(comparison, view);
  CHECK(end.row_count == 30 + 1 + 3);
  CHECK(end.lines.size() == view.lines);
  CHECK(end.lines.back().text.starts_with("settop.demux"));
}

TEST_CASE("top: names of others cannot act on the terminal") {
  Sample sample;
  LinkSample link;
  link.name = "a\033[2Jb";
  sample.links.push_back(link);
  for (const ScreenLine& line : draw(Comparison(sample, nullptr), {}).lines) {
    for (const char letter : line.text) CHECK((letter >= ' ' && letter <= '~'));
  }
}

}  // namespace
}  // namespace slipring::tools
