#include "pipelines/settop/decode/published_stamp.h"

#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>

namespace slipring::settop {
namespace {

// A board and a link that outlive the stages of the tests.
struct Survivors {
  std::atomic<std::uint64_t> words[3] = {};
  std::uint64_t link_position = 40;

  [[nodiscard]] PublishedStamp attach() {
    return {Board::Number(words[0]), Board::Number(words[1]), Board::Number(words[2])};
  }
  [[nodiscard]] std::int64_t last() { return attach().last(link_position); }
};

void publish(Survivors& survivors, std::int64_t pts) {
  PublishedStamp stamp = survivors.attach();
  stamp.before_publish(survivors.link_position, pts);
  ++survivors.link_position;
  stamp.after_publish();
}

TEST_CASE("published_stamp: before the first frame there is none") {
  Survivors survivors;
  CHECK(survivors.last() == kNoTimestamp);
  survivors.link_position = 0;  // as a fresh board has it
  CHECK(survivors.last() == kNoTimestamp);
}

TEST_CASE("published_stamp: at whatever point a stage dies, the successor knows what was sent") {
  for (const std::int64_t first : {std::int64_t{-1}, std::int64_t{0}, std::int64_t{3600}}) {
    CAPTURE(first);
    Survivors survivors;
    publish(survivors, first);
    publish(survivors, first + 1);
    CHECK(survivors.last() == first + 1);
    PublishedStamp stamp = survivors.attach();
    stamp.before_publish(survivors.link_position, first + 2);
    CHECK(survivors.last() == first + 1);  // dies before the frame is out
    ++survivors.link_position;
    CHECK(survivors.last() == first + 2);  // dies just after
    stamp.after_publish();
    CHECK(survivors.last() == first + 2);
  }
}

TEST_CASE("published_stamp: a death between the two words tells the frame before") {
  Survivors survivors;
  publish(survivors, 100);
  survivors.words[0] = survivors.link_position;  // the next frame's first word, and no more
  CHECK(survivors.last() == 100);
}

}  // namespace
}  // namespace slipring::settop
