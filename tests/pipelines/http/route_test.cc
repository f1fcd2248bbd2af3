#include "pipelines/http/route.h"

#include <doctest/doctest.h>

#include <string>
#include <variant>
#include <vector>

namespace slipring::http {
namespace {

std::variant<Call, Refusal> asked(const std::string& method, const std::string& target,
                                  std::uint64_t body_bytes = 0) {
  RequestHead head;
  head.method = method;
  head.target = target;
  head.content_length = body_bytes;
  return route(head);
}

TEST_CASE("route: what there is, and what is asked of it") {
  const Call page = std::get<Call>(asked("GET", "/"));
  CHECK(page.resource == Resource::kPage);
  CHECK(std::get<Call>(asked("HEAD", "/metrics?x=y")).head_only);
  CHECK(std::get<Call>(asked("GET", "/v1/links")).resource == Resource::kLinks);
  CHECK(std::get<Call>(asked("GET", "http://h:1/metrics")).resource == Resource::kMetrics);
  CHECK(std::get<Call>(asked("GET", "http://h")).resource == Resource::kPage);

  const Call take = std::get<Call>(asked("GET", "/v1/links/a.b?wait=1.5&max=7&follow=1&keep=1"));
  CHECK(take.resource == Resource::kLink);
  CHECK_FALSE(take.puts);
  CHECK(take.link == "a.b");
  CHECK(take.wait_ns == 1'500'000'000);
  CHECK(take.piece_bytes == 7);
  CHECK(take.follows);
  CHECK(take.keeps);

  const Call put = std::get<Call>(asked("PUT", "/v1/links/%61?end=1&&wait=0", 5));
  CHECK(put.puts);
  CHECK(put.link == "a");
  CHECK(put.ends);
  CHECK(put.wait_ns == 0);
  CHECK(std::get<Call>(asked("POST", "/v1/links/a", 5)).puts);
}

TEST_CASE("route: every refusal has its status, and names what was found") {
  struct Row {
    const char* method;
    const char* target;
    int status;
    const char* found;
  };
  const std::vector<Row> rows = {
      {"GET", "/nothing", 404, "/nothing"},
      {"GET", "/v1/links/", 404, "/v1/links/"},
      {"GET", "/v1/links/a/b", 404, "a/b"},
      {"GET", "/v1/links/../a", 404, "../a"},
      {"GET", "/v1/links/%2e%2e%2fa", 404, "%2e%2e%2fa"},
      {"GET", "/v1/links/%00", 404, "%00"},
      {"GET", "/v1/links/%4", 404, "%4"},
      {"GET", "/v1/links/%zz", 404, "%zz"},
      {"GET", "*", 404, "*"},
      {"OPTIONS", "/", 405, "OPTIONS"},
      {"POST", "/metrics", 405, "POST"},
      {"PUT", "/v1/links", 405, "PUT"},
      {"DELETE", "/v1/links/a", 405, "DELETE"},
      {"HEAD", "/v1/links/a", 405, "HEAD"},
      {"CONNECT", "a:1", 404, "a:1"},
      {"GET", "/v1/links/a?wait=x", 400, "x"},
      {"GET", "/v1/links/a?wait=-1", 400, "-1"},
      {"GET", "/v1/links/a?wait=301", 400, "301"},
      {"GET", "/v1/links/a?wait=nan", 400, "nan"},
      {"GET", "/v1/links/a?wait=1e9", 400, "1e9"},
      {"GET", "/v1/links/a?wait", 400, ""},
      {"GET", "/v1/links/a?max=0", 400, "0"},
      {"GET", "/v1/links/a?max=1048577", 400, "1048577"},
      {"GET", "/v1/links/a?max=18446744073709551616", 400, "18446744073709551616"},
      {"GET", "/v1/links/a?follow=yes", 400, "yes"},
      {"GET", "/v1/links/a?end=1", 400, "end=1"},
      {"PUT", "/v1/links/a?follow=1", 400, "follow=1"},
      {"PUT", "/v1/links/a?nonsense", 400, "nonsense"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.method);
    CAPTURE(row.target);
    const auto answer = asked(row.method, row.target);
    REQUIRE(std::holds_alternative<Refusal>(answer));
    const Refusal& refusal = std::get<Refusal>(answer);
    CHECK(refusal.status == row.status);
    CHECK(refusal.found == row.found);
    CHECK(!refusal.what.empty());
    CHECK(!refusal.remedy.empty());
    CHECK(refusal.allow.empty() == (row.status != 405));
  }
  CHECK(std::get<Refusal>(asked("GET", "/v1/links/a", 5)).status == 400);
  CHECK(std::get<Refusal>(asked("GET", "/", 5)).status == 400);
  CHECK(std::get<Refusal>(asked("GET", "/v1/links/" + std::string(81, 'a'))).status == 404);
}

}  // namespace
}  // namespace slipring::http
