// One writer and two readers of a broadcast ring, and the ledger of what each reader must see.
//
// The ledger.  Message n stands at position start + n.  A reader sees every message from its place
// on, whole and in order, or is told exactly how many it lost; it loses none under block, and none
// that is still there.  What the writer had not been told is in may be missing: then its successor
// writes another message at that position.  What a dead reader had been handed and had not finished
// comes again, marked.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/cpu/cache_line.h"
#include "core/error/check.h"
#include "core/ring/broadcast_ring.h"
#include "tests/crash/ring/message.h"
#include "tests/crash/stepper/findings.h"

namespace slipring::crash {

enum class CastWay {
  kPush,
  kReserve,
  kAbort,
  kDrop,
  kFollow,
  kPop,
  kPeek,
  kCredit,
  kSkip,
  kJoin,
  kLeave,
  kAttach
};

[[nodiscard]] constexpr const char* name_of(CastWay way) {
  constexpr std::array kNames{"push",          "reserve, commit", "abort",
                              "drop reader",   "attach (writer)", "pop",
                              "peek, release", "publish credit",  "skip aborted",
                              "join",          "leave",           "attach (reader)"};
  return kNames[static_cast<std::size_t>(way)];
}
[[nodiscard]] constexpr bool is_writers(CastWay way) {
  return way <= CastWay::kFollow;
}

inline constexpr std::uint64_t kCastSlots = 4;
inline constexpr std::uint32_t kCastBytes = 40;
inline constexpr std::uint64_t kCastLag = 3;

struct CastStart {
  std::uint64_t start;
  std::uint64_t warm;  // messages that all have seen
  std::uint64_t fill;  // messages that reader 1 has seen, and reader 0 has not
};

struct CastTold {
  Reception reception;
  Transfer transfer;
  std::uint64_t position;
  std::uint64_t lost;
  std::atomic<std::uint64_t> count;     // pushed, or handed out
  std::atomic<std::uint64_t> finished;  // by a reader
  alignas(8) std::byte bytes[kCastBytes];
};

struct CastScene {
  // What outlives everybody.
  BroadcastWriterPage writer_page;
  BroadcastReaderPage pages[2];
  alignas(kAbiLineBytes) std::byte slots[kCastSlots * 64];
  CastTold told;

  std::optional<BroadcastWriter> writer;
  std::optional<BroadcastReader> readers[2];
  BroadcastGeometry geometry;
  std::uint64_t committed;
  std::uint64_t attempted;
  std::uint64_t next[2];        // by reader
  std::uint64_t followed_from;  // messages from here on are the successor's
  std::uint64_t fence;          // what lies below is aborted
  std::uint64_t dead_next;      // next, when reader 0 died
  bool reader_is_dead;

  [[nodiscard]] std::span<const std::byte> image() const {
    const auto* begin = reinterpret_cast<const std::byte*>(this);
    return {begin, reinterpret_cast<const std::byte*>(&writer)};
  }
  [[nodiscard]] BroadcastPolicy policy() const { return geometry.policy; }
  [[nodiscard]] Result<BroadcastWriter> attach_writer() {
    const std::array<const BroadcastReaderPage*, 2> all{&pages[0], &pages[1]};
    return BroadcastWriter::attach(writer_page, slots, all, geometry);
  }
  [[nodiscard]] Result<BroadcastReader> attach_reader(std::uint32_t i) {
    return BroadcastReader::attach(pages[i], writer_page, slots, i, geometry);
  }
};

class CastJudge {
 public:
  CastJudge(CastScene& scene, Findings& findings) : scene_(scene), findings_(findings) {}

  void begin(BroadcastPolicy policy, const CastStart& start) {
    scene_.geometry = {kCastSlots, kCastBytes, start.start,
                       2,          policy,     policy == BroadcastPolicy::kEvict ? kCastLag : 0};
    scene_.followed_from = UINT64_MAX;
    scene_.writer.emplace(scene_.attach_writer().value());
    for (std::uint32_t i = 0; i < 2; ++i) {
      scene_.readers[i].emplace(scene_.attach_reader(i).value());
      check(scene_.readers[i]->join(BroadcastJoin::kNewest).ok(), "a reader joins");
    }
    for (std::uint64_t i = 0; i < start.warm; ++i) {
      check(push() == Transfer::kDone, "the start of an experiment");
      read(0);
      read(1);
    }
    for (std::uint64_t i = 0; i < start.fill; ++i) {
      check(push() == Transfer::kDone, "the start of an experiment");
      read(1);
    }
  }
  void prepare(CastWay way) {
    scene_.told.transfer = Transfer::kCorruptPeer;
    scene_.told.reception = Reception::kCorruptPeer;
    if (way == CastWay::kPush || way == CastWay::kReserve) {
      scene_.attempted = 1;
      write_message(scene_.told.bytes, scene_.committed);
    }
    if (way == CastWay::kAbort) scene_.fence = scene_.committed;
    if (way == CastWay::kSkip) {
      scene_.writer->abort_published();
      scene_.fence = scene_.committed;
    }
    if (way == CastWay::kJoin) {
      scene_.readers[0]->leave();
      scene_.readers[0].emplace(scene_.attach_reader(0).value());
    }
  }
  // Messages that the writer brings in while nobody else moves, up to `most`.
  std::uint64_t push_some(std::uint64_t most) {
    std::uint64_t count = 0;
    while (count < most && push() == Transfer::kDone) ++count;
    return count;
  }

