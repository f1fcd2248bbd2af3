// The process that serves a client dies at every instruction, and at every system call; the client
// gets every reply once, whole, and the back end every request once.
//
// At every instruction.  The process is single-stepped through a whole session.  Whenever its
// memory that outlives it, or what the kernel has of its socket, has changed, a death at this
// instant is judged: a successor is given a copy of that memory and a socket with the bytes that
// the dead one had not taken, and serves the session to its end.
//
// At every system call.  The process is really killed, where it enters and where it leaves the
// kernel, and its successor goes on with the very same socket.

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/pipelines/array/nbd/survival_fixture.h"

namespace slipring::test {
namespace {

constexpr std::uint64_t kRequestCount = 9;  // of the script, that reach the back end

std::string payload(char letter, std::size_t size) {
  return std::string(size, letter);
}

// Everything that the client says.
std::string script() {
  std::string all = Wire().u32(3).bytes();
  all += option_text(8, "") + option_text(10, context_data("disk", {"base:allocation"}));
  all += option_text(99, "unknown") + option_text(7, go_data("disk", {3}));
  all += request_text(1, 0, 1, 512, 40) + payload('a', 40);
  all += request_text(0, 0, 2, 500, 64);
  all += request_text(1, 1, 3, 520, 24) + payload('b', 24);
  all += request_text(1, 0, 4, 1U << 20, 20) + payload('x', 20);  // beyond the end
  all += request_text(0, 0, 5, 510, 48);
  all += request_text(7, 8, 6, 0, 4096);
  all += request_text(3, 0, 7, 0, 0);
  all += request_text(0, 0, 8, kFakeBadOffset, 8);  // the back end fails
  all += request_text(1, 0, 9, kFakeBadOffset, 8) + payload('c', 8);
  all += request_text(6, 0, 10, 512, 16);
  return all + request_text(2, 0, 11, 0, 0);
}

// What an undisturbed session comes to.
struct Truth {
  Truth() {
    SharedWorld world;
    Session session(script());
    session.say_all();
    Life(*world).serve(session.server.get());
    all = session.heard();
    // GO's last reply is an ACK without data; behind it the first reply has its magic.
    haggling_bytes = std::min(all.find("\x67\x44\x66\x98"), all.find("\x66\x8e\x33\xef"));
    REQUIRE(haggling_bytes != std::string::npos);
    heard = take_apart(all, haggling_bytes);
    REQUIRE(heard.fault.empty());
    REQUIRE(heard.replies.size() == 10);
    REQUIRE(world->back.published.load() == kRequestCount);
  }
  // Empty, or what is wrong.
  [[nodiscard]] std::string judge(const std::string& said, const World& world) const {
    const Heard found = take_apart(said, haggling_bytes);
    if (!found.fault.empty()) return found.fault;
    if (found.haggling != heard.haggling) return "another haggling";
    if (found.replies != heard.replies) return "other replies";
    if (world.back.published.load() != kRequestCount) {
      return std::to_string(world.back.published.load()) + " requests reached the back end";
    }
    return "";
  }
  std::string all;
  std::size_t haggling_bytes = 0;
  Heard heard;
};

// A moment of the session at which something had changed.
struct Moment {
  Image image;
  std::uint64_t step;
  std::size_t taken;  // bytes that the process had taken
  std::string heard;  // that the client had got
};

struct Walk {
  std::vector<Moment> moments;
  std::uint64_t steps = 0;
};

// Steps through a whole session.
Walk walk(const Truth& truth) {
  SharedWorld world;
  Session session(script());
  Life life(*world);
  const pid_t child = start_traced([&] { life.serve(session.server.get()); });
  Walk all;
  for (;;) {
    session.say_more();
    const bool is_new = all.moments.empty() || session.taken() != all.moments.back().taken ||
                        Session::unread(session.client.get()) != all.moments.back().heard.size() ||
                        !all.moments.back().image.is_of(*world);
    if (is_new) all.moments.push_back({Image(*world), all.steps, session.taken(), session.heard()});
    if (!step(child)) break;
    ++all.steps;
  }
  const std::string fault = truth.judge(session.heard(), *world);
  CHECK_MESSAGE(fault.empty(), "the stepped session itself: ", fault);
  return all;
}

using Plant = std::function<void(World&)>;

struct Verdict {
  std::uint64_t wrong = 0;
  std::string first;
};

// A death at each moment.  `plant` spoils what the successor finds; the first `wrong_enough` wrong
// ones are enough.
Verdict judge_deaths(const Truth& truth, const Walk& session, const Plant& plant,
                     std::uint64_t wrong_enough) {
  const std::string says = script();
  SharedWorld later;
  Verdict verdict;
  for (const Moment& moment : session.moments) {
    later.clear();
    moment.image.put_into(*later);
    plant(*later);
    Session rest(says.substr(moment.taken));
    rest.say_all();
    const bool has_ended = succeed(*later, rest);
    const std::string fault =
        has_ended ? truth.judge(moment.heard + rest.heard(), *later) : "the successor died";
    if (!fault.empty() && verdict.wrong++ == 0) {
      verdict.first = fault + ", dead at step " + std::to_string(moment.step);
    }
    if (verdict.wrong == wrong_enough) break;
  }
  return verdict;
}

TEST_CASE("nbd: a death at any instruction of a session leaves each request and reply once") {
  const Truth truth;
  const Walk session = walk(truth);
  const Verdict verdict = judge_deaths(
      truth, session, [](World&) {}, UINT64_MAX);
  MESSAGE(session.steps, " instructions, ", session.moments.size(), " different deaths judged, ",
          verdict.wrong, " wrong");
  CHECK_MESSAGE(verdict.wrong == 0, verdict.first);
  CHECK(session.moments.size() > 300);

  // Successors that forget a part of what they find are found out.
  const std::map<std::string, Plant> plants = {
      {"bytes taken from the socket",
       [](World& world) { array::settle(world.front.connections[0].receive.number, 1UL << 40); }},
      {"bytes given to the socket",
       [](World& world) { array::settle(world.front.connections[0].send.number, 1UL << 40); }},
      {"the request in hand",
       [](World& world) { array::settle(world.front.submission.piece, array::kNoIndex); }},
      {"a reply's place in line",
       [](World& world) {
         for (auto& piece : world.front.pieces) array::settle(piece.out_item, array::kNoPosition);
       }},
  };
  for (const auto& [what, plant] : plants) {
    const Verdict planted = judge_deaths(truth, session, plant, 1);
    MESSAGE("planted: ", what, " forgotten: ", planted.first);
    CHECK(planted.wrong > 0);
  }
}

TEST_CASE("nbd: killed at any system call, entered or left, the successor goes on on its socket") {
  const Truth truth;
  std::uint64_t kills = 0;
  for (std::uint64_t kill_at = 0;; ++kill_at) {
    SharedWorld world;
    Session session(script());
    Life life(*world);
    const pid_t child = start_traced([&] { life.serve(session.server.get()); });
    bool is_over = false;
    for (std::uint64_t stops = 0; stops <= kill_at && !is_over; ++stops) {
      session.say_more();
      REQUIRE(ptrace(PTRACE_SYSCALL, child, nullptr, nullptr) == 0);
      int status = 0;
      REQUIRE(waitpid(child, &status, 0) == child);
      is_over = WIFEXITED(status);
    }
    if (is_over) break;
    kill_and_reap(child);
    ++kills;
    session.say_all();
    Life(*world).serve(session.server.get());
    const std::string fault = truth.judge(session.heard(), *world);
    CHECK_MESSAGE(fault.empty(), fault, ", killed at the system call's stop ", kill_at);
  }
  MESSAGE(kills, " kills");
  CHECK(kills > 60);
}

}  // namespace
}  // namespace slipring::test
