#include "pipelines/settop/render/frame_input.h"

#include <doctest/doctest.h>

#include <cstring>
#include <optional>

#include "tests/pipelines/link/link_fixture.h"

namespace slipring::settop {
namespace {

using test::must;

// A link of frames, the test at its writing end.
struct Frames {
  explicit Frames(std::uint32_t slot_bytes = 192) {
    LinkShape shape = test::slots(16, slot_bytes);
    shape.pool_buffer_count = 4;
    shape.pool_buffer_bytes = 4096;
    REQUIRE(create_link(directory, "t.frames", shape).ok());
    writer.emplace(must(LinkWriter::attach(directory, "t.frames")));
    reader.emplace(must(LinkReader::attach(directory, "t.frames")));
  }

  void send(const FrameRecord& record) {
    std::span<std::byte> place;
    REQUIRE(writer->try_reserve(sizeof record, place) == Transfer::kDone);
    std::memcpy(place.data(), &record, sizeof record);
    writer->commit(sizeof record);
  }

  // A frame whose buffer begins with that byte.
  void send_frame(std::byte first, FrameEvent event = FrameEvent::kFrame) {
    std::uint32_t slot = 0;
    REQUIRE(writer->pool()->try_acquire(slot) == Transfer::kDone);
    writer->pool()->bytes(slot)[0] = first;
    const BufferHandle handle = writer->pool()->lend(slot);
    writer->pool()->drop(slot);
    FrameRecord record{};
    record.buffer_slot = handle.slot;
    record.buffer_generation = handle.generation;
    record.event = event;
    send(record);
  }

  test::Directory folder;
  SegmentDirectory directory = folder.open();
  std::optional<LinkWriter> writer;
  std::optional<LinkReader> reader;
};

TEST_CASE("frame_input: a frame is at hand until it is finished, and its buffer comes back") {
  Frames frames;
  FrameInput input(*frames.reader);
  CHECK(input.look() == Look::kNothing);
  CHECK(!input.has_news());
  frames.send_frame(std::byte{1});
  frames.send_frame(std::byte{2});
  CHECK(input.has_news());
  for (const std::byte first : {std::byte{1}, std::byte{2}}) {
    REQUIRE(input.look() == Look::kFrame);
    REQUIRE(input.look() == Look::kFrame);
    CHECK(!input.has_news());
    CHECK(input.buffer()[0] == first);
    input.finish();
  }
  CHECK(input.look() == Look::kNothing);
  CHECK(frames.writer->pool()->lent_count() == 0);
  frames.writer->close();
  CHECK(input.has_news());
  CHECK(input.look() == Look::kNothing);
  CHECK(input.is_finished());
}

TEST_CASE("frame_input: an event is handed on without a buffer") {
  Frames frames;
  FrameInput input(*frames.reader);
  FrameRecord event{};
  event.event = FrameEvent::kStreamStart;
  event.buffer_slot = kNoBuffer;
  event.program_number = 12;
  frames.send(event);
  REQUIRE(input.look() == Look::kEvent);
  CHECK(input.record().program_number == 12);
  input.finish();
  CHECK(input.look() == Look::kNothing);
}

TEST_CASE(
    "frame_input: what the writer aborts is dropped, the one at hand too, buffers come back") {
  Frames frames;
  FrameInput input(*frames.reader);
  frames.send_frame(std::byte{1});
  frames.send_frame(std::byte{2});
  REQUIRE(input.look() == Look::kFrame);
  frames.writer->abort_published();
  CHECK(input.has_news());
  frames.send_frame(std::byte{3});
  REQUIRE(input.look() == Look::kFrame);
  CHECK(input.buffer()[0] == std::byte{3});
  CHECK(input.counts().aborted_count == 2);
  CHECK(frames.writer->pool()->lent_count() == 1);
}

TEST_CASE("frame_input: a handle that names nothing of ours is counted and passed over") {
  Frames frames;
  FrameInput input(*frames.reader);
  FrameRecord forged{};
  forged.event = FrameEvent::kFrame;
  forged.buffer_slot = 3;
  forged.buffer_generation = 77;
  frames.send(forged);
  forged.buffer_slot = 0x7fff'ffff;
  frames.send(forged);
  frames.send_frame(std::byte{9}, static_cast<FrameEvent>(99));  // lent, with a word unknown
  CHECK(input.look() == Look::kNothing);
  CHECK(input.counts().invalid_count == 3);
  CHECK(frames.writer->pool()->lent_count() == 0);
}

TEST_CASE("frame_input: records too short are counted and passed over") {
  Frames frames(64);
  FrameInput input(*frames.reader);
  std::span<std::byte> place;
  REQUIRE(frames.writer->try_reserve(64, place) == Transfer::kDone);
  frames.writer->commit(64);
  CHECK(input.look() == Look::kNothing);
  CHECK(input.counts().invalid_count == 1);
}

TEST_CASE("frame_input: a successor is given an unfinished frame, a finished one it passes over") {
  Frames frames;
  frames.send_frame(std::byte{1});
  frames.send_frame(std::byte{2});
  std::uint64_t position = 0;
  {
    FrameInput input(*frames.reader);
    REQUIRE(input.look() == Look::kFrame);
    position = input.position();
    frames.reader.reset();  // dies before finish()
  }
  frames.reader.emplace(must(LinkReader::attach(frames.directory, "t.frames")));
  {
    FrameInput input(*frames.reader);
    REQUIRE(input.look() == Look::kFrame);
    CHECK(input.position() == position);
    CHECK(input.buffer()[0] == std::byte{1});
    // Dies between giving the buffer back and releasing the message.
    frames.reader->give_back({input.record().buffer_slot, input.record().buffer_generation});
    frames.reader.reset();
  }
  frames.reader.emplace(must(LinkReader::attach(frames.directory, "t.frames")));
  FrameInput input(*frames.reader);
  REQUIRE(input.look() == Look::kFrame);
  CHECK(input.buffer()[0] == std::byte{2});
  CHECK(input.counts().finished_count == 1);
  CHECK(input.counts().invalid_count == 0);
}

}  // namespace
}  // namespace slipring::settop
