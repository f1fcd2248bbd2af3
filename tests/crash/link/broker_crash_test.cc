// A broker is killed, and stopped, behind each of its system calls and at instants drawn from
// between them, through the whole life of a link; and the ends go on.

#include <doctest/doctest.h>
#include <poll.h>

#include <memory>
#include <optional>
#include <utility>

#include "pipelines/link/guarded_broker.h"
#include "tests/crash/link/broker_session.h"
#include "tests/platform/scratch.h"

namespace slipring::crash {
namespace {

using Answer = TracedChild::Answer;

// Where the broker is to be met: behind so many of its calls, and so many instructions further on,
// or before the next call.
struct Instant {
  std::uint64_t calls = UINT64_MAX;
  std::uint64_t steps = 0;
};

// A broker whose turns are given by the test.
class LedBroker {
 public:
  explicit LedBroker(const SegmentDirectory& directory) {
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_) == 0);
    child_.emplace([&] {
      ::close(ends_[0]);
      return serve_broker(directory, Line(ends_[1]));
    });
    ::close(ends_[1]);
    rest();
    REQUIRE(line().hear() == '+');
  }
  LedBroker(const LedBroker&) = delete;
  LedBroker& operator=(const LedBroker&) = delete;
  ~LedBroker() {
    if (ends_[0] >= 0) ::close(ends_[0]);
  }

  // One turn; true: it was met in it, and stands there.
  bool turn(const Instant& instant) {
    line().say('t');
    REQUIRE(child_->waited() == Answer::kStepped);  // at the first mark
    for (; calls_ != instant.calls; ++calls_) {
      const Answer answer = child_->run_through_call();
      if (answer == Answer::kMarked) {
        end_turn();
        return false;
      }
      REQUIRE(answer == Answer::kStepped);
    }
    for (std::uint64_t i = 0; i < instant.steps && !child_->is_at_call(); ++i) {
      if (child_->step() == Answer::kMarked) break;
    }
    return true;
  }
  // From where it was met to the end of the turn.
  void go_on() {
    REQUIRE(child_->run_to_mark() == Answer::kMarked);
    end_turn();
  }
  void die() { child_->kill_now(); }
  // Lets it end by itself.
  void leave() {
    ::close(std::exchange(ends_[0], -1));
    REQUIRE(child_->waited() == Answer::kEnded);
    CHECK(child_->exit_status() == 0);
  }
  [[nodiscard]] std::uint64_t calls() const { return calls_; }

 private:
  [[nodiscard]] Line line() const { return Line(ends_[0]); }
  // Until it waits for its next order.
  void rest() {
    child_->report_sleep(true);
    REQUIRE(child_->run_to_mark() == Answer::kAsleep);
    child_->report_sleep(false);
  }
  void end_turn() {
    rest();
    REQUIRE(line().hear() == '.');
  }

  int ends_[2] = {-1, -1};
  std::optional<TracedChild> child_;
  std::uint64_t calls_ = 0;
};

[[nodiscard]] bool has_said(const OtherProcess& process) {
  pollfd watched{process.line().fd(), POLLIN, 0};
  return ::poll(&watched, 1, 0) > 0;
}

[[nodiscard]] bool is_guests(Command command) {
  return command == Command::kGuest || command == Command::kLook;
}

// One play of the session.
class Play {
 public:
  Play() : user_([this](Line line) { return serve_user(directory_, line); }) { begin(); }

  // A broker, and the session from its beginning.
  void begin() {
    broker_ = std::make_unique<LedBroker>(directory_);
    at_ = 0;
  }
  // Goes on until the broker is met: true; or to the end.
  bool run_to(const Instant& instant) {
    for (; at_ != kSession.size(); ++at_) {
      const auto command = static_cast<Command>(kSession[at_]);
      order(command);
      while (!has_said(asked(command))) {
        if (broker_->turn(instant)) return true;
      }
      take_word(command, false);
    }
    // What was said last is heard.
    for (int turn = 0; turn < 4; ++turn) {
      if (broker_->turn(instant)) return true;
    }
    return false;
  }

