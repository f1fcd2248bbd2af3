#include "pipelines/adapter/message_framer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace slipring {
namespace {

using Cut = MessageFramer::Cut;

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string frame(std::string_view message) {
  std::string text(kFrameHeaderBytes, '\0');
  write_frame_length(std::as_writable_bytes(std::span(text)), message.size());
  return text.append(message);
}

void feed(MessageFramer& framer, std::string_view bytes) {
  while (!bytes.empty()) {
    const std::span<std::byte> room = framer.room();
    const std::size_t count = std::min(room.size(), bytes.size());
    std::memcpy(room.data(), bytes.data(), count);
    framer.add(count);
    bytes.remove_prefix(count);
  }
}

void take_whole(MessageFramer& framer, std::vector<std::string>& messages) {
  for (;;) {
    std::span<const std::byte> message;
    const Result<Cut> cut = framer.next(message);
    REQUIRE(cut.ok());
    if (cut.value() == Cut::kNeedsMore) return;
    messages.push_back(text_of(message));
  }
}

// The whole stream, read in three pieces that end at `one` and `two`.
std::vector<std::string> cut_in_three(Framing framing, std::string_view stream, std::size_t one,
                                      std::size_t two) {
  MessageFramer framer(framing, 100, 8);
  std::vector<std::string> messages;
  for (const std::string_view piece :
       {stream.substr(0, one), stream.substr(one, two - one), stream.substr(two)}) {
    feed(framer, piece);
    take_whole(framer, messages);
  }
  std::span<const std::byte> last;
  const Result<Cut> end = framer.finish(last);
  REQUIRE(end.ok());
  if (end.value() == Cut::kMessage) messages.push_back(text_of(last));
  CHECK(framer.pending_bytes() == 0);
  return messages;
}

TEST_CASE("message framer: wherever reads end, the messages are the same") {
  const std::vector<std::string> messages{"one", "", "a message of more than a read\r", "4"};
  std::string lines;
  std::string frames;
  for (const std::string& message : messages) {
    lines += message + "\n";
    frames += frame(message);
  }
  lines.pop_back();  // the last one needs no line feed
  for (const auto& [framing, stream] :
       {std::pair(Framing::kLines, lines), {Framing::kFrames, frames}}) {
    for (std::size_t one = 0; one <= stream.size(); ++one) {
      for (std::size_t two = one; two <= stream.size(); ++two) {
        CAPTURE(one);
        CAPTURE(two);
        REQUIRE(cut_in_three(framing, stream, one, two) == messages);
      }
    }
  }
}

TEST_CASE("message framer: the example of the specification") {
  const std::string bytes("\x02\0\0\0hi\0\0\0\0\x01\0\0\0\n", 15);
  CHECK(cut_in_three(Framing::kFrames, bytes, 0, 0) == std::vector<std::string>{"hi", "", "\n"});
}

TEST_CASE("message framer: as long as the cap passes, one more is an error that stays") {
  for (const Framing framing : {Framing::kLines, Framing::kFrames}) {
    for (const std::size_t size : {std::size_t{100}, std::size_t{101}}) {
      const std::string message(size, 'x');
      MessageFramer framer(framing, 100, 8);
      feed(framer, framing == Framing::kLines ? message + "\n" : frame(message));
      std::span<const std::byte> taken;
      const Result<Cut> cut = framer.next(taken);
      REQUIRE(cut.ok() == (size == 100));
      if (cut.ok()) continue;
      CHECK(cut.error().code == ErrorCode::kDamagedData);
      CHECK(cut.error().found == 101);
      CHECK(cut.error().wanted == 100);
      feed(framer, "\n\n");
      CHECK_FALSE(framer.next(taken).ok());
    }
  }
}

TEST_CASE(
    "message framer: a line is refused before its end has come, a frame by its header alone") {
  std::span<const std::byte> taken;
  MessageFramer lines(Framing::kLines, 100, 8);
  feed(lines, std::string(101, 'x'));
  CHECK_FALSE(lines.next(taken).ok());
  MessageFramer frames(Framing::kFrames, 100, 8);
  feed(frames, frame(std::string(101, 'x')).substr(0, 4));
  CHECK_FALSE(frames.next(taken).ok());
}

TEST_CASE("message framer: a stream that ends inside a frame is told") {
  const std::string whole = frame("torn");
  for (std::size_t size = 1; size < whole.size(); ++size) {
    MessageFramer framer(Framing::kFrames, 100);
    feed(framer, whole.substr(0, size));
    std::span<const std::byte> taken;
    const Result<Cut> cut = framer.finish(taken);
    REQUIRE_FALSE(cut.ok());
    CHECK(cut.error().code == ErrorCode::kDamagedData);
    CHECK(cut.error().found == size);
    CHECK(cut.error().wanted == (size < 4 ? 4 : whole.size()));
  }
}

TEST_CASE("message framer: memory follows what has come, not what a header claims") {
  MessageFramer framer(Framing::kFrames, kMaxFrameBytes, 64);
  feed(framer, std::string("\xff\xff\xff\xff", 4));
  CHECK(framer.buffer_bytes() <= 128);
  std::span<const std::byte> taken;
  for (std::size_t come = 4; come < 1'000'000; come += 1000) {
    feed(framer, std::string(1000, 'x'));
    REQUIRE(framer.next(taken).ok());
    REQUIRE(framer.buffer_bytes() <= 2 * framer.pending_bytes() + 128);
  }
  MessageFramer idle(Framing::kLines, 100, 64);
  feed(idle, "line\n");
  idle.shrink();
  CHECK(idle.buffer_bytes() == 5);  // what is pending
  REQUIRE(idle.next(taken).ok());
  idle.shrink();
  CHECK(idle.buffer_bytes() == 0);
  feed(idle, "next\n");
  REQUIRE(idle.next(taken).ok());
  CHECK(text_of(taken) == "next");
}

}  // namespace
}  // namespace slipring
