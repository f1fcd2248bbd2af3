// A process that is attached as a peer and goes on storing every class of value into every word
// that it may write, while the honest side works: whatever it reads twice it reads differently.
// The honest side answers, says who it was, keeps its own pages sound and its resources bounded,
// and its other links run.
#include <sched.h>

#include <doctest/doctest.h>

#include <optional>
#include <string>

#include "core/cpu/relax.h"
#include "pipelines/link/link_observer.h"
#include "pipelines/link/value_link.h"
#include "platform/wait/clock.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/hostile/hostile_fixture.h"
#include "tests/pipelines/link/guarded_fixture.h"

namespace slipring::hostile {
namespace {

using fuzz::Random;
using test::BrokerProcess;
using test::Directory;
using test::must;

constexpr std::uint64_t kHonestCalls = 20'000;
constexpr std::uint64_t kMostAttempts = 300;

struct Answers {
  std::uint64_t calls = 0;
  std::uint64_t done = 0;
  std::uint64_t blocked = 0;
  std::uint64_t corrupt = 0;
  std::uint64_t refused = 0;         // attach said that the peer's memory cannot be
  std::uint64_t named = 0;           // of those that were corrupt
  volatile std::uint64_t sight = 0;  // so that every byte is read

  void note(Transfer answer) {
    ++calls;
    ++(answer == Transfer::kDone ? done : answer == Transfer::kBlocked ? blocked : corrupt);
  }
  [[nodiscard]] std::string text(std::uint64_t stores) const {
    return "done " + std::to_string(done) + " blocked " + std::to_string(blocked) + " corrupt " +
           std::to_string(corrupt) + " refused " + std::to_string(refused) + ", named " +
           std::to_string(named) + ", against " + std::to_string(stores) + " stores";
  }
};

// A little of what an honest end does, so that there is something to spoil.
void work(LinkWriter& writer) {
  std::span<std::byte> place;
  if (writer.try_reserve(16, place) != Transfer::kDone) return;
  BufferHandle handle = kNullHandle;
  std::uint32_t slot = 0;
  if (writer.pool() != nullptr && writer.pool()->try_acquire(slot) == Transfer::kDone) {
    handle = writer.pool()->lend(slot);
    writer.pool()->drop(slot);
  }
  std::memcpy(place.data(), &handle, sizeof handle);
  writer.commit(16);
}
void work(LinkReader& reader) {
  Message message;
  if (reader.try_peek(message) != Transfer::kDone) return;
  BufferHandle handle;
  std::memcpy(&handle, message.bytes.data(), sizeof handle);
  if (reader.pool() != nullptr && reader.pool()->holds(handle)) reader.give_back(handle);
  reader.release(message);
}

// In the hostile process, until it is killed: each word becomes something else for a moment and is
// what it was again, so that the honest side gets beyond the first look.
template <typename End>
[[noreturn]] void flip_for_ever(End& end, Random random, std::uint64_t& stores) {
  const std::vector<SharedRange> ranges = shared_ranges();
  std::vector<std::atomic<std::uint64_t>*> words;
  for (const SharedRange& range : ranges) {
    if (!range.is_writable) continue;
    for (unsigned char* at = range.begin; at < range.end; at += 8) {
      words.push_back(reinterpret_cast<std::atomic<std::uint64_t>*>(at));
    }
  }
  for (;; ++stores) {
    if (random.below(4) == 0) work(end);
    std::uint8_t bytes[4];
    random.fill(bytes);
    fuzz::FuzzInput input(bytes);
    // Half of the stores go to the words in front, where the positions are.
    const std::size_t most =
        random.below(2) == 0 ? std::min<std::size_t>(words.size(), 128) : words.size();
    std::atomic<std::uint64_t>& word = *words[random.below(most)];
    const std::uint64_t now = word.load(std::memory_order_relaxed);
    word.store(fuzz::hostile_value(input, {now, now, 4096}), std::memory_order_relaxed);
    for (std::size_t dwell = random.below(64); dwell != 0; --dwell) relax();
    word.store(now, std::memory_order_relaxed);
  }
}

// All that a reader's end is asked, on bytes that change while they are read.
template <typename Name>
void use(LinkReader& reader, Answers& answers, Name is_named) {
  for (int i = 0; i < 1000; ++i) {
    Message message;
    const Transfer answer = reader.try_peek(message);
    answers.note(answer);
    if (answer == Transfer::kBlocked) sched_yield();
    if (answer == Transfer::kCorruptPeer) {
      if (reader.offender() && is_named(*reader.offender())) ++answers.named;
      return;
    }
    if (answer != Transfer::kDone) continue;
    std::uint64_t sum = 0;
    for (const std::byte byte : message.bytes) sum += std::to_integer<std::uint64_t>(byte);
    answers.sight = answers.sight + sum;
    if (message.bytes.size() >= sizeof(BufferHandle) && reader.pool() != nullptr) {
      BufferHandle handle;
      std::memcpy(&handle, message.bytes.data(), sizeof handle);
      if (reader.pool()->holds(handle)) reader.give_back(handle);
    }
    reader.release(message);
    static_cast<void>(reader.has_message() || reader.is_finished());
  }
}

template <typename Name>
void use(LinkWriter& writer, Answers& answers, Name is_named) {
  for (int i = 0; i < 1000; ++i) {
    std::span<std::byte> place;
    Transfer answer = Transfer::kDone;
    std::uint32_t slot = 0;
    if (writer.pool() != nullptr && writer.pool()->try_acquire(slot) == Transfer::kDone) {
      static_cast<void>(writer.pool()->lend(slot));
      writer.pool()->drop(slot);
    }
    answer = writer.try_reserve(16, place);
    answers.note(answer);
    if (answer == Transfer::kBlocked) sched_yield();
    if (answer == Transfer::kCorruptPeer) {
      if (writer.offender() && is_named(*writer.offender())) ++answers.named;
      return;
    }
    if (answer != Transfer::kDone) continue;
    std::memset(place.data(), 7, place.size());
    writer.commit(16);
    static_cast<void>(writer.has_space(16) || writer.is_peer_closed());
  }
}

// `Hostile` holds one role in its own process and flips; `Honest` comes again and again.
template <typename Honest, typename Hostile>
void attack(Matrix& matrix, Bystander& bystander, const SegmentDirectory& directory,
            const std::string& link, const char* role) {
  Told<std::uint64_t> stores;
  OtherProcess hostile([&](Line line) {
    Result<Hostile> end = test::attach_when_free<Hostile>(directory);
    line.say(end.ok() ? 'y' : 'n');
    if (!end.ok()) return 1;
    flip_for_ever(*end, Random(5), *stores);
  });
  REQUIRE(hostile.line().hear() == 'y');
  const auto is_named = [&](const LinkPeer& who) {
    return who.is_known && who.process_id == hostile.pid() && who.user == geteuid();
  };
  const std::size_t descriptors = descriptor_count(getpid());
  Answers answers;
  bool is_running = true;
  std::uint64_t attempts = 0;
  const std::uint64_t deadline_ns = deadline_after(30'000'000'000);
  while (
      (answers.calls < kHonestCalls && attempts < kMostAttempts && monotonic_ns() < deadline_ns) ||
      (answers.corrupt == 0 && answers.refused == 0 && monotonic_ns() < deadline_ns)) {
    ++attempts;
    Result<Honest> end = Honest::attach(directory, "t.link");
    if (end.ok()) {
      use(*end, answers, is_named);
    } else if (end.error().code == ErrorCode::kCorruptPeer) {
      ++answers.refused;
    } else if (end.error().code != ErrorCode::kBusy) {
      FAIL_CHECK("attach: " << end.error().doing);
    }
    if (attempts % 16 == 0) is_running = is_running && bystander.work(10);
    sched_yield();
  }
  const bool is_bounded = descriptor_count(getpid()) <= descriptors;
  hostile.kill_now();
  matrix.add(link, std::string(role) + " flips every word that it may write",
             is_running && is_bounded && answers.named == answers.corrupt &&
                 answers.corrupt + answers.refused != 0 && bystander.work(),
             answers.text(*stores));
}

[[nodiscard]] LinkShape with_pool() {
  LinkShape shape = test::slots(8, 64);
  shape.pool_buffer_count = 4;
  shape.pool_buffer_bytes = 4096;
  return shape;
}

TEST_CASE("hostile process: who flips its words while others read them harms itself") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  Bystander bystander(directory);
  Matrix matrix("flipping what it may write");
  for (const bool is_guarded : {false, true}) {
    for (const auto& [shape, name] : {std::pair{test::records(4096), std::string("records")},
                                      std::pair{with_pool(), std::string("slots and pool")}}) {
      for (const bool is_writer : {true, false}) {
        std::optional<BrokerProcess> broker;
        if (is_guarded) {
          broker.emplace(directory, shape);
        } else {
          REQUIRE(create_link(directory, "t.link", shape).ok());
        }
        const std::string link = (is_guarded ? "guarded " : "named ") + name;
        if (is_writer) {
          attack<LinkReader, LinkWriter>(matrix, bystander, directory, link, "writer");
        } else {
          attack<LinkWriter, LinkReader>(matrix, bystander, directory, link, "reader");
        }
        if (!is_guarded) REQUIRE(remove_segment(directory, "t.link").ok());
      }
    }
  }
  CHECK(matrix.row_count() == 8);
}

// People read it: stat, top, and the runner.
TEST_CASE("hostile process: an observer shows who was shut out, also when it is gone") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, "t.link", test::records(4096)).ok());
  LinkReader reader = must(LinkReader::attach(directory, "t.link"));
  OtherProcess hostile([&](Line line) {
    Result<LinkWriter> writer = LinkWriter::attach(directory, "t.link");
    for (const SharedRange& range : shared_ranges()) {
      if (range.is_writable) *reinterpret_cast<volatile std::uint64_t*>(range.begin) = 3;
    }
    line.say('y');
    line.hear();
    return 0;
  });
  REQUIRE(hostile.line().hear() == 'y');
  Message message;
  CHECK_FALSE(reader.offender().has_value());
  CHECK(reader.try_peek(message) == Transfer::kCorruptPeer);
  const pid_t offender = hostile.pid();
  hostile.kill_now();
  hostile.wait();
  REQUIRE(reader.offender().has_value());
  CHECK(reader.offender()->process_id == offender);
  const LinkReport report = must(LinkObserver::attach(directory, "t.link")).report();
  CHECK(report.reader.corrupt_count == 1);
  CHECK(report.reader.offender_process_id == offender);
  CHECK(report.reader.offender_user == geteuid());
  CHECK(report.writer.corrupt_count == 0);
}

}  // namespace
}  // namespace slipring::hostile
