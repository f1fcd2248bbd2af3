// The process that serves a client dies at any instruction of an abort: each request is then either
// done and answered as ever, or answered with NBD_ESHUTDOWN and not done, and its data, which go on
// coming, are never taken for requests.

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "tests/pipelines/array/nbd/survival_fixture.h"

namespace slipring::test {
namespace {

constexpr std::uint32_t kShutdown = static_cast<std::uint32_t>(array::NbdError::kShutdown);

struct Told {
  std::uint64_t offset;
  std::uint32_t error;
};

struct Scene {
  std::string before;  // what the client has said when the abort comes
  std::string after;   // and goes on to say
  bool is_submitted;   // what was said whole is at the back end by then
  // By cookie: what can be aborted.
  std::map<std::uint64_t, std::uint64_t> offsets;
};

std::string haggling() {
  return Wire().u32(3).bytes() + option_text(8, "") + option_text(7, go_data("disk"));
}

std::string end_of_session() {
  return request_text(1, 0, 90, 900, 4) + "last" + request_text(2, 0, 91, 0, 0);
}

// A write whose data are still coming, cut in the middle, or before their first byte.
Scene half_write(std::size_t data_bytes) {
  const std::string write = request_text(1, 0, 7, 600, 64) + std::string(64, 'w');
  return {haggling() + write.substr(0, 28 + data_bytes),
          write.substr(28 + data_bytes) + end_of_session(),
          true,
          {{7, 600}}};
}

// Whole requests that are not on the ring yet, and the half of a write behind them.
Scene queued() {
  Scene scene = half_write(30);
  const std::string all = request_text(1, 0, 1, 100, 8) + "12345678" +
                          request_text(6, 0, 2, 200, 16) + request_text(0, 0, 3, 300, 16);
  scene.before.insert(haggling().size(), all);
  scene.is_submitted = false;
  scene.offsets.insert({{1, 100}, {2, 200}, {3, 300}});
  return scene;
}

// What was said is taken; what is whole goes onto the ring, if it is to.
void listen(Life& life, const Session& session, bool submits) {
  life.take_over();
  const int socket = session.server.get();
  for (int i = 0; i < 20; ++i) {
    if (submits) {
      REQUIRE(life.turn(socket));
      continue;
    }
    static_cast<void>(life.connection.work());
    static_cast<void>(life.connection.receive(socket));
    static_cast<void>(life.connection.send(socket));
  }
  REQUIRE(Session::unread(socket) == 0);
}

// Errors of the replies by cookie; simple ones, since structured replies are of reads alone.
std::map<std::uint64_t, std::uint32_t> errors_of(const std::string& bytes, std::string& fault) {
  const std::size_t first =
      std::min(bytes.find("\x67\x44\x66\x98"), bytes.find("\x66\x8e\x33\xef"));
  const Heard heard = take_apart(bytes, first);
  fault = heard.fault;
  std::map<std::uint64_t, std::uint32_t> errors;
  for (const auto& [cookie, reply] : heard.replies) {
    const bool is_chunk = reply[0] == '\x66';
    const bool is_error = is_chunk && big_endian_number(reply.substr(6, 2)) >> 15 != 0;
    const std::string error = is_chunk ? (is_error ? reply.substr(20, 4) : "") : reply.substr(4, 4);
    errors[cookie] = static_cast<std::uint32_t>(big_endian_number(error));
  }
  return errors;
}

// How often the back end was asked for what begins there.
std::size_t times_asked(const World& world, std::uint64_t offset) {
  std::size_t times = 0;
  for (std::uint64_t i = 0; i < world.back.published.load(); ++i) {
    times += world.back.log[i].request.offset == offset ? 1U : 0U;
  }
  return times;
}

// Empty, or what is wrong.
std::string judge(const Scene& scene, const World& world, const std::string& said,
                  std::size_t& dropped) {
  std::string fault;
  const auto errors = errors_of(said, fault);
  if (!fault.empty()) return fault;
  if (errors.size() != scene.offsets.size() + 1) {
    return std::to_string(errors.size()) + " replies";
  }
  if (errors.at(90) != 0 || times_asked(world, 900) != 1) return "what came later was not done";
  for (const auto& [cookie, offset] : scene.offsets) {
    const std::uint32_t error = errors.at(cookie);
    const std::size_t times = times_asked(world, offset);
    if (error == kShutdown ? times != 0 : error != 0 || times != 1) {
      return "request " + std::to_string(cookie) + " has error " + std::to_string(error) +
             " and was done " + std::to_string(times) + " times";
    }
    dropped += error == kShutdown ? 1U : 0U;
  }
  return "";
}

void expect_whole(const Scene& scene) {
  SharedWorld world;
  Session session(scene.before);
  session.say_all();
  Life life(*world);
  listen(life, session, scene.is_submitted);
  const std::string heard_before = session.heard();
  const pid_t child = start_traced([&] { static_cast<void>(life.connection.abort_queued()); });
  std::vector<Image> moments = {Image(*world)};
  while (step(child)) {
    if (!moments.back().is_of(*world)) moments.emplace_back(*world);
  }
  CHECK(session.heard() == heard_before);
  SharedWorld later;
  std::vector<std::size_t> dropped;
  for (const Image& moment : moments) {
    later.clear();
    moment.put_into(*later);
    Session rest(scene.after);
    rest.say_all();
    CHECK_MESSAGE(succeed(*later, rest), "the successor died, moment ", dropped.size());
    dropped.push_back(0);
    const std::string fault = judge(scene, *later, heard_before + rest.heard(), dropped.back());
    CHECK_MESSAGE(fault.empty(), fault, ", moment ", dropped.size(), " of ", moments.size());
  }
  // Nothing before it began, all once it was over; and never less again.
  CHECK(dropped.front() == 0);
  CHECK(dropped.back() == scene.offsets.size());
  CHECK(std::is_sorted(dropped.begin(), dropped.end()));
  MESSAGE(moments.size(), " different deaths judged, ", scene.offsets.size(), " requests");
}

TEST_CASE("abort: a death at any instruction, while a write's data are coming") {
  expect_whole(half_write(30));
}

TEST_CASE("abort: a death at any instruction, before the first byte of a write's data") {
  expect_whole(half_write(0));
}

TEST_CASE("abort: a death at any instruction, with requests that are not on the ring") {
  expect_whole(queued());
}

}  // namespace
}  // namespace slipring::test