  // The writer is dead, or stands still: readers see what is committed.
  void readers_work(bool reader_0) {
    if (reader_0) read(0);
    read(1);
    findings_.expect(scene_.next[1] >= scene_.committed, Oracle::kProgress,
                     "a reader does not get what is committed");
  }
  void follow_writer() {
    auto successor = scene_.attach_writer();
    if (!successor) return findings_.add(Oracle::kOutcome, "no successor can write");
    acknowledge();
    scene_.writer.emplace(successor.value());
    const std::uint64_t at = scene_.writer->position() - scene_.geometry.start_position;
    findings_.expect(at >= scene_.committed, Oracle::kLost, "the successor forgets a message");
    findings_.expect(at <= scene_.committed + scene_.attempted, Oracle::kTorn,
                     "the successor believes in a message that nobody wrote");
    findings_.expect(at >= scene_.next[0] && at >= scene_.next[1], Oracle::kOrder,
                     "the successor writes again what was read");
    scene_.committed = at;
    scene_.attempted = 0;
    scene_.followed_from = at;
  }
  // Everybody works for some laps.
  void laps() {
    for (std::uint64_t i = 0; i < 3 * kCastSlots; ++i) {
      findings_.expect(push() == Transfer::kDone, Oracle::kProgress, "the writer cannot go on");
      if (i % 2 == 0) read(0);
      read(1);
    }
    read(0);
    for (const std::uint64_t next : scene_.next) {
      findings_.expect(next == scene_.committed, Oracle::kLost, "a reader misses the end");
    }
  }
  // What the stepped push was told is in.
  void acknowledge() {
    const std::uint64_t count = scene_.told.count.load(std::memory_order_relaxed);
    scene_.committed += count;
    scene_.attempted -= count;
    scene_.told.count.store(0, std::memory_order_relaxed);
  }
  void settle_writer(bool may_block) {
    const Transfer answer = scene_.told.transfer;
    findings_.expect(answer == Transfer::kDone || (answer == Transfer::kBlocked && may_block),
                     Oracle::kOutcome, "a push with room is refused");
    acknowledge();
    scene_.attempted = 0;
  }

  // Reader 0 is dead: a successor takes its place, or it is dropped and somebody joins later.
  void follow_reader(CastWay died_in, bool is_dropped) {
    scene_.reader_is_dead = true;
    scene_.dead_next = scene_.next[0];
    if (is_dropped) {
      scene_.writer->drop_reader(0);
      for (std::uint64_t i = 0; i < 2 * kCastSlots; ++i) {
        findings_.expect(push() == Transfer::kDone, Oracle::kProgress,
                         "a dropped reader holds the writer up");
        read(1);
      }
    }
    auto successor = scene_.attach_reader(0);
    if (!successor) return findings_.add(Oracle::kOutcome, "no successor can read");
    scene_.readers[0].emplace(successor.value());
    const bool is_new = died_in == CastWay::kJoin || died_in == CastWay::kLeave;
    if (is_new || !scene_.readers[0]->is_member()) begin_anew();
  }
  // Reader 0 begins where its end says, joining if it has to: within the last lap.
  void begin_anew() {
    BroadcastReader& reader = *scene_.readers[0];
    if (!reader.is_member()) {
      findings_.expect(reader.join(BroadcastJoin::kOldest).ok(), Oracle::kOutcome, "no join");
    }
    scene_.next[0] = reader.position() - scene_.geometry.start_position;
    findings_.expect(scene_.next[0] <= scene_.committed + scene_.attempted, Oracle::kTorn,
                     "a reader begins beyond what is there");
  }
  // Reader 0 has gone on after a stop.
  void settle_reader(CastWay way, bool others_worked) {
    const Reception answer = scene_.told.reception;
    const bool had_message = scene_.committed != scene_.next[0];
    findings_.expect(answer == Reception::kDone ||
                         (answer == Reception::kBlocked && (!had_message || others_worked)) ||
                         (answer == Reception::kEvicted && others_worked &&
                          scene_.policy() == BroadcastPolicy::kEvict),
                     Oracle::kOutcome, "an answer that no moment explains");
    if (way == CastWay::kJoin || way == CastWay::kLeave || way == CastWay::kAttach) {
      begin_anew();
    }
    if (way == CastWay::kSkip && answer == Reception::kDone) scene_.next[0] = scene_.fence;
    if (scene_.told.finished.load(std::memory_order_relaxed) == 0) {
      // What was overwritten between the look and the copy is known to be lost.
      const bool was_overtaken = way == CastWay::kPeek && answer == Reception::kDone;
      findings_.expect(!was_overtaken || scene_.policy() != BroadcastPolicy::kBlock, Oracle::kLost,
                       "overwritten under block");
      if (was_overtaken) {
        scene_.next[0] = scene_.told.position + 1 - scene_.geometry.start_position;
      }
      return;
    }
    accept(0, scene_.told.bytes, scene_.told.position, scene_.told.lost, true);
  }

