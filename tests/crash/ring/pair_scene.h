// One producer and one consumer of a ring, and the ledger of what must come out of it.
//
// The ledger.  Messages are numbered as they are pushed.  `committed` counts those that the
// producer was told are in; the operation that is stepped may bring `attempted` more, from the
// first on.  `next` is the one that the consumer is owed.  A death excuses nothing but this:
//   the producer's   what it had not been told is in may be missing, from some message on
//   the consumer's   what it had not finished comes again, marked if it had been handed out; what
//                    does not come again, it had in its hands whole
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "tests/crash/ring/pair_kits.h"
#include "tests/crash/stepper/findings.h"

namespace slipring::crash {

// How an experiment begins.
struct PairStart {
  std::uint64_t start;     // where positions begin
  std::uint64_t warm = 0;  // messages that went through before
  std::uint64_t fill = 0;  // messages that wait; more than fit: full
  bool is_fenced = false;  // all that wait are no longer wanted
  bool is_held = false;    // all that wait are held by the consumer
};

// What one who is stepped has been told, and what it pushes, or made of what it popped.
struct Hand {
  Told told;
  Box box;
};

// Plain bytes; see Stage.
template <typename Kit>
struct PairScene {
  // What outlives everybody, first: the shared memory, and what the stepped ones have in hand.
  typename Kit::Memory memory;
  Hand pushing;
  Hand popping;

  std::optional<typename Kit::Producer> producer;
  std::optional<typename Kit::Consumer> consumer;
  typename Kit::Held held;
  std::uint64_t start;
  std::uint64_t committed;
  std::uint64_t attempted;
  std::uint64_t next;
  std::uint64_t jump;           // the number that a successor goes on with; 0: none
  std::uint64_t fence;          // all below may be skipped, together
  std::uint64_t marked_before;  // all below must be marked when they come
  std::uint64_t base;           // next, when the consumer that died began
  bool consumer_is_dead;
  Hand heard;  // what a signal handler does at the other end

  [[nodiscard]] std::span<const std::byte> image() const {
    const auto* begin = reinterpret_cast<const std::byte*>(this);
    return {begin, reinterpret_cast<const std::byte*>(&producer)};
  }
};

inline constexpr std::uint64_t kSuccessorNumber = 1U << 20;

// Everything that the parent does with a scene.
template <typename Kit>
class PairJudge {
 public:
  using Scene = PairScene<Kit>;
  PairJudge(Scene& scene, Findings& findings) : scene_(scene), findings_(findings) {}

  void begin(const PairStart& start) {
    scene_.start = start.start;
    scene_.producer.emplace(Kit::producer(scene_.memory, start.start).value());
    scene_.consumer.emplace(Kit::consumer(scene_.memory, start.start).value());
    for (std::uint64_t i = 0; i < start.warm; ++i) {
      require(push_one());
      require(take_one() == Transfer::kDone);
    }
    for (std::uint64_t i = 0; i < start.fill && push_one(); ++i) {
    }
    if (start.is_fenced) {
      Hand hand{};
      Kit::push(*scene_.producer, ProducerWay::kAbort, hand.box, 0, hand.told);
      scene_.fence = scene_.committed;
    }
    if (!start.is_held) return;
    scene_.popping.told.hand_out(Kit::hold(*scene_.consumer, scene_.held, scene_.popping.box));
  }
  // What the producer is about to do.
  void prepare(ProducerWay way) {
    scene_.attempted = way == ProducerWay::kBatch     ? Kit::kBatch
                       : way == ProducerWay::kPush    ? Kit::kOnce
                       : way == ProducerWay::kReserve ? 1
                                                      : 0;
    const std::uint64_t count = way == ProducerWay::kAbandon ? 1 : scene_.attempted;
    for (std::size_t i = 0; i < count; ++i) Kit::load(scene_.pushing.box, i, scene_.committed + i);
    if (way == ProducerWay::kAbort) scene_.fence = scene_.committed;
  }
  // What the consumer held is a dead predecessor's.
  void forget() {
    scene_.marked_before = scene_.next + scene_.popping.told.count.load(std::memory_order_relaxed);
    scene_.popping = {};
  }
  // How many messages the producer can bring in now, with the consumer at rest.
  std::uint64_t room() {
    std::uint64_t count = 0;
    while (push_one()) ++count;
    return count;
  }

