// Clients that end their sending side early, or send requests ahead of answers: what README.md
// promises of them.
#include <doctest/doctest.h>

#include <string>

#include "tests/pipelines/http/http_fixture.h"

namespace slipring::http {
namespace {

constexpr int kRounds = 20;

void make_link(const HttpFixture& fixture) {
  fixture.make("a", SegmentKind::kRecordLink, 1 << 20);
}
// The server has read what came before: it answers in order.
void let_it_turn(const HttpFixture& fixture) {
  CHECK(fixture.client().ask(get("/")).status == 200);
}

TEST_CASE("half close: a taker that has ended its sending side gets its message, and it is taken") {
  HttpFixture fixture;
  make_link(fixture);
  for (int i = 0; i < kRounds; ++i) {
    const std::string body = "message " + std::to_string(i);
    REQUIRE(fixture.client().ask(put("/v1/links/a", body)).status == 204);
    RawClient taker = fixture.client();
    taker.send(get("/v1/links/a"));
    taker.end_sending();
    CHECK(taker.read_to_end().ends_with("\r\n\r\n" + body));
  }
  // The acknowledgement of its machine alone confirms it: nothing comes again.
  CHECK(fixture.client().ask(get("/v1/links/a")).status == 204);
}

TEST_CASE("half close: one that ends its sending side while it waits is taken for gone") {
  HttpFixture fixture;
  make_link(fixture);
  for (int i = 0; i < kRounds; ++i) {
    RawClient gone = fixture.client();
    gone.send(get("/v1/links/a?wait=60"));
    let_it_turn(fixture);
    gone.end_sending();
    CHECK(gone.read_to_end().empty());
    // What comes then is another's, and was never given out.
    REQUIRE(fixture.client().ask(put("/v1/links/a", "fresh")).status == 204);
    const RawClient::Answer answer = fixture.client().ask(get("/v1/links/a"));
    CHECK(answer.body == "fresh");
    CHECK_FALSE(answer.has("Slipring-Redelivered"));
  }
}

TEST_CASE("half close: a whole body is put, a part of one is not") {
  HttpFixture fixture;
  make_link(fixture);
  const std::string whole = put("/v1/links/a", "0123456789");
  for (std::size_t size = whole.size() - 10; size <= whole.size(); ++size) {
    CAPTURE(size);
    RawClient putter = fixture.client();
    putter.send(whole.substr(0, size));
    putter.end_sending();
    const std::string answer = putter.read_to_end();
    CHECK(answer.starts_with("HTTP/1.1 204") == (size == whole.size()));
    if (size == whole.size()) {
      CHECK(fixture.client().ask(get("/v1/links/a")).body == "0123456789");
    } else {
      CHECK(fixture.client().ask(get("/v1/links/a")).status == 204);
    }
  }
}

TEST_CASE("half close: requests sent ahead are answered in order, and then the end is heard") {
  HttpFixture fixture;
  make_link(fixture);
  for (int i = 0; i < kRounds; ++i) {
    RawClient client = fixture.client();
    const std::string kept = get("/v1/links/a?keep=1");
    client.send(put("/v1/links/a", "one") + kept + put("/v1/links/a", "two") + kept + kept);
    client.end_sending();
    CHECK(client.answer().status == 204);
    CHECK(client.answer().body == "one");
    CHECK(client.answer().status == 204);
    CHECK(client.answer().body == "two");
    CHECK(client.answer().status == 204);
    CHECK(client.read_to_end().empty());
    CHECK(fixture.client().ask(get("/v1/links/a")).status == 204);
  }
}

TEST_CASE("half close: a pipeline that waits holds up what is behind it, and nobody else") {
  HttpFixture fixture;
  make_link(fixture);
  RawClient client = fixture.client();
  client.send(get("/v1/links/a?wait=60&keep=1") + get("/v1/links/a?wait=60&keep=1"));
  let_it_turn(fixture);
  REQUIRE(fixture.client().ask(put("/v1/links/a", "one")).status == 204);
  CHECK(client.answer().body == "one");
  REQUIRE(fixture.client().ask(put("/v1/links/a", "two")).status == 204);
  CHECK(client.answer().body == "two");
}

}  // namespace
}  // namespace slipring::http
