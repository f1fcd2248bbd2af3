// The metrics, judged by the parser of the Prometheus project's own Python client, and by rules
// that it does not look at.
#include "tools/serve/metrics.h"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>

namespace slipring::tools {
namespace {

Sample odd_sample() {
  Sample sample;
  for (const char* name : {"a", "settop.ts"}) {
    LinkSample link;
    link.name = name;
    link.report.shape.kind = SegmentKind::kRecordLink;
    link.report.capacity = 4096;
    link.report.fill = 17;
    link.report.writer.message_count = 5;
    link.report.writer.incarnation = 2;
    link.report.reader.redelivered_count = UINT64_MAX;
    sample.links.push_back(link);
  }
  sample.links[1].report.shape.kind = SegmentKind::kSlotLink;
  sample.links[1].report.shape.pool_buffer_count = 8;
  sample.links[1].report.pool_lent_count = 3;
  BoardSample board{"settop.\"odd\"\\\n.board", {}, {}};
  BoardObserver::Entry entry{};
  snprintf(entry.name, sizeof entry.name, "frames \"in\" \\ out");
  entry.kind = BoardKind::kCounter;
  entry.value = 7;
  board.entries.push_back(entry);
  entry.kind = BoardKind::kGauge;
  board.entries.push_back(entry);
  snprintf(entry.name, sizeof entry.name, ".private");
  board.entries.push_back(entry);
  sample.boards.push_back(board);
  ProcessSample process{17, "settop.demux", {}};
  process.usage.cpu_time_ns = 1'500'000'007;
  sample.processes.push_back(process);
  SegmentFacts unsound;
  unsound.name = "broken";
  unsound.condition = Condition::kCorrupt;
  sample.unsound.push_back(unsound);
  return sample;
}

// What /usr/bin/python3 prints for the script, with the metrics on its standard input.
std::string python(const std::string& metrics, const std::string& script) {
  std::string path = "/tmp/slipring-metrics-XXXXXX";
  const int fd = mkstemp(path.data());
  REQUIRE(fd >= 0);
  close(fd);
  std::ofstream(path) << metrics;
  FILE* stream = popen(("/usr/bin/python3 -c '" + script + "' < " + path + " 2>&1").c_str(), "r");
  REQUIRE(stream != nullptr);
  std::string text;
  for (int letter = fgetc(stream); letter != EOF; letter = fgetc(stream)) {
    text += static_cast<char>(letter);
  }
  pclose(stream);
  unlink(path.c_str());
  return text;
}

constexpr const char* kRead =
    "import sys\n"
    "from prometheus_client.parser import text_string_to_metric_families as read\n"
    "for family in read(sys.stdin.read()):\n"
    "  assert family.documentation and family.type in (\"counter\", \"gauge\"), family\n"
    "  for s in family.samples:\n"
    "    print(s.name, sorted(s.labels.items()), s.value)\n";

// Each family once, HELP before TYPE before its samples, names as they may be, no sample twice.
void expect_form(const std::string& text) {
  REQUIRE(!text.empty());
  CHECK(text.back() == '\n');
  const std::regex sample("([a-zA-Z_:][a-zA-Z0-9_:]*)(\\{.*\\})? (-?[0-9.]+)");
  std::set<std::string> families;
  std::set<std::string> samples;
  std::string family;
  std::string type;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    CAPTURE(line);
    if (line.starts_with("# HELP ")) {
      family = line.substr(7, line.find(' ', 7) - 7);
      CHECK(families.insert(family).second);
      type.clear();
      continue;
    }
    if (line.starts_with("# TYPE ")) {
      CHECK(line.starts_with("# TYPE " + family + " "));
      type = line.substr(line.rfind(' ') + 1);
      CHECK(type == (family.ends_with("_total") ? "counter" : "gauge"));
      continue;
    }
    std::smatch match;
    REQUIRE(std::regex_match(line, match, sample));
    CHECK(match[1] == family);
    CHECK(!type.empty());
    CHECK(samples.insert(match[1].str() + match[2].str()).second);
  }
}

TEST_CASE("metrics: the form is right, with names that need escaping, and with nothing at all") {
  expect_form(metrics_text(odd_sample(), {1, 2, 3, 4, 5}));
  expect_form(metrics_text({}, {}));
}

TEST_CASE("metrics: Prometheus's own parser reads what was meant") {
  const std::string read = python(metrics_text(odd_sample(), {1, 2, 3, 4, 5}), kRead);
  CAPTURE(read);
  const auto has = [&](const std::string& line) { return read.find(line) != std::string::npos; };
  CHECK(has("slipring_link_depth [('link', 'settop.ts')] 17.0"));
  CHECK(has("slipring_link_messages_total [('end', 'writer'), ('link', 'a')] 5.0"));
  CHECK(has("slipring_link_end_incarnations_total [('end', 'writer'), ('link', 'a')] 2.0"));
  CHECK(has("slipring_link_end_state [('end', 'writer'), ('link', 'a'), ('state', 'gone')] 1.0"));
  CHECK(has("slipring_link_end_state [('end', 'writer'), ('link', 'a'), ('state', 'held')] 0.0"));
  CHECK(has("slipring_link_pool_buffers_lent [('link', 'settop.ts')] 3.0"));
  CHECK(
      has("slipring_process_cpu_seconds_total [('pid', '17'), ('process', 'settop.demux')] "
          "1.500000007"));
  CHECK(has("slipring_segment_unsound [('condition', 'corrupt'), ('segment', 'broken')] 1.0"));
  CHECK(has("slipring_http_delivered_total [] 3.0"));
  CHECK(has(R"(('board', 'settop."odd"\\\n.board'), ('name', 'frames "in" \\ out')] 7.0)"));
  CHECK_FALSE(has("private"));
}

TEST_CASE("metrics: the parser sees a planted mistake") {
  CHECK(python("# TYPE a counter\na{b=\"c} 1\n", kRead).find("Error") != std::string::npos);
}

}  // namespace
}  // namespace slipring::tools