  // The producer is dead where it stands, the consumer alive.  Its successor comes at once, or
  // after the consumer has seen all there is.
  void after_producer_death(bool successor_first) {
    if (!successor_first) drain();
    follow_producer();
    drain();
    laps();
    end();
  }
  void follow_producer() {
    auto successor = Kit::producer(scene_.memory, scene_.start);
    if (!successor) return findings_.add(Oracle::kOutcome, "no successor can produce");
    scene_.producer.emplace(successor.value());
    acknowledge();
    scene_.jump = kSuccessorNumber;
    fill();
  }
  // The consumer is dead where it stands, the producer alive.
  void after_consumer_death(bool producer_first) {
    if (producer_first) fill();
    follow_consumer();
    drain();
    laps();
    end();
  }
  void follow_consumer() {
    auto successor = Kit::consumer(scene_.memory, scene_.start);
    if (!successor) return findings_.add(Oracle::kOutcome, "no successor can consume");
    scene_.consumer.emplace(successor.value());
    scene_.consumer_is_dead = true;
    scene_.base = scene_.next;
    const std::uint64_t handed = scene_.popping.told.count.load(std::memory_order_relaxed);
    if (scene_.marked_before < scene_.next + handed) scene_.marked_before = scene_.next + handed;
  }

  // The producer stands still: all that is committed comes.
  void consume_meanwhile() {
    drain();
    findings_.expect(scene_.next >= scene_.committed || scene_.next >= scene_.fence,
                     Oracle::kProgress, "a stopped producer keeps back what is committed");
    drain();
  }
  // … and has gone on to its end.
  void settle_producer(bool may_be_full) {
    const Transfer answer = scene_.pushing.told.answer;
    findings_.expect(answer == Transfer::kDone || (answer == Transfer::kBlocked && may_be_full),
                     Oracle::kOutcome, "a push with room is refused");
    acknowledge();
  }
  // The consumer stands still: all the room there was can be filled.
  void produce_meanwhile(std::uint64_t room) {
    findings_.expect(fill() >= room, Oracle::kProgress, "a stopped consumer keeps room back");
  }
  void settle_consumer(bool may_be_empty) {
    const Transfer answer = scene_.popping.told.answer;
    findings_.expect(answer == Transfer::kDone || (answer == Transfer::kBlocked && may_be_empty),
                     Oracle::kOutcome, "a pop with messages finds none");
    accept_all(scene_.popping);
  }
  // What the signal handler popped or pushed.
  void settle_handler(bool it_pops) {
    if (it_pops) return accept_all(scene_.heard);
    scene_.committed += scene_.heard.told.count.load(std::memory_order_relaxed);
  }
  // What was aborted can be skipped in one step.
  void skip() {
    Hand hand{};
    Kit::pop(*scene_.consumer, ConsumerWay::kSkip, hand.box, 0, hand.told);
    findings_.expect(scene_.next >= scene_.fence || hand.told.answer == Transfer::kDone,
                     Oracle::kOutcome, "what was aborted is not skipped");
  }

  // Both go on for some laps, and nothing is left over.
  void laps() {
    for (int lap = 0; lap < 3; ++lap) {
      drain();
      findings_.expect(fill() != 0, Oracle::kProgress, "an empty ring takes nothing");
    }
    drain();
  }
  void end() {
    skip_what_the_dead_had();
    if (scene_.next < scene_.fence) scene_.next = scene_.fence;
    findings_.expect(scene_.next >= scene_.committed, Oracle::kLost, "a committed message is gone");
    findings_.expect(scene_.jump == 0, Oracle::kLost, "what the successor pushed is gone");
    if constexpr (requires { Kit::is_whole(*scene_.producer); }) {
      findings_.expect(Kit::is_whole(*scene_.producer), Oracle::kLeak,
                       "a buffer does not come back");
    }
  }
  std::uint64_t fill() {
    std::uint64_t count = 0;
    while (count < kMostFill && push_one()) ++count;
    return count;
  }
  void drain() {
    for (std::uint64_t i = 0; i < kMostFill; ++i) {
      const Transfer answer = take_one();
      if (answer == Transfer::kBlocked) return;
      if (answer == Transfer::kDone) continue;
      return findings_.add(Oracle::kOutcome, "the consumer finds the ring corrupt");
    }
    findings_.add(Oracle::kRepeated, "messages do not end");
  }

 private:
  // More than fit into any of the rings.
  static constexpr std::uint64_t kMostFill = 64;

  static void require(bool holds) { check(holds, "the start of an experiment"); }

