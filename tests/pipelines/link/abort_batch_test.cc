// A reader that holds messages until it has a batch, and an abort of what is queued behind them:
// the room of what was dropped comes back only with what is held.

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "pipelines/link/commander.h"
#include "pipelines/link/lane_reader.h"
#include "tests/pipelines/link/guarded_fixture.h"

namespace slipring {
namespace {

using test::Directory;
using test::must;
using test::number_in;
using test::put;

constexpr const char* kName = "t.link";
constexpr std::size_t kBatch = 4;

std::uint64_t number_in(const LaneMessage& message) {
  return test::number_in(message.message);
}

// Finishes messages kBatch at a time, or, where it heeds aborts, fewer when these hold up the
// writer.
template <typename Reader, typename Held>
class BatchReader {
 public:
  BatchReader(Reader reader, bool heeds_aborts)
      : reader_(std::move(reader)), heeds_aborts_(heeds_aborts) {}

  // All that it can take now.
  void turn() {
    Held message;
    while (reader_.try_peek(message) == Transfer::kDone) {
      held_.push_back(message);
      if (held_.size() == kBatch) finish();
    }
    if (heeds_aborts_ && reader_.has_dropped_behind()) finish();
  }
  [[nodiscard]] const std::vector<std::uint64_t>& finished() const { return finished_; }
  [[nodiscard]] bool has_dropped_behind() const { return reader_.has_dropped_behind(); }
  Reader& reader() { return reader_; }

 private:
  void finish() {
    for (const Held& message : held_) {
      finished_.push_back(number_in(message));
      reader_.release(message);
    }
    held_.clear();
  }

  Reader reader_;
  bool heeds_aborts_;
  std::vector<Held> held_;
  std::vector<std::uint64_t> finished_;
};

// Two messages in the reader's hands, a ring full of what nobody wants, and a writer with more.
// How many of five further messages go in while the reader has its turns.
template <typename Batches>
std::uint64_t sent_after_abort(const SegmentDirectory& directory, LinkWriter& writer,
                               Batches& batches) {
  REQUIRE(put(writer, 0));
  REQUIRE(put(writer, 1));
  batches.turn();
  CHECK_FALSE(batches.has_dropped_behind());  // nothing is dropped yet
  for (std::uint64_t number = 100; put(writer, number); ++number) {
  }
  LinkCommander commander = must(LinkCommander::attach(directory, kName));
  static_cast<void>(must(commander.abort()));
  batches.turn();
  std::uint64_t sent = 0;
  for (int turn = 0; turn < 20 && sent < 5; ++turn) {
    while (sent < 5 && put(writer, 2 + sent)) ++sent;
    batches.turn();
  }
  return sent;
}

void check_link(const SegmentDirectory& directory) {
  LinkWriter writer = must(test::attach_when_free<LinkWriter>(directory));
  BatchReader<LinkReader, Message> batches(must(test::attach_when_free<LinkReader>(directory)),
                                           true);
  writer.look_for_news();
  CHECK(sent_after_abort(directory, writer, batches) == 5);
  // The two that were held, as a smaller batch; then whole ones.
  CHECK(batches.finished() == std::vector<std::uint64_t>{0, 1, 2, 3, 4, 5});
  CHECK_FALSE(batches.has_dropped_behind());
  CHECK(writer.drops().dropped.messages > 8);
}

TEST_CASE("abort: a reader that holds messages until more come is told to finish them") {
  for (const LinkShape& shape : {test::records(4096), test::slots(16, 16)}) {
    Directory folder;
    SegmentDirectory directory = folder.open();
    REQUIRE(create_link(directory, kName, shape).ok());
    check_link(directory);
  }
}

TEST_CASE("abort: a guarded link's reader that holds messages is told, too") {
  for (const LinkShape& shape : {test::records(4096), test::slots(16, 16)}) {
    Directory folder;
    SegmentDirectory directory = folder.open();
    const test::BrokerProcess broker(directory, shape);
    check_link(directory);
  }
}

TEST_CASE("abort: a reader of lanes that holds messages of one is told, too") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, kName, lane_set_shape(2, 4096)).ok());
  LinkWriter writer = must(LinkWriter::attach(directory, kName));
  BatchReader<LaneReader, LaneMessage> batches(must(LaneReader::attach(directory, kName)), true);
  CHECK(sent_after_abort(directory, writer, batches) == 5);
  CHECK(batches.finished() == std::vector<std::uint64_t>{0, 1, 2, 3, 4, 5});
}

// The writer's own abort, which the reader obeys.
TEST_CASE("abort: what the writer itself aborts behind held messages is told as well") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, kName, test::slots(16, 16)).ok());
  LinkWriter writer = must(LinkWriter::attach(directory, kName));
  LinkReader reader = must(LinkReader::attach(directory, kName));
  REQUIRE(put(writer, 0));
  Message held;
  REQUIRE(reader.try_peek(held) == Transfer::kDone);
  while (put(writer, 1)) {
  }
  writer.abort_published();
  CHECK_FALSE(reader.has_dropped_behind());
  reader.skip_aborted();
  CHECK(reader.has_dropped_behind());
  CHECK_FALSE(put(writer, 2));
  reader.release(held);
  CHECK_FALSE(reader.has_dropped_behind());
  CHECK(put(writer, 2));
}

// Red, so that the other cases' green says something: whoever is not told stands for ever.
TEST_CASE("abort: a reader of batches that does not heed it, and its writer, wait for each other") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, kName, test::slots(16, 16)).ok());
  LinkWriter writer = must(LinkWriter::attach(directory, kName));
  BatchReader<LinkReader, Message> batches(must(LinkReader::attach(directory, kName)), false);
  CHECK(sent_after_abort(directory, writer, batches) == 0);
  CHECK(batches.finished().empty());
  CHECK(batches.has_dropped_behind());
  CHECK_FALSE(batches.reader().has_message());
}

}  // namespace
}  // namespace slipring
