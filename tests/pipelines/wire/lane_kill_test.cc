// The processes that carry a lane set to its owner's machine are killed at random, while its
// writers come and go.
#include <doctest/doctest.h>

#include <sched.h>

#include <array>
#include <optional>
#include <random>
#include <string>

#include "pipelines/link/lane_reader.h"
#include "platform/wait/clock.h"
#include "tests/pipelines/wire/turn_ledger.h"
#include "tests/pipelines/wire/wire_fixture.h"
#include "tests/pipelines/wire/wire_process.h"

namespace slipring::wire {
namespace {

constexpr std::uint64_t kPatienceNs = 120'000'000'000;
constexpr int kMessages = 40;  // of a writer, at most

// A writer after the other, each in whichever lane is free.
class Writers {
 public:
  Writers(const SegmentDirectory& here, std::string who) : here_(here), who_(std::move(who)) {}

  void write(std::mt19937_64& draw) {
    if (!writer_) {
      Result<LinkWriter> next = LinkWriter::attach(here_, kLink);
      if (!next) return;
      writer_.emplace(std::move(next).value());
      ++number_;
      next_ = 0;
      last_ = static_cast<int>(draw() % kMessages);
    }
    const std::string name = name_of(who_ + std::to_string(number_), *writer_);
    while (next_ < last_ && try_push(*writer_, text_of(name, next_))) {
      ++next_;
      ++pushed_;
    }
    if (next_ != last_) return;
    // Some say that they go.
    if (draw() % 2 == 0) writer_->close();
    writer_.reset();
  }
  void stop() { writer_.reset(); }
  [[nodiscard]] std::uint64_t pushed() const { return pushed_; }
  [[nodiscard]] int count() const { return number_; }

 private:
  const SegmentDirectory& here_;
  std::string who_;
  std::optional<LinkWriter> writer_;
  int number_ = 0;
  int next_ = 0;
  int last_ = 0;
  std::uint64_t pushed_ = 0;
};

// Counts as it has to: 0 lost, 0 repeated.
void run_campaign(bool is_guarded, bool sender_dials) {
  constexpr int kKills = 60;
  Machine here(lane_set_shape(3, 1024), is_guarded);
  Machine there(lane_set_shape(4, 1024), is_guarded);
  const std::string address = "unix://" + here.directory.path() + ".socket";
  const auto process = [&](const Machine& machine, LinkSide side, bool listens) {
    return WireProcessSpec{.segments = machine.directory.path(),
                           .address = address,
                           .link = kLink,
                           .side = side,
                           .listens = listens,
                           .ends = false};
  };
  WireProcess sender(process(here, LinkSide::kSender, !sender_dials));
  WireProcess receiver(process(there, LinkSide::kReceiver, sender_dials));
  sender.start();
  receiver.start();
  LaneReader reader = must(LaneReader::attach(there.segments, kLink));
  std::array<Writers, 2> writers{Writers(here.segments, "a"), Writers(here.segments, "b")};
  const auto pushed = [&] { return writers[0].pushed() + writers[1].pushed(); };
  TurnLedger ledger;
  std::mt19937_64 draw(5);
  int kills = 0;
  std::uint64_t kill_at = 0;
  const std::uint64_t until_ns = deadline_after(kPatienceNs);
  while (kills < kKills || ledger.count() < pushed()) {
    if (kills < kKills) {
      for (Writers& some : writers) some.write(draw);
    } else {
      for (Writers& some : writers) some.stop();
    }
    ledger.drain(reader);
    REQUIRE_MESSAGE(monotonic_ns() < until_ns, kills, " kills, ", ledger.count(), " messages");
    if (sender.try_reap() || receiver.try_reap()) FAIL("a carrier ended");
    if (kills >= kKills || ledger.count() < kill_at) {
      sched_yield();
      continue;
    }
    const std::uint64_t who = draw() % 3;
    if (who != 0) receiver.kill_now();
    if (who != 1) sender.kill_now();
    if (who != 0) receiver.start();
    if (who != 1) sender.start();
    kills += who == 2 ? 2 : 1;
    kill_at = ledger.count() + draw() % 200;
  }
  CHECK(ledger.count() == pushed());
  MESSAGE(std::string(is_guarded ? "guarded, " : "named, "),
          std::string(sender_dials ? "the sender dials: " : "the receiver dials: "), kills,
          " kills, ", writers[0].count() + writers[1].count(), " writers, ", ledger.count(),
          " messages, 0 lost, 0 repeated, 0 of another");
  std::remove((here.directory.path() + ".socket").c_str());
}

TEST_CASE("set to set: carriers killed at random, writers that come and go") {
  for (const bool is_guarded : {false, true}) {
    for (const bool sender_dials : {true, false}) run_campaign(is_guarded, sender_dials);
  }
}

}  // namespace
}  // namespace slipring::wire
