// The broadcast ring as scenes: a writer and readers that go through scripts.
//
// The message at position p has two words, both made from p, so that a torn one shows.  Each
// reader's ghost knows the position that it is owed next: what comes is that, or later by exactly
// the number of messages said to be lost; under kBlock nothing is lost.  In the end the living
// readers take what is left, and must come to where the writer is.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/ring/broadcast_ring.h"
#include "tests/model/explorer.h"
#include "tests/model/model_atomics.h"

namespace slipring::model {

enum class ReadStep : std::uint8_t {
  kJoinNewest,
  kJoinOldest,
  kPop,
  kPopWaiting,  // until there is a message
  kPeek,        // looks at it in place, and releases it
  kCopy,        // peeks, copies it out, and releases it
  kSkip,        // what is aborted
  kLeave,
};
enum class WriteStep : std::uint8_t {
  kPush,
  kPushWaiting,  // until there is room
  kReserve,      // fills it in place
  kAbort,
  kDrop,      // reader 0
  kPassOver,  // one position
};

struct BroadcastBounds {
  BroadcastPolicy policy = BroadcastPolicy::kOverwrite;
  std::vector<WriteStep> writes;
  std::vector<std::vector<ReadStep>> reads;  // one a reader
  bool are_members = true;                   // readers have joined before all begins
  std::uint64_t start_position = 0;
  std::uint64_t lag_limit = 2;
  bool has_heirs = false;
};

class BroadcastPlay : public Play {
 public:
  using Writer = BasicBroadcastWriter<ModelAtomics>;
  using Reader = BasicBroadcastReader<ModelAtomics>;

  BroadcastPlay(Run& run, const BroadcastBounds& bounds)
      : run_(run),
        bounds_(bounds),
        geometry_{2, 16, bounds.start_position, reader_count(), bounds.policy, bounds.lag_limit} {
    page_ = run.place<BroadcastWriterPage>();
    slots_ = run.place<std::byte>(broadcast_slots_bytes(geometry_));
    for (std::uint32_t i = 0; i < reader_count(); ++i) {
      pages_[i] = run.place<BroadcastReaderPage>();
    }
    writer_.emplace(attach_writer().value());
    for (std::uint32_t i = 0; i < reader_count(); ++i) {
      Person& one = people_[i];
      one.reader.emplace(attach_reader(i).value());
      if (bounds.are_members) join(one, BroadcastJoin::kNewest);
    }
    writer_fibre_ = run.fibre([this] { write_all(); });
    writer_heir_ = writer_fibre_;
    if (bounds.has_heirs) writer_heir_ = run.successor(writer_fibre_, [this] { inherit_writer(); });
    for (std::uint32_t i = 0; i < reader_count(); ++i) {
      Person& one = people_[i];
      one.heir = one.fibre = run.fibre([this, i] { read_all(people_[i], i); });
      if (bounds.has_heirs) one.heir = run.successor(one.fibre, [this, i] { inherit_reader(i); });
    }
  }

  void settle(Run&) override {
    run_.require(ModelAtomics::load(page_->abort_before, std::memory_order_relaxed) == aborted_,
                 "an abort is not shown");
    const bool has_writer = !run_.has_died(writer_fibre_) || !run_.has_died(writer_heir_);
    for (std::uint32_t i = 0; i < reader_count(); ++i) {
      Person& one = people_[i];
      if (run_.has_died(one.heir) && run_.has_died(one.fibre)) continue;
      run_.require(shows_itself(*pages_[i], *one.reader), "a reader's page is not as the reader");
      if (!one.reader->is_member()) continue;
      for (int k = 0; k < 8; ++k) {
        const Reception answer = pop(one);
        if (answer == Reception::kBlocked) break;
      }
      if (has_writer) {
        run_.require(one.reader->position() == writer_->position(), "a message never comes");
      }
    }
  }

  [[nodiscard]] std::uint64_t ghost() const override {
    std::uint64_t hash = mix(mix(mix(hash_of(*writer_), write_step_), aborted_), passed_);
    for (std::uint32_t i = 0; i < reader_count(); ++i) {
      const Person& one = people_[i];
      hash = mix(mix(hash_of(*one.reader, hash), one.step), one.owed);
      hash = mix(mix(mix(hash, one.taken), one.taken_before), one.finished);
      hash = mix(hash, one.was_dropped ? 1 : 0);
    }
    return hash;
  }
  [[nodiscard]] bool tells_all() const override { return true; }

 private:
  struct Person {
    std::optional<Reader> reader;
    std::size_t fibre = 0;
    std::size_t heir = 0;
    std::size_t step = 0;
    std::uint64_t owed = 0;   // the position that comes next
    std::uint64_t taken = 0;  // the end of what it was given, and of what predecessors were
    std::uint64_t taken_before = 0;
    std::uint64_t finished = 0;  // the end of what it has finished, for certain
    bool was_dropped = false;
  };

