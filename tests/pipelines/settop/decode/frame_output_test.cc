#include "pipelines/settop/decode/frame_output.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "pipelines/link/board.h"
#include "tests/pipelines/link/link_fixture.h"

namespace slipring::settop {
namespace {

using test::must;

constexpr std::size_t kBufferBytes = 4096;

// A decoder's stage between its two links, and the test at both far ends.
struct Chain {
  explicit Chain(std::uint32_t buffer_count, std::uint64_t slot_count = 16) {
    ::setenv("SLIPRING_DIR", folder.path().c_str(), 1);
    LinkShape frames = test::slots(slot_count, 192);
    frames.pool_buffer_count = buffer_count;
    frames.pool_buffer_bytes = kBufferBytes;
    REQUIRE(create_link(directory, "t.frames", frames).ok());
    REQUIRE(create_link(directory, "t.es", test::records(1 << 20)).ok());
    REQUIRE(create_board(directory, "t.board").ok());
    es = std::make_unique<LinkWriter>(must(LinkWriter::attach(directory, "t.es")));
    reader = std::make_unique<LinkReader>(must(LinkReader::attach(directory, "t.frames")));
    start();
  }

  void start() {
    static const StageDescription description{
        "decode",
        "",
        {{"es", PortKind::kInput, true, ""}, {"frames", PortKind::kOutput, true, ""}},
        {}};
    std::vector<std::string> words = {"decode", "--stage=video", "--in=es:t.es",
                                      "--out=frames:t.frames", "--board=t.board"};
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    int exit_status = 0;
    stage =
        Stage::start(static_cast<int>(pointers.size()), pointers.data(), description, exit_status);
    REQUIRE(stage != nullptr);
    output = std::make_unique<FrameOutput>(*stage, *stage->input("es"), *stage->output("frames"));
  }

  // The stage ends as by a death: nothing is closed.
  void restart() {
    output.reset();
    stage.reset();
    start();
  }

  [[nodiscard]] FrameBuffer acquire() { return must(output->acquire(100)); }

  [[nodiscard]] Status send(std::int64_t pts, std::uint64_t token) {
    FrameRecord record{};
    record.event = FrameEvent::kFrame;
    record.kind = StreamKind::kVideo;
    record.pts = pts;
    return output->frame(record, token);
  }

  // Leaves the link without space, by events, which take no buffers.
  void fill_up(std::uint64_t slot_count) {
    FrameRecord event{};
    event.event = FrameEvent::kStreamStart;
    for (std::uint64_t slot = 0; slot < slot_count; ++slot) {
      REQUIRE(output->frame(event, 0).ok());
    }
  }

  // What the reader sees next.
  [[nodiscard]] FrameRecord take() {
    Message message;
    REQUIRE(reader->try_peek(message) == Transfer::kDone);
    FrameRecord record{};
    std::memcpy(&record, message.bytes.data(), sizeof record);
    reader->release(message);
    return record;
  }

