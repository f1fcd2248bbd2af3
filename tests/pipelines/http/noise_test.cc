// Whatever bytes come, the server answers or hangs up, and goes on serving others.
#include <doctest/doctest.h>

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "tests/pipelines/http/http_fixture.h"

namespace slipring::http {
namespace {

const std::vector<std::string> kSeeds = {
    get("/"),
    get("/v1/links/a"),
    get("/v1/links/a?wait=0&keep=1"),
    get("/v1/links/s?follow=0&max=9"),
    put("/v1/links/a", "hello"),
    put("/v1/links/s", std::string(300, 'x')),
    "PUT /v1/links/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    "5\r\nhello\r\n0\r\n\r\n",
    "PUT /v1/links/a HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
    "Content-Length: 3\r\n\r\nabc",
    "GET /metrics HTTP/1.0\r\n\r\n",
};

std::string noise(std::mt19937& random) {
  std::string text;
  for (unsigned long parts = 1 + random() % 3; parts != 0; --parts) {
    std::string part = kSeeds[random() % kSeeds.size()];
    for (unsigned long changes = random() % 4; changes != 0 && !part.empty(); --changes) {
      const std::size_t at = random() % part.size();
      switch (random() % 3) {
        case 0:
          part[at] = static_cast<char>(random());
          break;
        case 1:
          part.erase(at, 1 + random() % 20);
          break;
        default:
          part.insert(at, part.substr(random() % part.size(), random() % 30));
      }
    }
    text += part;
  }
  return text;
}

TEST_CASE("noise: connections of mutated requests, cut anywhere, harm nobody else") {
  // SLIPRING_HTTP_NOISE asks for more, with another seed for each number.
  const char* const wish = std::getenv("SLIPRING_HTTP_NOISE");
  const std::uint32_t count = wish != nullptr ? static_cast<std::uint32_t>(std::atol(wish)) : 1500;
  std::mt19937 random(count);
  HttpFixture fixture;
  fixture.make("a", SegmentKind::kRecordLink, 1 << 20);
  fixture.make("s", SegmentKind::kStreamLink, 1 << 20);
  fixture.make("other", SegmentKind::kRecordLink);
  std::uint64_t answered = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    CAPTURE(i);
    RawClient client = fixture.client();
    client.send(noise(random));
    if (random() % 4 == 0) {
      client.reset();
    } else {
      client.end_sending();
      const std::string answer = client.read_to_end();
      if (!answer.empty()) {
        ++answered;
        REQUIRE(answer.starts_with("HTTP/1.1 "));
      }
    }
    if (i % 100 == 0) {
      RawClient witness = fixture.client();
      REQUIRE(witness.ask(put("/v1/links/other", "x")).status == 204);
      REQUIRE(witness.ask(get("/v1/links/other?keep=1")).body == "x");
    }
  }
  CHECK(answered > count / 4);
  MESSAGE(count << " connections, " << answered << " answered, " << fixture.stop().request_count()
                << " requests read");
}

}  // namespace
}  // namespace slipring::http