 private:
  Transfer push() {
    std::array<std::byte, kCastBytes> bytes;
    write_message(bytes, number_at(scene_.committed));
    const Transfer answer = scene_.writer->try_push(bytes);
    if (answer == Transfer::kCorruptPeer) findings_.add(Oracle::kOutcome, "a corrupt reader");
    if (answer == Transfer::kDone) ++scene_.committed;
    return answer;
  }
  // A reader takes all there is.
  void read(std::uint32_t i) {
    for (std::uint64_t turn = 0; turn < 8 * kCastSlots; ++turn) {
      std::array<std::byte, kCastBytes> bytes;
      BroadcastView view;
      const Reception answer = scene_.readers[i]->try_pop(bytes, view);
      if (answer == Reception::kBlocked) return;
      if (answer == Reception::kCorruptPeer) {
        return findings_.add(Oracle::kOutcome, "a reader finds the ring corrupt");
      }
      if (answer == Reception::kEvicted) {
        findings_.expect(scene_.policy() == BroadcastPolicy::kEvict || was_dropped(i),
                         Oracle::kOutcome, "put out without a reason");
        if (!scene_.readers[i]->join(BroadcastJoin::kOldest).ok()) {
          return findings_.add(Oracle::kOutcome, "one that was put out cannot join again");
        }
        continue;
      }
      accept(i, bytes, view.position, view.lost, view.redelivered);
    }
    findings_.add(Oracle::kRepeated, "messages do not end");
  }
  [[nodiscard]] bool was_dropped(std::uint32_t i) const { return i == 0; }

  // The writer's, or its successor's, which says other words.
  [[nodiscard]] std::uint64_t number_at(std::uint64_t n) const {
    return n >= scene_.followed_from ? n + (1U << 20) : n;
  }

  void accept(std::uint32_t i, std::span<const std::byte> bytes, std::uint64_t position,
              std::uint64_t lost, bool is_marked) {
    const std::uint64_t n = position - scene_.geometry.start_position;
    std::uint64_t wanted = scene_.next[i];
    // What a dead reader had finished, or had in hand whole, does not come again.
    if (i == 0 && scene_.reader_is_dead && n == wanted + 1 + lost && the_dead_has(wanted)) ++wanted;
    const bool was_skipped = i == 0 && wanted < scene_.fence && n == scene_.fence + lost;
    if (n != wanted + lost && was_skipped) wanted = scene_.fence;
    if (n != wanted + lost) {
      findings_.add(n < wanted ? Oracle::kRepeated : Oracle::kLost,
                    "not the next, and not counted");
    }
    if (lost != 0) {
      const std::uint64_t published = scene_.committed + scene_.attempted;
      findings_.expect(scene_.policy() != BroadcastPolicy::kBlock || was_dropped(i), Oracle::kLost,
                       "lost under block");
      findings_.expect(published - wanted >= kCastSlots || was_dropped(i), Oracle::kLost,
                       "lost while it was there");
    }
    findings_.expect(n < scene_.committed + scene_.attempted, Oracle::kTorn,
                     "a message that nobody wrote");
    findings_.expect(is_message(bytes, number_at(n)), Oracle::kTorn, "bytes of another message");
    if (i == 0 && scene_.reader_is_dead && n == scene_.dead_next && lost == 0) {
      findings_.expect(scene_.told.finished.load(std::memory_order_relaxed) == 0, Oracle::kRepeated,
                       "a finished message comes again");
      findings_.expect(is_marked || scene_.told.count.load(std::memory_order_relaxed) == 0,
                       Oracle::kRepeated, "a message comes again without its mark");
    }
    scene_.next[i] = n + 1;
  }
  [[nodiscard]] bool the_dead_has(std::uint64_t n) const {
    return n == scene_.dead_next && is_message(scene_.told.bytes, n);
  }

  CastScene& scene_;
  Findings& findings_;
};

}  // namespace slipring::crash
