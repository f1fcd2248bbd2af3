// A participant stopped, or dead, at every single instruction of an operation.  The operation runs
// in a child that is stepped through it; whatever the shared memory looks like on the way, the
// others must go on, and nothing may be lost, repeated, or torn that is not reported as such.

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "core/ring/broadcast_ring.h"
#include "tests/core/ring/ring_memory.h"
#include "tests/crash/stepper/trace.h"

namespace slipring {
namespace {

constexpr std::uint64_t kStart = (std::uint64_t{1} << 32) - 6;
constexpr std::uint64_t kSlots = 4;
constexpr std::uint32_t kBytes = 40;

BroadcastGeometry shape(BroadcastPolicy policy) {
  return {kSlots, kBytes, kStart, 2, policy, policy == BroadcastPolicy::kEvict ? 2U : 0U};
}

// A whole ring, and what a child has to say about it.
struct Ring {
  BroadcastWriterPage writer;
  BroadcastReaderPage readers[2];
  alignas(kAbiLineBytes) std::byte slots[kSlots * 64];
  alignas(kAbiLineBytes) std::byte message[kBytes];
  std::uint64_t position;
  std::uint64_t lost;
  Reception answer;

  [[nodiscard]] BroadcastWriter take_writer(BroadcastPolicy policy) {
    const std::array<const BroadcastReaderPage*, 2> pages{&readers[0], &readers[1]};
    return BroadcastWriter::attach(writer, slots, pages, shape(policy)).value();
  }
  [[nodiscard]] BroadcastReader take_reader(std::uint32_t i, BroadcastPolicy policy) {
    return BroadcastReader::attach(readers[i], writer, slots, i, shape(policy)).value();
  }
};

struct Unmap {
  void operator()(Ring* ring) const { munmap(ring, sizeof(Ring)); }
};
using SharedRing = std::unique_ptr<Ring, Unmap>;

SharedRing new_ring() {
  void* memory =
      mmap(nullptr, sizeof(Ring), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  return SharedRing(static_cast<Ring*>(memory));
}

void copy_ring(Ring& to, const Ring& from) {
  std::memcpy(static_cast<void*>(&to), static_cast<const void*>(&from), sizeof(Ring));
}
bool is_same(const Ring& one, const Ring& other) {
  return std::memcmp(static_cast<const void*>(&one), static_cast<const void*>(&other),
                     offsetof(Ring, message)) == 0;
}

Transfer push(BroadcastWriter& writer) {
  std::array<std::byte, kBytes> message;
  write_pattern(message, writer.position());
  return writer.try_push(message);
}

// Steps a child through `operation` again and again, each time one instruction further, then calls
// `meanwhile`, lets the child finish and calls `after`.  `prepare` makes the ring anew.  Answers
// how many instructions there were.
template <typename Prepare, typename Operation, typename Meanwhile, typename After>
std::uint64_t stop_everywhere(Prepare prepare, Operation operation, Meanwhile meanwhile,
                              After after) {
  std::uint64_t total = 0;
  {
    prepare();
    for (crash::SteppedChild child(operation); child.is_inside(); child.advance()) ++total;
  }
  // Every instruction, of which there are some hundreds at most; a sanitizer makes more of them.
  const std::uint64_t stride = total / 600 + 1;
  for (std::uint64_t stop = 0; stop < total; stop += stride) {
    prepare();
    REQUIRE(crash::stop_after(stop, operation, meanwhile));
    CAPTURE(stop);
    after();
  }
  return total;
}

// Steps a child through `operation` once, and calls `look` with a copy of the ring whenever it has
// changed: the memory that a death there would leave.  Answers how many there were.
template <typename Operation, typename Look>
std::uint64_t die_everywhere(const Ring& ring, Operation operation, Look look) {
  SharedRing last = new_ring();
  SharedRing copy = new_ring();
  std::uint64_t count = 0;
  const auto look_if_changed = [&] {
    if (count != 0 && is_same(*last, ring)) return;
    copy_ring(*last, ring);
    copy_ring(*copy, ring);
    CAPTURE(count);
    look(*copy);
    ++count;
  };
  crash::SteppedChild child(operation);
  for (; child.is_inside(); child.advance()) look_if_changed();
  REQUIRE(child.is_over());
  look_if_changed();
  return count;
}

void pop_into(Ring& ring, BroadcastReader& reader) {
  BroadcastView view;
  ring.answer = reader.try_pop(ring.message, view);
  ring.position = view.position;
  ring.lost = view.lost;
}

TEST_CASE(
    "broadcast steps: a reader stopped anywhere while it is lapped reads a whole message, and "
    "counts (cloudtoid/interprocess #30: exactly k laps)") {
  std::uint64_t stop_count = 0;
  for (const std::uint64_t pushed :
       {std::uint64_t{1}, kSlots - 1, kSlots, kSlots + 1, 2 * kSlots, 4 * kSlots, 256 * kSlots}) {
    SharedRing ring = new_ring();
    BroadcastWriter* writer = nullptr;
    std::vector<BroadcastWriter> writers;
    std::vector<BroadcastReader> readers;
    std::uint64_t whole_count = 0;
    std::uint64_t lost_count = 0;
    stop_count += stop_everywhere(
        [&] {
          std::memset(static_cast<void*>(ring.get()), 0, sizeof(Ring));
          writers.assign(1, ring->take_writer(BroadcastPolicy::kOverwrite));
          readers.assign(1, ring->take_reader(0, BroadcastPolicy::kOverwrite));
          writer = &writers[0];
          REQUIRE(readers[0].join(BroadcastJoin::kNewest).ok());
          for (std::uint64_t i = 0; i < kSlots; ++i) REQUIRE(push(*writer) == Transfer::kDone);
        },
        [&] { pop_into(*ring, readers[0]); },
        [&] {
          for (std::uint64_t i = 0; i < pushed; ++i) REQUIRE(push(*writer) == Transfer::kDone);
        },
        [&] {
          REQUIRE(ring->answer == Reception::kDone);
          REQUIRE(has_pattern(ring->message, ring->position));
          REQUIRE(ring->position == kStart + ring->lost);
          // Either as before the stop, or as after it: nothing in between.
          const std::uint64_t oldest = kStart + pushed + 1 + kSlots / 8;
          REQUIRE((ring->lost == 0 || ring->position == oldest));
          REQUIRE(ring->readers[0].done.load() == ring->position + 1);
          ++(ring->lost == 0 ? whole_count : lost_count);
        });
    MESSAGE(pushed, " pushed meanwhile: ", whole_count, " stops without loss, ", lost_count,
            " with");
    CHECK(whole_count > 0);
    CHECK((lost_count > 0) == (pushed > 0));
  }
  MESSAGE(stop_count, " stops");
}

TEST_CASE("broadcast steps: a reader stopped anywhere in joining is promised what comes after") {
  for (const BroadcastJoin at : {BroadcastJoin::kNewest, BroadcastJoin::kOldest}) {
    for (const std::uint64_t before : {std::uint64_t{0}, std::uint64_t{2}, kSlots + 3}) {
      SharedRing ring = new_ring();
      std::vector<BroadcastWriter> writers;
      std::vector<BroadcastReader> readers;
      std::uint64_t promised_count = 0;
      const std::uint64_t stop_count = stop_everywhere(
          [&] {
            std::memset(static_cast<void*>(ring.get()), 0, sizeof(Ring));
            writers.assign(1, ring->take_writer(BroadcastPolicy::kBlock));
            readers.assign(1, ring->take_reader(0, BroadcastPolicy::kBlock));
            for (std::uint64_t i = 0; i < before; ++i) {
              REQUIRE(push(writers[0]) == Transfer::kDone);
            }
          },
          [&] { static_cast<void>(readers[0].join(at)); },
          [&] {
            for (std::uint64_t i = 0; i < 3 * kSlots; ++i) {
              REQUIRE(push(writers[0]) != Transfer::kCorruptPeer);
            }
          },
          [&] {
            BroadcastReader reader = ring->take_reader(0, BroadcastPolicy::kBlock);
            REQUIRE(reader.is_member());
            const std::uint64_t promised = ring->readers[0].credit.load();
            while (push(writers[0]) == Transfer::kDone) {
            }
            REQUIRE(writers[0].position() - promised <= kSlots);
            BroadcastView view;
            std::array<std::byte, kBytes> message;
            std::uint64_t next = reader.position();
            while (reader.try_pop(message, view) == Reception::kDone) {
              REQUIRE(view.position == next + view.lost);
              if (view.lost != 0) REQUIRE(view.position <= promised);
              REQUIRE(has_pattern(message, view.position));
              next = view.position + 1;
              promised_count += view.is_stable ? 1 : 0;
            }
            REQUIRE(next == writers[0].position());
            REQUIRE(reader.has_message() == false);
          });
      MESSAGE(stop_count, " stops, ", promised_count, " promised messages");
      CHECK(promised_count > 0);
    }
  }
}

TEST_CASE("broadcast steps: a writer dead anywhere in a message leaves no half of it") {
  for (const BroadcastPolicy policy :
       {BroadcastPolicy::kOverwrite, BroadcastPolicy::kBlock, BroadcastPolicy::kEvict}) {
    SharedRing ring = new_ring();
    BroadcastWriter writer = ring->take_writer(policy);
    BroadcastReader fast = ring->take_reader(0, policy);
    REQUIRE(fast.join(BroadcastJoin::kNewest).ok());
    std::array<std::byte, kBytes> message;
    BroadcastView view;
    for (std::uint64_t i = 0; i < kSlots; ++i) {
      if (i == 2) REQUIRE(ring->take_reader(1, policy).join(BroadcastJoin::kNewest).ok());
      REQUIRE(push(writer) == Transfer::kDone);
      if (i < 3) REQUIRE(fast.try_pop(message, view) == Reception::kDone);
    }
    // The next message takes a look at the readers, and puts reader 1 out under evict.
    fast.publish_credit();
    const std::uint64_t published = kStart + kSlots;
    std::uint64_t there_count = 0;
    const std::uint64_t image_count = die_everywhere(
        *ring,
        [&] {
          if (push(writer) != Transfer::kDone) _exit(1);
        },
        [&](Ring& copy) {
          BroadcastWriter next = copy.take_writer(policy);
          REQUIRE((next.position() == published || next.position() == published + 1));
          const bool is_there = next.position() == published + 1;
          there_count += is_there ? 1 : 0;
          BroadcastReader reader = copy.take_reader(0, policy);
          std::uint64_t wanted = kStart + 3;
          const auto drain = [&] {
            while (reader.try_pop(message, view) == Reception::kDone) {
              REQUIRE(view.lost == 0);
              REQUIRE(view.position == wanted++);
              REQUIRE(has_pattern(message, view.position));
            }
            REQUIRE(wanted == next.position());
          };
          drain();
          reader.publish_credit();
          REQUIRE(push(next) == Transfer::kDone);
          drain();
          BroadcastReader other = copy.take_reader(1, policy);
          const Reception answer = other.try_pop(message, view);
          if (policy == BroadcastPolicy::kEvict) {
            REQUIRE(answer == Reception::kEvicted);
          } else {
            REQUIRE(answer == Reception::kDone);
            REQUIRE(has_pattern(message, view.position));
            REQUIRE(view.position == kStart + 2 + view.lost);
          }
        });
    MESSAGE(std::string(name_of(policy)), ": ", image_count, " states of memory, ", there_count,
            " with the message");
    CHECK(image_count > 6);
    CHECK(there_count > 0);
  }
}

TEST_CASE(
    "broadcast steps: a reader dead anywhere in taking a message leaves it to its successor") {
  for (const BroadcastPolicy policy :
       {BroadcastPolicy::kOverwrite, BroadcastPolicy::kBlock, BroadcastPolicy::kEvict}) {
    SharedRing ring = new_ring();
    BroadcastWriter writer = ring->take_writer(policy);
    BroadcastReader reader = ring->take_reader(0, policy);
    REQUIRE(reader.join(BroadcastJoin::kNewest).ok());
    REQUIRE(push(writer) == Transfer::kDone);
    REQUIRE(push(writer) == Transfer::kDone);
    std::uint64_t again_count = 0;
    std::uint64_t done_count = 0;
    const std::uint64_t image_count = die_everywhere(
        *ring, [&] { pop_into(*ring, reader); },
        [&](Ring& copy) {
          BroadcastReader next = copy.take_reader(0, policy);
          std::array<std::byte, kBytes> message;
          BroadcastView view;
          const bool is_done = copy.readers[0].done.load() != kStart;
          const bool is_taken = copy.readers[0].taken.load() != kStart;
          REQUIRE(next.try_pop(message, view) == Reception::kDone);
          REQUIRE(view.position == kStart + (is_done ? 1 : 0));
          REQUIRE(view.redelivered == (is_taken && !is_done));
          REQUIRE(has_pattern(message, view.position));
          ++(is_done ? done_count : again_count);
        });
    MESSAGE(std::string(name_of(policy)), ": ", image_count, " states of memory, ", again_count,
            " to be taken again, ", done_count, " done");
    CHECK(again_count > 1);
    CHECK(done_count > 0);
  }
}

// Goes past a loss, and takes the message behind it in place.
bool go_past(BroadcastReader& reader, BroadcastView& view) {
  Reception answer = reader.try_peek(view);
  if (answer == Reception::kEvicted) {
    if (!reader.join(BroadcastJoin::kOldest).ok()) return false;
    answer = reader.try_peek(view);
  }
  return answer == Reception::kDone;
}

TEST_CASE("broadcast steps: a reader dead anywhere in going past a loss counts it exactly once") {
  for (const BroadcastPolicy policy : {BroadcastPolicy::kOverwrite, BroadcastPolicy::kEvict}) {
    SharedRing ring = new_ring();
    BroadcastWriter writer = ring->take_writer(policy);
    BroadcastReader reader = ring->take_reader(0, policy);
    REQUIRE(reader.join(BroadcastJoin::kNewest).ok());
    for (std::uint64_t i = 0; i < 3 * kSlots; ++i) REQUIRE(push(writer) == Transfer::kDone);
    // One loss is behind it, and one message read.
    BroadcastView first;
    REQUIRE(go_past(reader, first));
    static_cast<void>(reader.release(first));
    const std::uint64_t lost_first = reader.lost_count();
    REQUIRE(lost_first > 0);
    for (std::uint64_t i = 0; i < 3 * kSlots; ++i) REQUIRE(push(writer) == Transfer::kDone);
    std::uint64_t early_count = 0;
    std::uint64_t late_count = 0;
    const auto lost_by = [](std::uint64_t position) { return position - kStart - 1; };
    const std::uint64_t image_count = die_everywhere(
        *ring,
        [&] {
          BroadcastView view;
          if (!go_past(reader, view)) _exit(1);
        },
        [&](Ring& copy) {
          // Two die in a row: the one between does nothing.
          static_cast<void>(copy.take_reader(0, policy));
          BroadcastReader next = copy.take_reader(0, policy);
          const std::uint64_t before = next.lost_count();
          // One that died joining again was a member no longer: it has counted all, or nothing.
          if (!next.is_member()) {
            REQUIRE((before == lost_first || before == lost_by(copy.readers[0].gap_end.load())));
            return;
          }
          REQUIRE(before == lost_by(copy.readers[0].done.load()));
          ++(before == lost_first ? early_count : late_count);
          if (next.was_evicted()) REQUIRE(next.join(BroadcastJoin::kOldest).ok());
          std::array<std::byte, kBytes> message;
          BroadcastView view;
          REQUIRE(next.try_pop(message, view) == Reception::kDone);
          REQUIRE(lost_by(view.position) == next.lost_count());
          REQUIRE(view.lost == next.lost_count() - before);
          REQUIRE(copy.readers[0].lost.load() == next.lost_count());
        });
    MESSAGE(std::string(name_of(policy)), ": ", image_count, " states of memory, ", early_count,
            " before the loss, ", late_count, " behind it");
    CHECK(early_count > 0);
    CHECK(late_count > 0);
  }
}

TEST_CASE("broadcast steps: what is aborted behind a dead reader's loss is not lost") {
  SharedRing ring = new_ring();
  BroadcastWriter writer = ring->take_writer(BroadcastPolicy::kOverwrite);
  BroadcastReader reader = ring->take_reader(0, BroadcastPolicy::kOverwrite);
  REQUIRE(reader.join(BroadcastJoin::kNewest).ok());
  for (std::uint64_t i = 0; i < 3 * kSlots; ++i) REQUIRE(push(writer) == Transfer::kDone);
  std::uint64_t skipped_count = 0;
  static_cast<void>(die_everywhere(
      *ring,
      [&] {
        BroadcastView view;
        if (!go_past(reader, view)) _exit(1);
      },
      [&](Ring& copy) {
        BroadcastReader next = copy.take_reader(0, BroadcastPolicy::kOverwrite);
        const std::uint64_t before = next.lost_count();
        copy.take_writer(BroadcastPolicy::kOverwrite).abort_published();
        if (next.skip_aborted() != 0) ++skipped_count;
        REQUIRE(next.lost_count() == before);
        REQUIRE(copy.take_reader(0, BroadcastPolicy::kOverwrite).lost_count() == before);
      }));
  CHECK(skipped_count > 0);
}

TEST_CASE("broadcast steps: a reader dead anywhere in joining holds up nobody once it is dropped") {
  for (const BroadcastPolicy policy :
       {BroadcastPolicy::kOverwrite, BroadcastPolicy::kBlock, BroadcastPolicy::kEvict}) {
    SharedRing ring = new_ring();
    BroadcastWriter writer = ring->take_writer(policy);
    BroadcastReader reader = ring->take_reader(0, policy);
    for (std::uint64_t i = 0; i < kSlots + 1; ++i) REQUIRE(push(writer) == Transfer::kDone);
    const std::uint64_t image_count = die_everywhere(
        *ring, [&] { static_cast<void>(reader.join(BroadcastJoin::kOldest)); },
        [&](Ring& copy) {
          BroadcastWriter next = copy.take_writer(policy);
          next.drop_reader(0);
          for (std::uint64_t i = 0; i < 3 * kSlots; ++i) REQUIRE(push(next) == Transfer::kDone);
          BroadcastReader successor = copy.take_reader(0, policy);
          if (!successor.is_member() || successor.was_evicted()) {
            REQUIRE(successor.join(BroadcastJoin::kOldest).ok());
          }
          std::array<std::byte, kBytes> message;
          BroadcastView view;
          REQUIRE(successor.try_pop(message, view) == Reception::kDone);
          REQUIRE(has_pattern(message, view.position));
        });
    CHECK(image_count >= 3);
  }
}

}  // namespace
}  // namespace slipring
