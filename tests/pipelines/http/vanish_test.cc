// A client that takes a message and vanishes, at every stage of it: the message is not lost.  One
// that has read everything has it: the message does not come again.
#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "pipelines/http/server.h"
#include "tests/pipelines/http/http_fixture.h"

namespace slipring::http {
namespace {

enum class Parting { kClose, kReset };

// A run of numbered messages with a client that looks for gaps.
class Run {
 public:
  explicit Run(std::size_t padding_bytes) : padding_(padding_bytes, '.') {
    fixture_.make("a", SegmentKind::kRecordLink, 1 << 20);
  }
  [[nodiscard]] RawClient client() const { return fixture_.client(); }

  void put_next() {
    const std::string body = std::to_string(last_put_ + 1) + padding_;
    REQUIRE(client().ask(put("/v1/links/a", body)).status == 204);
    ++last_put_;
  }
  // Takes until the last message that was put came; all since the last look must come, in order.
  // Answers whether one was marked as redelivered.
  bool expect_all() {
    bool redelivered = false;
    RawClient taker = client();
    while (last_seen_ < last_put_) {
      const RawClient::Answer answer = taker.ask(get("/v1/links/a?wait=60&keep=1"));
      REQUIRE(answer.status == 200);
      REQUIRE(std::stoull(answer.body) == last_seen_ + 1);
      REQUIRE(answer.body.size() == std::to_string(last_seen_ + 1).size() + padding_.size());
      redelivered = redelivered || answer.has("Slipring-Redelivered: 1");
      ++last_seen_;
    }
    return redelivered;
  }
  void expect_nothing() { CHECK(client().ask(get("/v1/links/a")).status == 204); }
  void was_seen() { ++last_seen_; }
  Server& stop() { return fixture_.stop(); }

 private:
  HttpFixture fixture_;
  std::string padding_;
  std::uint64_t last_put_ = 0;
  std::uint64_t last_seen_ = 0;
};

void part(RawClient& client, Parting parting) {
  if (parting == Parting::kReset) {
    client.reset();
  } else {
    client.close();
  }
}

TEST_CASE("vanishing: cut at every byte of the request") {
  Run run(0);
  const std::string request = get("/v1/links/a");
  for (std::size_t size = 0; size < request.size(); ++size) {
    CAPTURE(size);
    run.put_next();
    RawClient client = run.client();
    client.send(std::string_view(request).substr(0, size));
    part(client, size % 2 == 0 ? Parting::kClose : Parting::kReset);
    run.expect_all();
  }
  run.expect_nothing();
  CHECK(run.stop().returned_count() == 0);
}

TEST_CASE("vanishing: while it waits") {
  Run run(0);
  for (const Parting parting : {Parting::kClose, Parting::kReset}) {
    for (int i = 0; i < 10; ++i) {
      RawClient client = run.client();
      client.send(get("/v1/links/a?wait=60"));
      // The server has read the wish: it answers in order.
      CHECK(run.client().ask(get("/")).status == 200);
      part(client, parting);
      run.put_next();
      run.expect_all();
    }
  }
  run.expect_nothing();
}

TEST_CASE("vanishing: right after it has asked") {
  Run run(0);
  for (const Parting parting : {Parting::kClose, Parting::kReset}) {
    for (int i = 0; i < 50; ++i) {
      run.put_next();
      RawClient client = run.client();
      client.send(get("/v1/links/a"));
      part(client, parting);
      run.expect_all();
    }
  }
  run.expect_nothing();
}

void cut_answer_everywhere(Run& run, const std::string& request, Parting parting) {
  run.put_next();
  std::size_t answer_size = 0;
  {
    RawClient client = run.client();
    const RawClient::Answer answer = client.ask(request);
    answer_size = answer.head.size() + 2 + answer.body.size();
    run.was_seen();
  }
  for (std::size_t size = 0; size < answer_size; ++size) {
    CAPTURE(size);
    run.put_next();
    RawClient client = run.client();
    client.send(request);
    REQUIRE(client.read(size).size() == size);
    // Our kernel has all of it and says so; the server has turns enough to fall for that.
    if (size % 8 == 0) CHECK(run.client().ask(get("/")).status == 200);
    part(client, parting);
    // With a byte unread the connection is reset, which says that the message was not had.
    static_cast<void>(run.expect_all());
  }
}

TEST_CASE("vanishing: after every number of bytes of a short answer") {
  Run run(20);
  for (const char* target : {"/v1/links/a", "/v1/links/a?keep=1"}) {
    CAPTURE(target);
    cut_answer_everywhere(run, get(target), Parting::kClose);
    cut_answer_everywhere(run, get(target), Parting::kReset);
  }
  run.expect_nothing();
  CHECK(run.stop().returned_count() > 300);
}

TEST_CASE("vanishing: in the midst of a long answer") {
  Run run(400'000);
  for (const Parting parting : {Parting::kClose, Parting::kReset}) {
    for (const std::size_t size : {0U, 1U, 1000U, 65'536U, 200'000U, 399'999U}) {
      CAPTURE(size);
      run.put_next();
      RawClient client = run.client();
      client.send(get("/v1/links/a"));
      REQUIRE(client.read(size).size() == size);
      part(client, parting);
      static_cast<void>(run.expect_all());
    }
  }
  run.expect_nothing();
}

TEST_CASE("vanishing: who has read everything has it, and it does not come again") {
  Run run(20);
  for (const bool keeps_alive : {false, true}) {
    for (int i = 0; i < 50; ++i) {
      run.put_next();
      RawClient client = run.client();
      const RawClient::Answer answer =
          client.ask(get(keeps_alive ? "/v1/links/a?keep=1" : "/v1/links/a"));
      CHECK(answer.status == 200);
      run.was_seen();
      client.close();
    }
  }
  run.expect_nothing();
  CHECK(run.stop().returned_count() == 0);
}

TEST_CASE("vanishing: one of several takers; the others' messages stay theirs") {
  Run run(20);
  std::vector<RawClient> takers;
  for (int i = 0; i < 4; ++i) run.put_next();
  for (int i = 0; i < 3; ++i) {
    takers.push_back(run.client());
    CHECK(takers.back().ask(get("/v1/links/a")).status == 200);
  }
  takers[1].reset();
  // The second message comes again, marked, and the fourth for the first time.
  RawClient client = run.client();
  for (int i = 0; i < 2; ++i) {
    const RawClient::Answer answer = client.ask(get("/v1/links/a?wait=60&keep=1"));
    REQUIRE(!answer.body.empty());
    CHECK(answer.has("Slipring-Redelivered: 1") == (answer.body[0] == '2'));
    CHECK((answer.body[0] == '2' || answer.body[0] == '4'));
  }
}

}  // namespace
}  // namespace slipring::http
