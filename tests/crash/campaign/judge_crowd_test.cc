// The judgement over a crowd, on journals written by hand: what the ring promises about the
// messages of a dead consumer is allowed, and what differs from it by one message is not.

#include "tests/crash/campaign/judge.h"

#include <doctest/doctest.h>

#include <initializer_list>
#include <memory>

namespace slipring::campaign {
namespace {

// One producer, which sent enough; one consumer, life after life.
class Journal {
 public:
  Journal() : stage_(new Stage()) {
    context_.stage = stage_.get();
    context_.tally = &tally_;
    context_.sayings = &sayings_;
    ProducerBook& book = stage_->producers[0];
    book.begin_life();
    book.lives[0].attempted.set(32);
  }

  Journal& life() {
    stage_->consumers[0].begin_life();
    return *this;
  }
  // A call that took these, logged, and did not finish them.
  Journal& takes(std::initializer_list<std::uint32_t> ids) { return log(ids, 0); }
  Journal& takes_again(std::initializer_list<std::uint32_t> ids) { return log(ids, kMarked); }
  // The life ends in a call for so many more, which finishes what was taken before.
  Journal& dies_taking(std::uint32_t count) {
    Taker taker(stage_->consumers[0]);
    taker.about_to_take(count);
    taker.about_to_finish(taker.end());
    return *this;
  }

  // The last life finishes what it has, and leaves.
  Journal& leaves() { return takes({}); }

  [[nodiscard]] std::uint64_t count_of(Wrong wrong) {
    if (!is_judged_) judge_crowd(context_, 1, 1);
    is_judged_ = true;
    return tally_.wrong[static_cast<std::uint32_t>(wrong)];
  }
  [[nodiscard]] bool is_allowed() {
    std::uint64_t count = 0;
    for (std::uint32_t i = 0; i < kWrongCount; ++i) count += count_of(static_cast<Wrong>(i));
    return count == 0;
  }

 private:
  Journal& log(std::initializer_list<std::uint32_t> ids, std::uint8_t flags) {
    Taker taker(stage_->consumers[0]);
    if (flags == 0) {
      taker.about_to_finish(taker.end());
      taker.finished(taker.end());
    }
    for (const std::uint32_t id : ids) {
      LogEntry entry{};
      entry.id = id;
      entry.flags = flags;
      taker.log(entry);
    }
    taker.took(0);
    return *this;
  }

  std::unique_ptr<Stage> stage_;
  Tally tally_{};
  Sayings sayings_{};
  Context context_;
  bool is_judged_ = false;
};

TEST_CASE("crowd: what was logged and not finished comes again, whole and in order") {
  CHECK(Journal().life().takes({0, 1}).life().takes_again({0, 1}).takes({2}).leaves().is_allowed());
  // In two calls, between which somebody dies.
  CHECK(Journal()
            .life()
            .takes({0, 1})
            .life()
            .takes_again({0})
            .dies_taking(4)
            .life()
            .takes_again({0})
            .takes_again({1})
            .leaves()
            .is_allowed());
  CHECK(Journal().life().takes({0, 1}).life().takes_again({0}).takes({2}).leaves().count_of(
            Wrong::kLost) == 1);
  CHECK(Journal().life().takes({0, 1}).life().takes({2}).leaves().count_of(Wrong::kLost) == 1);
  CHECK(Journal().life().takes({0, 1}).life().takes_again({1, 0}).leaves().count_of(
            Wrong::kDuplicated) != 0);
  CHECK(Journal().life().takes({0}).takes({1}).life().takes_again({0}).leaves().count_of(
            Wrong::kDuplicated) == 1);
  CHECK(Journal().life().takes({0}).life().takes({0}).leaves().count_of(Wrong::kDuplicated) == 1);
}

TEST_CASE("crowd: part of it came again, so that all of it was held") {
  Journal journal;
  journal.life().takes({0, 1}).dies_taking(4);
  journal.life().takes_again({0}).dies_taking(4);
  journal.life().takes({2}).leaves();
  CHECK(journal.count_of(Wrong::kLost) == 1);
}

TEST_CASE("crowd: a dying call's messages come in the place of those that it finished") {
  CHECK(Journal()
            .life()
            .takes({0, 1})
            .dies_taking(4)
            .life()
            .takes_again({2, 3})
            .leaves()
            .is_allowed());
  CHECK(Journal()
            .life()
            .takes({0, 1})
            .dies_taking(4)
            .life()
            .takes_again({0, 1})
            .leaves()
            .is_allowed());
  CHECK(Journal().life().takes({0, 1}).dies_taking(4).life().takes({2}).leaves().is_allowed());
  // More than the call had asked for.
  CHECK(Journal().life().takes({0}).dies_taking(1).life().takes_again({1, 2}).leaves().count_of(
            Wrong::kMark) == 1);
  // A call that never was.
  CHECK(Journal().life().takes({0}).life().takes_again({1}).leaves().count_of(Wrong::kMark) == 1);
}

// The second one dies with fewer of them logged than the first had logged of the batch before.
TEST_CASE("crowd: two die in a row, and the third is given what the second was") {
  Journal allowed;
  allowed.life().takes({0, 1}).dies_taking(4);
  allowed.life().takes_again({2}).dies_taking(1);
  allowed.life().takes_again({2}).takes_again({3, 4}).takes({5}).leaves();
  CHECK(allowed.is_allowed());

  Journal forgotten;  // by the third
  forgotten.life().takes({0, 1}).dies_taking(4);
  forgotten.life().takes_again({2});
  forgotten.life().takes({3}).leaves();
  CHECK(forgotten.count_of(Wrong::kLost) == 1);

  Journal overtaken;
  overtaken.life().takes({0, 1}).dies_taking(4);
  overtaken.life().takes_again({2});
  overtaken.life().takes_again({3}).leaves();
  CHECK(overtaken.count_of(Wrong::kLost) == 1);

  Journal older;  // finished: a batch behind it had come
  older.life().takes({0, 1}).dies_taking(4);
  older.life().takes_again({2}).dies_taking(1);
  older.life().takes_again({0, 1}).leaves();
  CHECK(older.count_of(Wrong::kDuplicated) == 2);

  Journal mixed;
  mixed.life().takes({0, 1}).dies_taking(4);
  mixed.life().takes_again({2, 0}).leaves();
  CHECK(mixed.count_of(Wrong::kDuplicated) == 1);

  Journal more;  // than the dying calls had asked for, together with what was logged
  more.life().takes({0, 1}).dies_taking(2);
  more.life().takes_again({2});
  more.life().takes_again({2, 3, 4}).leaves();
  CHECK(more.count_of(Wrong::kMark) == 1);
}

}  // namespace
}  // namespace slipring::campaign