  // Pushes the next number.
  bool push_one() {
    const std::uint64_t number =
        scene_.jump != 0 ? scene_.jump + pushed_after_jump_ : scene_.committed;
    Hand hand{};
    Kit::load(hand.box, 0, number);
    Kit::push(*scene_.producer, ProducerWay::kPush, hand.box, 1, hand.told);
    if (hand.told.answer == Transfer::kCorruptPeer) {
      findings_.add(Oracle::kOutcome, "the producer finds the ring corrupt");
    }
    if (hand.told.answer != Transfer::kDone) return false;
    if (scene_.jump != 0) {
      ++pushed_after_jump_;
    } else {
      ++scene_.committed;
    }
    return true;
  }
  Transfer take_one() {
    return Kit::take(*scene_.consumer, [this](std::span<const std::byte> bytes, bool is_marked) {
      accept(bytes, is_marked);
    });
  }
  // What the stepped push was told is in.
  void acknowledge() {
    const std::uint64_t count = scene_.pushing.told.count.load(std::memory_order_relaxed);
    scene_.committed += count;
    scene_.attempted -= count;
    scene_.pushing.told.hand_out(0);
  }

  void accept_all(const Hand& hand) {
    const std::uint64_t count = hand.told.finished.load(std::memory_order_relaxed);
    for (std::size_t i = 0; i < count; ++i) accept(Kit::message(hand.box, i), true);
  }

  [[nodiscard]] bool is(std::span<const std::byte> bytes, std::uint64_t number) const {
    return bytes.size() == Kit::size_of(number) && is_message(bytes, number);
  }
  // Whether the dead consumer had the message, whole.
  [[nodiscard]] bool the_dead_has(std::uint64_t number) const {
    if (!scene_.consumer_is_dead || number - scene_.base >= kMostMessages) return false;
    return is(Kit::message(scene_.popping.box, number - scene_.base), number);
  }
  void skip_what_the_dead_had() {
    while (scene_.next < scene_.committed && the_dead_has(scene_.next)) ++scene_.next;
  }

  // A message comes out.
  void accept(std::span<const std::byte> bytes, bool is_marked) {
    const std::uint64_t wanted = scene_.next;
    if (!is(bytes, scene_.next)) {
      // What may have been left out, and nothing else.
      while (the_dead_has(scene_.next) && !is(bytes, scene_.next)) ++scene_.next;
      if (!is(bytes, scene_.next) && scene_.fence > scene_.next && is(bytes, scene_.fence)) {
        scene_.next = scene_.fence;
      }
      const bool may_jump = scene_.jump != 0 && scene_.next >= scene_.committed;
      if (!is(bytes, scene_.next) && may_jump && is(bytes, scene_.jump)) {
        scene_.next = scene_.jump;
        scene_.committed = scene_.jump + pushed_after_jump_;
        scene_.attempted = 0;
        scene_.jump = 0;
      }
    }
    if (!is(bytes, scene_.next)) return diagnose(bytes, wanted);
    const std::uint64_t finished = scene_.popping.told.finished.load(std::memory_order_relaxed);
    if (scene_.consumer_is_dead && scene_.next < scene_.base + finished) {
      findings_.add(Oracle::kRepeated, "a finished message comes again");
    }
    findings_.expect(is_marked || scene_.next >= scene_.marked_before, Oracle::kRepeated,
                     "a message comes again without its mark");
    findings_.expect(scene_.next < scene_.committed + scene_.attempted, Oracle::kTorn,
                     "a message that nobody pushed");
    ++scene_.next;
  }
  void diagnose(std::span<const std::byte> bytes, std::uint64_t wanted) {
    scene_.next = wanted;
    for (std::uint64_t i = 1; i <= 2 * kMostMessages; ++i) {
      if (i <= wanted && is(bytes, wanted - i)) {
        if (wanted - i == left_out_) return findings_.add(Oracle::kOrder, "one overtakes another");
        return findings_.add(Oracle::kRepeated, "a message comes twice");
      }
      if (is(bytes, wanted + i)) {
        left_out_ = wanted;
        scene_.next = wanted + i + 1;
        return findings_.add(Oracle::kLost, "a message is left out");
      }
    }
    ++scene_.next;
    findings_.add(Oracle::kTorn, "bytes that are no message");
  }

  Scene& scene_;
  Findings& findings_;
  std::uint64_t pushed_after_jump_ = 0;
  std::uint64_t left_out_ = UINT64_MAX;
};

}  // namespace slipring::crash