  [[nodiscard]] std::uint32_t reader_count() const {
    return static_cast<std::uint32_t>(bounds_.reads.size());
  }
  [[nodiscard]] Result<Writer> attach_writer() {
    return Writer::attach(*page_, slots_, std::span(const_pages()).first(reader_count()),
                          geometry_);
  }
  [[nodiscard]] const std::array<const BroadcastReaderPage*, 2>& const_pages() {
    for (std::size_t i = 0; i < pages_.size(); ++i) seen_pages_[i] = pages_[i];
    return seen_pages_;
  }
  [[nodiscard]] Result<Reader> attach_reader(std::uint32_t i) {
    return Reader::attach(*pages_[i], *page_, slots_, i, geometry_);
  }
  // What a successor and the writer go by.
  [[nodiscard]] static bool shows_itself(const BroadcastReaderPage& page, const Reader& reader) {
    const auto shown = [](const std::atomic<std::uint64_t>& word) {
      return ModelAtomics::load(word, std::memory_order_relaxed);
    };
    const bool is_in = broadcast_member(shown(page.joined)) == BroadcastMember::kIn;
    if (is_in != reader.is_member() || shown(page.lost) != reader.lost_count()) return false;
    return !is_in || (shown(page.done) == reader.done() && shown(page.taken) >= reader.position() &&
                      shown(page.credit) == reader.credit_given());
  }
  static std::array<std::uint64_t, 2> message_at(std::uint64_t position) {
    return {position * 2 + 1, ~position};
  }

  void write_all() {
    for (; write_step_ < bounds_.writes.size(); ++write_step_) {
      run_.at_rest(0);  // the ends and their steps are in ghost()
      Writer& end = *writer_;
      const auto message = message_at(end.position());
      const auto bytes = std::as_bytes(std::span(message));
      switch (bounds_.writes[write_step_]) {
        case WriteStep::kPush:
          check_pushed(end.try_push(bytes));
          break;
        case WriteStep::kPushWaiting:
          while (end.try_push(bytes) == Transfer::kBlocked) run_.wait_for_news();
          break;
        case WriteStep::kReserve: {
          std::span<std::byte> slot;
          const Transfer answer = end.try_reserve(slot);
          check_pushed(answer);
          if (answer != Transfer::kDone) break;
          ModelAtomics::copy_in(slot.data(), bytes.data(), bytes.size());
          end.commit();
          break;
        }
        case WriteStep::kAbort:
          end.abort_published();
          aborted_ = end.position();
          break;
        case WriteStep::kPassOver:
          // Noted before: a death may come behind it.
          passed_ |= bit_of(end.position());
          end.pass_over_to(end.position() + 1);
          break;
        case WriteStep::kDrop:
          people_[0].was_dropped = true;
          end.drop_reader(0);
          break;
      }
    }
  }
  [[nodiscard]] std::uint64_t bit_of(std::uint64_t position) const {
    return std::uint64_t{1} << (position - bounds_.start_position);
  }
  // How many were passed over from `from` to `end`.
  [[nodiscard]] std::uint64_t passed_in(std::uint64_t from, std::uint64_t end) const {
    std::uint64_t count = 0;
    for (std::uint64_t at = from; at < end; ++at) count += (passed_ & bit_of(at)) != 0 ? 1U : 0U;
    return count;
  }
  void check_pushed(Transfer answer) {
    run_.require(answer != Transfer::kCorruptPeer, "an honest reader is called corrupt");
    if (answer == Transfer::kBlocked) {
      run_.require(bounds_.policy == BroadcastPolicy::kBlock, "a writer waits without need");
    }
  }

