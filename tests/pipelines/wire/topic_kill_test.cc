// The processes that carry a topic are killed at random while it goes on: every far reader counts
// what it did not get, to the message.
#include <doctest/doctest.h>
#include <sched.h>

#include <random>
#include <string>

#include "platform/memory/segment_file.h"
#include "platform/wait/clock.h"
#include "tests/pipelines/wire/topic_exchange.h"
#include "tests/pipelines/wire/wire_process.h"

namespace slipring::wire {
namespace {

constexpr std::uint64_t kPatienceNs = 60'000'000'000;

struct TopicKills {
  std::uint64_t seed = 1;
  std::uint64_t kill_count = 40;
  BroadcastShape here;
  BroadcastShape there;
  LinkSide dials = LinkSide::kSender;
  bool forgets = false;  // planted: the receiver's ledger is thrown away with each of its deaths
};

struct TopicKillReport {
  std::uint64_t kills = 0;
  std::uint64_t published = 0;
  std::uint64_t lost = 0;
  std::string fault;
};

class KilledTopic {
 public:
  explicit KilledTopic(const TopicKills& options)
      : options_(options),
        here_(here_room_.open()),
        there_(there_room_.open()),
        address_("unix://" + here_room_.path() + ".socket"),
        sender_({here_room_.path(), address_, kLink, LinkSide::kSender, !sender_dials()}),
        receiver_({there_room_.path(), address_, kLink, LinkSide::kReceiver, sender_dials()}) {
    REQUIRE(create_broadcast(here_, kLink, options.here).ok());
    REQUIRE(create_broadcast(there_, kLink, options.there).ok());
    writer_.emplace(must(BroadcastSender::attach(here_, kLink)));
    one_.emplace(there_, kLink, 0);
  }
  ~KilledTopic() { std::remove((here_room_.path() + ".socket").c_str()); }

  TopicKillReport run() {
    until_ns_ = deadline_after(kPatienceNs);
    receiver_.start();
    sender_.start();
    // It begins with the present: the present is where nothing was published yet.
    for (published_ = 0; one_->received() == 0 && report_.fault.empty();) turn(true);
    std::mt19937_64 draw(options_.seed);
    while (report_.kills < options_.kill_count && report_.fault.empty()) {
      const std::uint64_t until = published_ + draw() % 300;
      while (published_ < until && report_.fault.empty()) turn(false);
      kill(draw() % 3);
    }
    writer_->close();
    while (report_.fault.empty() && !one_->reader().is_finished()) {
      report_.fault = one_->read();
      check_time();
    }
    if (report_.fault.empty()) report_.fault = one_->judge(published_);
    report_.published = published_;
    report_.lost = one_->lost();
    return report_;
  }

 private:
  [[nodiscard]] bool sender_dials() const { return options_.dials == LinkSide::kSender; }
  // One message at first, until it is known that somebody subscribes.
  void turn(bool is_first) {
    bool is_blocked = false;
    if (!is_first || (published_ == 0 && writer_->count_members() != 0)) {
      const std::string text = numbered(published_, 8 + published_ % 13);
      if (writer_->try_send(std::as_bytes(std::span(text))) == Transfer::kDone) {
        ++published_;
      } else {
        is_blocked = true;
        // Of the killed it is known.
        static_cast<void>(writer_->drop_dead_readers());
      }
    }
    // Now and then; and whenever somebody waits.
    if (is_first || is_blocked || published_ % 3 == 0) report_.fault = one_->read();
    if (published_ % 16 == 0 || is_first) sched_yield();
    check_time();
  }
  void check_time() {
    if (report_.fault.empty() && monotonic_ns() > until_ns_) report_.fault = "no progress";
    if (!report_.fault.empty()) {
      report_.fault += ", after " + std::to_string(published_) + " messages and " +
                       std::to_string(report_.kills) + " kills, seed " +
                       std::to_string(options_.seed);
    }
  }
  void kill(std::uint64_t who) {
    if (who != 0) receiver_.kill_now();
    if (who != 1) sender_.kill_now();
    if (who != 0 && options_.forgets) {
      static_cast<void>(remove_segment(there_, std::string(kLink) + ".wire-in"));
    }
    if (who != 0) receiver_.start();
    if (who != 1) sender_.start();
    report_.kills += who == 2 ? 2 : 1;
  }

  TopicKills options_;
  Directory here_room_;
  Directory there_room_;
  SegmentDirectory here_;
  SegmentDirectory there_;
  std::string address_;
  WireProcess sender_;
  WireProcess receiver_;
  std::optional<BroadcastSender> writer_;
  std::optional<Follower> one_;
  std::uint64_t published_ = 0;
  std::uint64_t until_ns_ = 0;
  TopicKillReport report_;
};

BroadcastShape topic(std::uint64_t slots, BroadcastPolicy policy) {
  return {slots, 24, 8, policy, policy == BroadcastPolicy::kEvict ? slots / 2 : 0};
}

TEST_CASE("topic kill: carriers killed at random, every loss is counted") {
  const BroadcastPolicy policies[][2] = {
      {BroadcastPolicy::kOverwrite, BroadcastPolicy::kOverwrite},
      {BroadcastPolicy::kBlock, BroadcastPolicy::kBlock},
      {BroadcastPolicy::kOverwrite, BroadcastPolicy::kBlock},
      {BroadcastPolicy::kEvict, BroadcastPolicy::kEvict},
  };
  TopicKillReport sum;
  std::uint64_t seed = 3;
  for (const auto& policy : policies) {
    for (const LinkSide dials : {LinkSide::kSender, LinkSide::kReceiver}) {
      TopicKills options;
      options.seed = ++seed;
      options.here = topic(64, policy[0]);
      options.there = topic(32, policy[1]);
      options.dials = dials;
      const TopicKillReport report = KilledTopic(options).run();
      CHECK_MESSAGE(report.fault.empty(), report.fault);
      sum.kills += report.kills;
      sum.published += report.published;
      sum.lost += report.lost;
    }
  }
  MESSAGE(sum.kills, " kills, ", sum.published, " published, ", sum.lost,
          " lost and counted, 0 otherwise");
  CHECK(sum.lost > 0);
}

TEST_CASE("topic kill, planted: a receiver whose ledger dies with it is seen to miscount") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    TopicKills options;
    options.seed = seed;
    options.here = topic(64, BroadcastPolicy::kOverwrite);
    options.there = topic(512, BroadcastPolicy::kOverwrite);
    options.forgets = true;
    const TopicKillReport report = KilledTopic(options).run();
    if (report.fault.empty()) continue;
    MESSAGE("planted: ", report.fault);
    CHECK(report.fault.find("no progress") == std::string::npos);
    return;
  }
  FAIL("not seen in 20 runs");
}

}  // namespace
}  // namespace slipring::wire