  test::Directory folder;
  SegmentDirectory directory = folder.open();
  std::unique_ptr<LinkWriter> es;
  std::unique_ptr<LinkReader> reader;
  std::unique_ptr<Stage> stage;
  std::unique_ptr<FrameOutput> output;
};

BufferHandle handle_of(const FrameRecord& record) {
  return {record.buffer_slot, record.buffer_generation};
}

TEST_CASE("frame_output: the reader finds in place what the codec wrote") {
  Chain chain(4);
  const FrameBuffer buffer = chain.acquire();
  CHECK(buffer.size_bytes == kBufferBytes);
  CHECK(reinterpret_cast<std::uintptr_t>(buffer.data) % kFrameAlignmentBytes == 0);
  std::memcpy(buffer.data + 1000, "picture", 7);
  REQUIRE(chain.send(5, buffer.token).ok());
  const FrameRecord record = chain.take();
  CHECK(record.pts == 5);
  REQUIRE(chain.reader->pool()->holds(handle_of(record)));
  const std::span<const std::byte> seen = chain.reader->pool()->bytes(handle_of(record));
  CHECK(std::memcmp(seen.data() + 1000, "picture", 7) == 0);
  CHECK(chain.output->sent_count() == 1);
}

TEST_CASE("frame_output: a buffer is free when neither codec nor reader uses it") {
  Chain chain(2);
  const FrameBuffer first = chain.acquire();
  const FrameBuffer second = chain.acquire();
  CHECK(first.token != second.token);
  REQUIRE(chain.send(1, first.token).ok());
  chain.output->release(first.token);   // the reader still looks at it
  chain.output->release(second.token);  // was never sent
  CHECK(chain.acquire().token == second.token);
  chain.reader->give_back(handle_of(chain.take()));
  CHECK(chain.acquire().token == first.token);
}

TEST_CASE("frame_output: an event carries no buffer") {
  Chain chain(2);
  FrameRecord event{};
  event.event = FrameEvent::kStreamStart;
  REQUIRE(chain.output->frame(event, 0).ok());
  const FrameRecord seen = chain.take();
  CHECK(seen.event == FrameEvent::kStreamStart);
  CHECK(seen.buffer_slot == kNoBuffer);
  CHECK(chain.output->sent_count() == 0);
}

TEST_CASE("frame_output: a frame larger than the buffers says how large") {
  Chain chain(2);
  const Result<FrameBuffer> refused = chain.output->acquire(kBufferBytes + 1);
  REQUIRE(!refused.ok());
  CHECK(refused.error().code == ErrorCode::kNoSpace);
  CHECK(refused.error().found == kBufferBytes);
  CHECK(refused.error().wanted == kBufferBytes + 1);
}

TEST_CASE("frame_output: a codec that keeps every buffer gets an answer, not a wait without end") {
  Chain chain(2);
  (void)chain.acquire();
  (void)chain.acquire();
  CHECK(chain.output->acquire(100).error().code == ErrorCode::kNoSpace);
}

TEST_CASE("frame_output: an abort of the input ends a wait for a buffer and for space") {
  Chain chain(2, 4);
  const FrameBuffer first = chain.acquire();
  const FrameBuffer second = chain.acquire();
  REQUIRE(test::put(*chain.es, 1));
  REQUIRE(chain.send(1, first.token).ok());
  chain.fill_up(3);
  chain.es->abort_published();
  CHECK(chain.send(2, second.token).error().code == ErrorCode::kInterrupted);
  CHECK(chain.output->acquire(100).error().code == ErrorCode::kInterrupted);
}

TEST_CASE("frame_output: a reader that has closed ends the waits") {
  Chain chain(2, 4);
  const FrameBuffer first = chain.acquire();
  const FrameBuffer second = chain.acquire();
  REQUIRE(chain.send(1, first.token).ok());
  chain.fill_up(3);
  chain.reader->close();
  CHECK(chain.send(2, second.token).error().code == ErrorCode::kClosed);
  CHECK(chain.output->acquire(100).error().code == ErrorCode::kClosed);
}

TEST_CASE("frame_output: a successor does not send again what its predecessor sent") {
  Chain chain(8);
  for (const std::int64_t pts : {3600, 7200, 10'800}) {
    const FrameBuffer buffer = chain.acquire();
    REQUIRE(chain.send(pts, buffer.token).ok());
    chain.output->release(buffer.token);
  }
  chain.restart();
  for (const std::int64_t pts : {7200, 10'800, 14'400, 12'000}) {
    const FrameBuffer buffer = chain.acquire();
    REQUIRE(chain.send(pts, buffer.token).ok());
    chain.output->release(buffer.token);
  }
  CHECK(chain.output->repeated_count() == 2);
  // Once past it, stamps may go where they like.
  for (const std::int64_t pts : {3600, 7200, 10'800, 14'400, 12'000})
    CHECK(chain.take().pts == pts);
}

TEST_CASE("frame_output: a successor in another stretch of time holds nothing back") {
  Chain chain(8);
  const FrameBuffer buffer = chain.acquire();
  REQUIRE(chain.send(90'000 * 3600, buffer.token).ok());
  chain.restart();
  const FrameBuffer other = chain.acquire();
  REQUIRE(chain.send(90'000, other.token).ok());
  CHECK(chain.output->repeated_count() == 0);
}

TEST_CASE("frame_output: published stamp of a fresh board is none, and zero is a stamp") {
  Chain chain(8);
  const FrameBuffer early = chain.acquire();
  REQUIRE(chain.send(-5, early.token).ok());
  const FrameBuffer zero = chain.acquire();
  REQUIRE(chain.send(0, zero.token).ok());
  CHECK(chain.output->repeated_count() == 0);
  chain.restart();
  const FrameBuffer again = chain.acquire();
  REQUIRE(chain.send(0, again.token).ok());
  CHECK(chain.output->repeated_count() == 1);
}

}  // namespace
}  // namespace slipring::settop