  // With the broker dead: what is held goes on, and nothing waits.
  void go_on_without() {
    broker_->die();
    for (; at_ != kSession.size(); ++at_) {
      const auto command = static_cast<Command>(kSession[at_]);
      order(command);
      take_word(command, true);
    }
  }
  // With the broker stopped: other brokers come and go, and what is held goes on.
  void go_on_beside() {
    Result<GuardedBroker> other = GuardedBroker::create(directory_, "other", brokered_shape());
    CHECK(other.ok());
    if (!is_asked_ || kSession[at_] != static_cast<char>(Command::kLook)) return;
    // The user holds both ends, and has nothing else to do.
    user_.line().say(static_cast<char>(Command::kExchange));
    CHECK(user_.line().hear() == static_cast<char>(Word::kDone));
    ++exchanges;
  }
  void let_it_go_on() { broker_->go_on(); }
  // All is done: nothing of it is left.
  void end() {
    broker_->leave();
    CHECK(scratch_.names().empty());
  }
  [[nodiscard]] std::uint64_t calls() const { return broker_->calls(); }

  static inline std::uint64_t exchanges = 0;  // beside a stopped broker

 private:
  void order(Command command) {
    if (std::exchange(is_asked_, true)) return;  // already, before the broker was met
    if (is_guests(command)) {
      guest_ = std::make_unique<OtherProcess>(
          [this, command](Line line) { return serve_guest(directory_, command, line); });
    } else {
      user_.line().say(static_cast<char>(command));
    }
  }
  [[nodiscard]] const OtherProcess& asked(Command command) const {
    return is_guests(command) ? *guest_ : user_;
  }
  void take_word(Command command, bool may_lack_broker) {
    const auto word = static_cast<Word>(asked(command).line().hear());
    const bool is_attach =
        command == Command::kWrite || command == Command::kRead || is_guests(command);
    CAPTURE(static_cast<char>(command));
    CAPTURE(static_cast<char>(word));
    CHECK((word == Word::kDone || (may_lack_broker && is_attach && word == Word::kBrokerGone)));
    if (is_guests(command)) {
      guest_->kill_now();
      guest_->wait();
      guest_.reset();
    }
    is_asked_ = false;
  }

  Scratch scratch_;
  SegmentDirectory directory_ = SegmentDirectory::open_at(scratch_.path()).value();
  OtherProcess user_;
  std::unique_ptr<OtherProcess> guest_;
  std::unique_ptr<LedBroker> broker_;
  std::size_t at_ = 0;     // in the session
  bool is_asked_ = false;  // the command there was given
};

// Steps to go on from a call, by turns few and many.
std::uint64_t steps_of(std::uint64_t draw) {
  return (draw * 0x9e37'79b9'7f4a'7c15 >> 40) % (std::uint64_t{8} << draw % 9);
}

TEST_CASE("broker: killed behind each system call, and between them, the ends go on") {
  std::uint64_t kills = 0;
  for (std::uint64_t calls = 0;; ++calls) {
    CAPTURE(calls);
    Play play;
    if (!play.run_to({calls, calls % 2 == 0 ? 0 : steps_of(calls)})) {
      play.end();
      break;
    }
    ++kills;
    play.go_on_without();
    // The name is the next broker's, and so are the ends.
    play.begin();
    CHECK_FALSE(play.run_to({}));
    play.end();
  }
  MESSAGE(kills << " deaths of a broker");
  CHECK(kills > 60);
}

TEST_CASE("broker: stopped behind each system call, nobody else waits, and all is done after it") {
  std::uint64_t stops = 0;
  for (std::uint64_t calls = 0;; ++calls) {
    CAPTURE(calls);
    Play play;
    const bool is_met = play.run_to({calls, calls % 2 == 0 ? 0 : steps_of(calls)});
    if (is_met) {
      ++stops;
      play.go_on_beside();
      play.let_it_go_on();
      CHECK_FALSE(play.run_to({}));
    }
    play.end();
    if (!is_met) break;
  }
  MESSAGE(stops << " stops of a broker, the ends' laps beside it " << Play::exchanges);
  CHECK(stops > 60);
  CHECK(Play::exchanges > 3);
}

}  // namespace
}  // namespace slipring::crash
