// A thousand clients that say nothing, or too little: the others are served, and memory is bounded.
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "pipelines/http/server.h"
#include "tests/pipelines/http/http_fixture.h"

namespace slipring::http {
namespace {

constexpr int kCrowd = 1000;

std::uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  file >> total >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

bool has_descriptors() {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  // Both ends are in this process.
  return files.rlim_cur > 2 * kCrowd + 100;
}

void expect_service(const HttpFixture& fixture) {
  for (int i = 0; i < 20; ++i) {
    RawClient client = fixture.client();
    REQUIRE(client.ask(put("/v1/links/a", std::to_string(i))).status == 204);
    REQUIRE(client.ask(get("/v1/links/a")).body == std::to_string(i));
  }
}

TEST_CASE("crowd: a thousand silent connections cost others nothing, and little memory") {
  if (!has_descriptors()) {
    MESSAGE("too few descriptors for a thousand connections: not tried");
    return;
  }
  HttpFixture fixture;
  fixture.make("a", SegmentKind::kRecordLink);
  expect_service(fixture);
  const std::uint64_t before = resident_bytes();
  std::vector<RawClient> crowd;
  for (int i = 0; i < kCrowd; ++i) crowd.push_back(fixture.client());
  expect_service(fixture);
  const std::uint64_t silent = resident_bytes();
  // Half a head each: now they have buffers.
  for (RawClient& client : crowd) client.send("GET / HTTP/1.1\r\nHost: loc");
  expect_service(fixture);
  const std::uint64_t partial = resident_bytes();
  CHECK(silent - before < 16U << 20);
  CHECK(partial - before < 64U << 20);
  MESSAGE("resident: " << before << ", " << silent << " with the silent, " << partial
                       << " with half a head each");
  CHECK(fixture.stop().evicted_count() == 0);
}

TEST_CASE("crowd: where places run out, the longest silent goes, and never a request under way") {
  if (!has_descriptors()) return;
  ServerOptions options;
  options.connection_count_max = 64;
  HttpFixture fixture(options);
  fixture.make("a", SegmentKind::kRecordLink);
  RawClient waiting = fixture.client();
  waiting.send(get("/v1/links/a?wait=60"));
  CHECK(fixture.client().ask(get("/")).status == 200);
  std::vector<RawClient> crowd;
  for (int i = 0; i < kCrowd; ++i) crowd.push_back(fixture.client());
  CHECK(fixture.client().ask(put("/v1/links/a", "x")).status == 204);
  CHECK(waiting.answer().body == "x");
  expect_service(fixture);
  CHECK(fixture.stop().evicted_count() >= kCrowd - 64);
}

TEST_CASE("crowd: when everybody waits for something, a newcomer is turned away with words") {
  ServerOptions options;
  options.connection_count_max = 8;
  HttpFixture fixture(options);
  fixture.make("a", SegmentKind::kRecordLink);
  std::vector<RawClient> waiting;
  for (int i = 0; i < 8; ++i) {
    waiting.push_back(fixture.client());
    waiting.back().send(get("/v1/links/a?wait=60"));
  }
  // A newcomer may come before the last wish was read, and takes that one's place then.
  RawClient::Answer answer;
  for (int i = 0; i < 100 && answer.status != 503; ++i) answer = fixture.client().ask(get("/"));
  CHECK(answer.status == 503);
}

TEST_CASE("crowd: bodies are bounded together") {
  ServerOptions options;
  options.limits.bodies_bytes_max = 100'000;
  HttpFixture fixture(options);
  fixture.make("a", SegmentKind::kRecordLink, 1 << 20);
  const std::string head =
      "PUT /v1/links/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n";
  RawClient first = fixture.client();
  first.send(head);
  CHECK(fixture.client().ask(get("/")).status == 200);
  CHECK(fixture.client().ask(head).status == 503);
  CHECK(first.ask(std::string(60'000, 'x')).status == 204);
  CHECK(fixture.client().ask(put("/v1/links/a", std::string(60'000, 'y'))).status == 204);
}

TEST_CASE("crowd: who is too slow with a head or a body is told so, and a message is not put") {
  ServerOptions options;
  options.limits.head_ns = 50'000'000;
  options.limits.patience_ns = 50'000'000;
  options.limits.rate_bytes_per_s_min = 1 << 30;
  HttpFixture fixture(options);
  fixture.make("a", SegmentKind::kRecordLink);
  RawClient half = fixture.client();
  CHECK(half.ask("GET / HT").status == 408);
  RawClient slow = fixture.client();
  CHECK(slow.ask("PUT /v1/links/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc")
            .status == 408);
  CHECK(fixture.client().ask(get("/v1/links/a")).status == 204);
}

}  // namespace
}  // namespace slipring::http