  void join(Person& one, BroadcastJoin at) {
    const bool is_return = one.reader->is_member();
    const std::uint64_t lost_before = one.reader->lost_count();
    const std::uint64_t position_before = one.reader->position();
    run_.require(one.reader->join(at).ok(), "joining is refused");
    const std::uint64_t position = one.reader->position();
    if (is_return) {
      run_.require(position - position_before == one.reader->lost_count() - lost_before,
                   "what was lost is counted wrongly");
    }
    one.finished = position;
    if (!is_return) one.owed = position;  // otherwise the next message tells what was lost
  }
  // As far as one that is put out: it comes back, once.
  void read_all(Person& one, std::uint32_t i) {
    for (; one.step < bounds_.reads[i].size(); ++one.step) {
      run_.at_rest(0);
      switch (bounds_.reads[i][one.step]) {
        case ReadStep::kJoinNewest:  // unless it is in, as an heir
          if (!one.reader->is_member()) join(one, BroadcastJoin::kNewest);
          break;
        case ReadStep::kJoinOldest:
          if (!one.reader->is_member()) join(one, BroadcastJoin::kOldest);
          break;
        case ReadStep::kPop:
          static_cast<void>(pop(one));
          break;
        case ReadStep::kPopWaiting:
          while (pop(one) == Reception::kBlocked) run_.wait_for_news();
          break;
        case ReadStep::kPeek:
        case ReadStep::kCopy:
          peek(one, bounds_.reads[i][one.step]);
          break;
        case ReadStep::kSkip:
          skip(one);
          break;
        case ReadStep::kLeave:
          one.reader->leave();
          break;
      }
    }
  }
  // Whether there is a message, which then is the one that it must be.
  bool is_message(Person& one, Reception answer, const BroadcastView& view) {
    run_.require(answer != Reception::kCorruptPeer, "an honest writer is called corrupt");
    if (answer == Reception::kEvicted) {
      run_.require(bounds_.policy == BroadcastPolicy::kEvict || one.was_dropped,
                   "put out without need");
      join(one, BroadcastJoin::kOldest);
    }
    if (answer != Reception::kDone) return false;
    run_.require(view.position == one.owed + view.lost, "what was lost is counted wrongly");
    const bool is_promised = bounds_.policy == BroadcastPolicy::kBlock && !one.was_dropped;
    run_.require(!is_promised || view.lost == passed_in(one.owed, view.position),
                 "a message is lost");
    run_.require(passed_in(view.position, view.position + 1) == 0,
                 "what was passed over comes after all");
    run_.require(view.redelivered || view.position >= one.taken_before,
                 "what had been taken is not marked");
    one.owed = view.position + 1;
    if (one.taken < one.owed) one.taken = one.owed;
    return true;
  }
  Reception pop(Person& one) {
    std::array<std::uint64_t, 2> words{};
    BroadcastView view;
    const Reception answer = one.reader->try_pop(std::as_writable_bytes(std::span(words)), view);
    if (is_message(one, answer, view)) {
      run_.require(words == message_at(view.position), "a torn or another message");
      one.finished = one.owed;
    }
    return answer;
  }
  void peek(Person& one, ReadStep step) {
    std::array<std::uint64_t, 2> words{};
    BroadcastView view;
    if (!is_message(one, one.reader->try_peek(view), view)) return;
    const auto place = std::as_writable_bytes(std::span(words));
    bool is_there = view.is_stable;
    if (step == ReadStep::kPeek && view.is_stable) {
      ModelAtomics::copy_out(place.data(), view.message.data(), place.size());
    } else {
      is_there = one.reader->copy_out(view, place);
    }
    if (is_there) run_.require(words == message_at(view.position), "a torn or another message");
    one.reader->release(view);
    one.finished = one.owed;
  }

  // Who sees the fence sees what lies below it.
  void skip(Person& one) {
    const bool has_abort = one.reader->has_abort();
    const std::uint64_t skipped = one.reader->skip_aborted();
    run_.require(!has_abort || skipped != 0, "an abort is seen before what it aborts");
    one.owed += skipped;
    one.finished = one.owed;
  }

  // Of what the dead one read nothing is left.
  void inherit_writer() {
    run_.at_rest(0);
    auto end = attach_writer();
    run_.require(end.ok(), "a writer's heir is refused");
    writer_.emplace(end.value());
    write_all();
  }
  void inherit_reader(std::uint32_t i) {
    run_.at_rest(0);
    Person& one = people_[i];
    auto end = attach_reader(i);
    run_.require(end.ok(), "a reader's heir is refused");
    const bool was_member = end.value().is_member();
    one.reader.emplace(end.value());
    one.taken_before = one.taken;
    if (!was_member) join(one, BroadcastJoin::kNewest);
    // It may have died between finishing and knowing.
    const std::uint64_t position = one.reader->position();
    run_.require(!was_member || position - one.finished <= 1 + passed_in(one.finished, position),
                 "an heir begins somewhere else");
    one.owed = position;
    read_all(one, i);
  }

  Run& run_;
  BroadcastBounds bounds_;
  BroadcastGeometry geometry_;
  BroadcastWriterPage* page_ = nullptr;
  std::byte* slots_ = nullptr;
  std::array<BroadcastReaderPage*, 2> pages_{};
  std::array<const BroadcastReaderPage*, 2> seen_pages_{};
  std::optional<Writer> writer_;
  std::size_t writer_fibre_ = 0;
  std::size_t writer_heir_ = 0;
  std::size_t write_step_ = 0;
  std::uint64_t aborted_ = 0;
  std::uint64_t passed_ = 0;  // a bit for each position from the start that was passed over
  std::array<Person, 2> people_{};
};

}  // namespace slipring::model
