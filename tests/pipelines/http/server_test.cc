// The server as its clients see it: every call with its status, and shapes of requests that belong
// together.
#include "pipelines/http/server.h"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstring>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "pipelines/link/lane_reader.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/link/stream_link.h"
#include "pipelines/link/value_link.h"
#include "tests/pipelines/http/http_fixture.h"

namespace slipring::http {
namespace {

constexpr SegmentKind kRecords = SegmentKind::kRecordLink;
constexpr SegmentKind kStream = SegmentKind::kStreamLink;
constexpr const char* kToken = "0123456789abcdef0123456789abcdef";

struct Row {
  std::string request;
  int status;
};

std::vector<Row> rows() {
  return {
      {get("/"), 200},
      {get("/metrics"), 200},
      {get("/v1/links"), 200},
      {"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n", 200},
      {get("/v1/links/a"), 204},
      {put("/v1/links/a", "hello"), 204},
      {"POST /v1/links/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 204},
      {get("/v1/links/a"), 200},
      {get("/v1/links/a"), 200},
      {get("/v1/links/s"), 204},
      {get("/v1/links/s?follow=0"), 204},
      {get("/nothing"), 404},
      {get("/v1/links/nothing"), 404},
      {put("/v1/links/nothing", "x"), 404},
      {"DELETE /v1/links/a HTTP/1.1\r\nHost: localhost\r\n\r\n", 405},
      {"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405},
      {get("/v1/links/a?wait=soon"), 400},
      {get("/v1/links/a?follow=1"), 422},
      {put("/v1/links/pool", "x"), 422},
      {put("/v1/links/values", "12345678"), 204},
      {put("/v1/links/values", "1234567"), 422},
      {put("/v1/links/values", "123456789"), 413},
      {put("/v1/links/values", ""), 422},
      {get("/v1/links/values"), 200},
      {get("/v1/links/values"), 204},
      {put("/v1/links/box", "mail"), 204},
      {get("/v1/links/box"), 200},
      {get("/v1/links/box"), 204},
      {get("/v1/links/box?follow=1"), 422},
      {put("/v1/links/box", std::string(3000, 'x')), 413},
      {get("/v1/links/busy"), 409},
      {put("/v1/links/busy", "x"), 409},
      {put("/v1/links/a", std::string(4096, 'x')), 413},
      {"PUT /v1/links/a HTTP/1.1\r\nHost: localhost\r\n\r\n", 411},
      {get("/", "Origin: http://elsewhere\r\n"), 403},
      {get("/v1/links/a", "Sec-Fetch-Site: cross-site\r\n"), 403},
      {"GET / HTTP/1.1\r\nHost: elsewhere\r\n\r\n", 421},
      {"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(9000, 'x') + "\r\n\r\n", 431},
      {"GET /" + std::string(3000, 'x') + " HTTP/1.1\r\nHost: localhost\r\n\r\n", 414},
      {"GET / HTTP/3.0\r\n\r\n", 505},
      {"nonsense\r\n\r\n", 400},
      {"PUT /v1/links/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
      {"PUT /v1/links/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n"
       "Content-Length: 1\r\n\r\nx",
       400},
  };
}

TEST_CASE("http: every call has its status, and every fault its words in JSON") {
  HttpFixture fixture;
  fixture.make("a", kRecords, 4096);
  fixture.make("s", kStream);
  fixture.make("busy", kRecords);
  Result<LinkWriter> writer = LinkWriter::attach(fixture.directory(), "busy", MemoryLock::kOff);
  Result<LinkReader> reader = LinkReader::attach(fixture.directory(), "busy", MemoryLock::kOff);
  REQUIRE((writer.ok() && reader.ok()));
  LinkShape pool;
  pool.kind = SegmentKind::kSlotLink;
  pool.slot_count = 4;
  pool.slot_bytes = 64;
  pool.pool_buffer_count = 2;
  pool.pool_buffer_bytes = 4096;
  REQUIRE(create_link(fixture.directory(), "pool", pool).ok());
  REQUIRE(create_link(fixture.directory(), "box", lane_set_shape(2, 4096)).ok());
  REQUIRE(create_link(fixture.directory(), "values", value_link_shape<std::uint64_t>(4)).ok());
  for (const Row& row : rows()) {
    CAPTURE(row.request.substr(0, 80));
    RawClient client = fixture.client();
    client.send(row.request);
    const bool is_head = row.request.starts_with("HEAD");
    const RawClient::Answer answer = is_head ? RawClient::Answer{200, "", ""} : client.answer();
    CAPTURE(answer.body);
    CHECK(answer.status == row.status);
    if (row.status >= 400) {
      CHECK(answer.has("Content-Type: application/json"));
      CHECK(answer.body.starts_with("{\"schema\":1,\"error\":{\"status\":"));
      for (const char* part : {"\"what\":\"", "\"found\":\"", "\"remedy\":\""}) {
        CHECK(answer.body.find(part) != std::string::npos);
      }
    }
  }
}

TEST_CASE("http: a lane set takes mail of all, gives each message once, and is never over") {
  HttpFixture fixture;
  REQUIRE(create_link(fixture.directory(), "box", lane_set_shape(4, 4096)).ok());
  RawClient client = fixture.client();
  CHECK(client.ask(put("/v1/links/box", "by HTTP")).status == 204);
  {
    // Another sender, of a lane of its own.
    Result<LinkWriter> other = LinkWriter::attach(fixture.directory(), "box", MemoryLock::kOff);
    REQUIRE(other.ok());
    CHECK(other->lane() == 1);
    std::span<std::byte> place;
    REQUIRE(other->try_reserve(5, place) == Transfer::kDone);
    std::memcpy(place.data(), "local", 5);
    other->commit(5);
    other->close();
  }
  std::multiset<std::string> got;
  for (int i = 0; i < 2; ++i) {
    const RawClient::Answer answer = client.ask(get("/v1/links/box?keep=1"));
    CHECK(answer.status == 200);
    got.insert(answer.body);
  }
  CHECK(got == std::multiset<std::string>{"by HTTP", "local"});
  CHECK(client.ask(get("/v1/links/box?keep=1")).status == 204);
  // Its owner is the server, and nobody else meanwhile.
  CHECK(LaneReader::attach(fixture.directory(), "box").error().code == ErrorCode::kBusy);
  // A taker that vanishes before it confirms loses nothing.
  CHECK(client.ask(put("/v1/links/box", "once")).status == 204);
  {
    RawClient vanishing = fixture.client();
    CHECK(vanishing.ask(get("/v1/links/box?keep=1")).body == "once");
    vanishing.reset();
  }
  const RawClient::Answer again = client.ask(get("/v1/links/box?wait=60&keep=1"));
  CHECK(again.body == "once");
  CHECK(again.has("Slipring-Redelivered: 1"));
}

TEST_CASE("http: values go through whole, one a request, in order") {
  HttpFixture fixture;
  REQUIRE(create_link(fixture.directory(), "v", value_link_shape<std::uint64_t>(4)).ok());
  const auto bytes_of = [](std::uint64_t value) {
    return std::string(reinterpret_cast<const char*>(&value), sizeof value);
  };
  RawClient client = fixture.client();
  for (std::uint64_t round = 0; round < 20; ++round) {  // many times around the ring
    for (std::uint64_t i = 0; i < 4; ++i) {
      CHECK(client.ask(put("/v1/links/v", bytes_of(4 * round + i))).status == 204);
    }
    CHECK(client.ask(put("/v1/links/v", bytes_of(0))).status == 503);  // full
    for (std::uint64_t i = 0; i < 4; ++i) {
      CHECK(client.ask(get("/v1/links/v?keep=1")).body == bytes_of(4 * round + i));
    }
    CHECK(client.ask(get("/v1/links/v?keep=1")).status == 204);
  }
}

TEST_CASE("http: a message goes through whole, in order, and says where it stood") {
  HttpFixture fixture;
  fixture.make("a", kRecords, 1 << 20);
  RawClient client = fixture.client();
  std::string bytes(100'000, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7);
  for (const std::string& body : {std::string("first"), bytes, std::string()}) {
    CHECK(client.ask(put("/v1/links/a", body)).status == 204);
  }
  for (const std::string& body : {std::string("first"), bytes, std::string()}) {
    const RawClient::Answer answer = client.ask(get("/v1/links/a?keep=1"));
    CHECK(answer.status == 200);
    CHECK((answer.body == body));
    CHECK(answer.has("Slipring-Position: "));
    CHECK_FALSE(answer.has("Slipring-Redelivered"));
  }
  CHECK(client.ask(get("/v1/links/a?keep=1")).status == 204);
}

TEST_CASE("http: a long poll gets what comes, in the order of asking; a full link waits as well") {
  HttpFixture fixture;
  fixture.make("a", kRecords, 4096);
  RawClient one = fixture.client();
  RawClient two = fixture.client();
  RawClient putter = fixture.client();
  // That the first asks first is only certain when its wish is known to have been read.
  one.send(get("/v1/links/a?wait=60&keep=1"));
  CHECK(putter.ask(get("/v1/links/nothing")).status == 404);
  CHECK(putter.ask(put("/v1/links/a", "1")).status == 204);
  CHECK(one.answer().body == "1");
  two.send(get("/v1/links/a?wait=60"));
  CHECK(putter.ask(put("/v1/links/a", "2")).status == 204);
  CHECK(two.answer().body == "2");
  two.close();

  // Filled up, and then a putter that waits while room is made.
  int count = 0;
  RawClient::Answer answer;
  while ((answer = putter.ask(put("/v1/links/a", std::string(500, 'x')))).status == 204) ++count;
  CHECK(count > 2);
  CHECK(answer.status == 503);
  CHECK(answer.has("Retry-After"));
  putter.send(put("/v1/links/a?wait=60", std::string(500, 'y')));
  for (int i = 0; i < count; ++i) CHECK(one.ask(get("/v1/links/a?keep=1")).body[0] == 'x');
  CHECK(putter.answer().status == 204);
  CHECK(one.ask(get("/v1/links/a?wait=60&keep=1")).body[0] == 'y');
}

TEST_CASE("http: chunks, expectations, pipelines, and HTTP/1.0") {
  HttpFixture fixture;
  fixture.make("a", kRecords, 1 << 20);
  RawClient client = fixture.client();
  const std::string head = "PUT /v1/links/a HTTP/1.1\r\nHost: localhost\r\n";
  CHECK(client.ask(head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
            .status == 204);
  CHECK(client.ask(get("/v1/links/a?keep=1")).body == "abcde");

  client.send(head + "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  CHECK(client.answer().status == 100);
  CHECK(client.ask("xyz").status == 204);
  CHECK(client.ask(get("/v1/links/a?keep=1")).body == "xyz");
  // What is too long is refused before it is sent.
  CHECK(client.ask(head + "Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n").status ==
        413);

  RawClient piping = fixture.client();
  const std::string kept = get("/v1/links/a?keep=1");
  piping.send(put("/v1/links/a", "1") + put("/v1/links/a", "2") + kept + kept + kept);
  CHECK(piping.answer().status == 204);
  CHECK(piping.answer().status == 204);
  CHECK(piping.answer().body == "1");
  CHECK(piping.answer().body == "2");
  CHECK(piping.answer().status == 204);

  RawClient old = fixture.client();
  old.send("PUT /v1/links/a HTTP/1.0\r\nContent-Length: 3\r\n\r\nold");
  CHECK(old.read_to_end().starts_with("HTTP/1.1 204"));
  RawClient half = fixture.client();
  half.send("GET /v1/links/a HTTP/1.0\r\n\r\n");
  half.end_sending();
  CHECK(half.read_to_end().ends_with("\r\n\r\nold"));
}

TEST_CASE("http: chunks beyond what a link takes are refused, wherever they are cut") {
  HttpFixture fixture;
  fixture.make("a", kRecords, 4096);
  RawClient client = fixture.client();
  client.send("PUT /v1/links/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 4096; ++i) client.send("1\r\nx\r\n");
  CHECK(client.answer().status == 413);
  CHECK(fixture.client().ask(get("/v1/links/a")).status == 204);
}

TEST_CASE("http: a token is asked for everywhere but at the page") {
  ServerOptions options;
  options.token = kToken;
  HttpFixture fixture(options);
  fixture.make("a", kRecords);
  const std::string right = std::string("Authorization: Bearer ") + kToken + "\r\n";
  CHECK(fixture.client().ask(get("/")).status == 200);
  for (const char* target : {"/metrics", "/v1/links", "/v1/links/a", "/nothing"}) {
    CAPTURE(target);
    const RawClient::Answer refused = fixture.client().ask(get(target));
    CHECK(refused.status == (std::string(target) == "/nothing" ? 401 : 401));
    CHECK(refused.has("WWW-Authenticate: Bearer"));
  }
  CHECK(fixture.client().ask(get("/metrics", right)).status == 200);
  CHECK(fixture.client().ask(put("/v1/links/a", "x")).status == 401);
  CHECK(fixture.client().ask(put("/v1/links/a", "x", right)).status == 204);
  CHECK(fixture.client().ask(get("/v1/links/a", right)).body == "x");
}

TEST_CASE("http: a stream is put in pieces, followed to its end, and then over") {
  HttpFixture fixture;
  fixture.make("s", kStream, 4096);
  std::string bytes(200'000, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 13);
  std::thread putter([&] {
    RawClient client = fixture.client();
    const RawClient::Answer half = client.ask(put("/v1/links/s", bytes.substr(0, 100'000)));
    const RawClient::Answer rest = client.ask(put("/v1/links/s?end=1", bytes.substr(100'000)));
    CHECK(half.status == 204);
    CHECK(rest.status == 204);
  });
  RawClient client = fixture.client();
  client.send("GET /v1/links/s?follow=1 HTTP/1.0\r\n\r\n");
  const std::string all = client.read_to_end();
  putter.join();
  const std::size_t begin = all.find("\r\n\r\n") + 4;
  CHECK((all.substr(begin) == bytes));
  client.close();
  // Read to its end, and gone, as soon as the server has seen the client go.
  int status = 0;
  for (int i = 0; i < 10'000 && status != 404; ++i) {
    status = fixture.client().ask(get("/v1/links/s")).status;
  }
  CHECK(status == 404);
}

TEST_CASE("http: bytes that a follower had not acknowledged come again, and none else") {
  HttpFixture fixture;
  fixture.make("s", kStream, 65536);
  CHECK(fixture.client().ask(put("/v1/links/s", std::string(30'000, 'x'))).status == 204);
  {
    RawClient client = fixture.client();
    client.send(get("/v1/links/s?follow=1"));
    CHECK(client.read(100).size() == 100);
    client.reset();
  }
  CHECK(fixture.client().ask(put("/v1/links/s?end=1", "y")).status == 204);
  RawClient client = fixture.client();
  client.send("GET /v1/links/s?follow=1&wait=60 HTTP/1.0\r\n\r\n");
  const std::string all = client.read_to_end();
  CHECK(all.ends_with("y"));
}

TEST_CASE("http: a closed writer is 410 once everything was delivered, a closed reader at once") {
  HttpFixture fixture;
  fixture.make("a", kRecords);
  fixture.make("b", kRecords);
  CHECK(fixture.client().ask(put("/v1/links/a?end=1", "last")).status == 204);
  RawClient client = fixture.client();
  CHECK(client.ask(get("/v1/links/a?wait=60&keep=1")).body == "last");
  CHECK(client.ask(get("/v1/links/a?wait=60&keep=1")).status == 410);
  {
    Result<LinkReader> reader = LinkReader::attach(fixture.directory(), "b", MemoryLock::kOff);
    REQUIRE(reader.ok());
    reader->close();
  }
  CHECK(fixture.client().ask(put("/v1/links/b", "x")).status == 410);
}

TEST_CASE("http: a link that was removed and made anew is the new one") {
  HttpFixture fixture;
  fixture.make("a", kRecords);
  RawClient client = fixture.client();
  CHECK(client.ask(put("/v1/links/a", "old")).status == 204);
  REQUIRE(remove_segment(fixture.directory(), "a").ok());
  CHECK(client.ask(get("/v1/links/a?keep=1")).status == 404);
  fixture.make("a", kRecords);
  CHECK(client.ask(put("/v1/links/a", "new")).status == 204);
  CHECK(client.ask(get("/v1/links/a?keep=1")).body == "new");
}

TEST_CASE("http: an end that nobody uses is laid down for others") {
  ServerOptions options;
  options.hold_ns = 0;
  HttpFixture fixture(options);
  fixture.make("a", kRecords);
  CHECK(fixture.client().ask(put("/v1/links/a", "x")).status == 204);
  CHECK(
      wait_for_role(fixture.directory(), "a", Role::kWriter, deadline_after(60'000'000'000)).ok());
  CHECK(LinkWriter::attach(fixture.directory(), "a", MemoryLock::kOff).ok());
}

}  // namespace
}  // namespace slipring::http
