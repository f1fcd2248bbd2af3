// One program, run over a link of this machine and over one of another: only the address differs.
#include "pipelines/wire/bus_link.h"

#include <doctest/doctest.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <string>
#include <thread>

#include "pipelines/wire/wire_loop.h"
#include "platform/wait/clock.h"
#include "tests/pipelines/link/link_fixture.h"

namespace slipring::wire {
namespace {

using test::Directory;
using test::must;
using test::records;

constexpr int kMessages = 5000;
constexpr std::uint64_t kPatienceNs = 60'000'000'000;

std::string message_of(int number) {
  return "message " + std::to_string(number) +
         std::string(static_cast<std::size_t>(number % 90), '.');
}

// The program that writes.
void produce(const SegmentDirectory& directory, const std::string& where) {
  BusEnd<LinkWriter> to = must(open_end<LinkWriter>(directory, where, records(65536)));
  const std::uint64_t until_ns = deadline_after(kPatienceNs);
  for (int i = 0; i < kMessages && monotonic_ns() < until_ns;) {
    const std::string text = message_of(i);
    std::span<std::byte> place;
    if (to->try_reserve(text.size(), place) != Transfer::kDone) {
      std::this_thread::yield();
      continue;
    }
    std::memcpy(place.data(), text.data(), text.size());
    to->commit(text.size());
    ++i;
  }
  to->close();
  CHECK(to.wait_until_carried(until_ns));
}

// The program that reads: how many came, in order and unchanged.
int consume(const SegmentDirectory& directory, const std::string& where) {
  BusEnd<LinkReader> from = must(open_end<LinkReader>(directory, where, records(65536)));
  const std::uint64_t until_ns = deadline_after(kPatienceNs);
  int count = 0;
  while (!from->is_finished() && monotonic_ns() < until_ns) {
    Message message;
    if (from->try_peek(message) != Transfer::kDone) {
      std::this_thread::yield();
      continue;
    }
    const std::string text(reinterpret_cast<const char*>(message.bytes.data()),
                           message.bytes.size());
    if (text != message_of(count)) return -1;
    ++count;
    from->release(message);
  }
  return count;
}

// The other machine: links, and a wire that offers them.
struct OtherMachine {
  OtherMachine() : segments(directory.open()), loop(must(WireLoop::create(segments, options()))) {
    REQUIRE(create_link(segments, "line", records(65536)).ok());
    std::string fault;
    REQUIRE(loop->listen(*parse_wire_address("tcp://:0", fault)).ok());
  }
  static WireLoopOptions options() {
    WireLoopOptions until_carried;
    until_carried.ends_with_offers = true;
    return until_carried;
  }
  [[nodiscard]] std::string address() const {
    return "tcp://:" + std::to_string(loop->port()) + "/line";
  }
  void serve(LinkSide side) {
    loop->offer("line", "line", side);
    thread = std::thread([this] { loop->run(stop); });
  }
  ~OtherMachine() {
    stop = true;
    if (thread.joinable()) thread.join();
  }
  Directory directory;
  SegmentDirectory segments;
  std::unique_ptr<WireLoop> loop;
  std::atomic<bool> stop{false};
  std::thread thread;
};

TEST_CASE("bus_link: the same programs over a link here") {
  const Directory directory;
  const SegmentDirectory segments = directory.open();
  REQUIRE(create_link(segments, "line", records(65536)).ok());
  std::thread producer([&] { produce(segments, "line"); });
  CHECK(consume(segments, "line") == kMessages);
  producer.join();
}

TEST_CASE("bus_link: the same programs, the writer's link on another machine") {
  const Directory here;
  const SegmentDirectory segments = here.open();
  OtherMachine there;
  there.serve(LinkSide::kReceiver);
  std::thread producer([&] { produce(segments, there.address()); });
  CHECK(consume(there.segments, "line") == kMessages);
  producer.join();
}

TEST_CASE("bus_link: the same programs, the reader's link on another machine") {
  const Directory here;
  const SegmentDirectory segments = here.open();
  OtherMachine there;
  there.serve(LinkSide::kSender);
  std::thread producer([&] { produce(there.segments, "line"); });
  CHECK(consume(segments, there.address()) == kMessages);
  producer.join();
}

TEST_CASE("bus_link: an address that is none is refused before anything is made") {
  const Directory here;
  const SegmentDirectory segments = here.open();
  CHECK(!open_end<LinkWriter>(segments, "http://box/line", records(4096)).ok());
  CHECK(!open_end<LinkWriter>(segments, "tcp://box:9000", records(4096)).ok());
  LinkShape pooled;
  pooled.kind = SegmentKind::kSlotLink;
  pooled.slot_count = 4;
  pooled.slot_bytes = 64;
  pooled.pool_buffer_count = 4;
  pooled.pool_buffer_bytes = 4096;
  CHECK(!open_end<LinkWriter>(segments, "tcp://box:9000/line", pooled).ok());
  CHECK(segments.list()->empty());
  std::string fault;
  const WireAddress socket = *parse_wire_address("unix:///run/a b#line", fault);
  CHECK(must(local_name_of(socket, LinkSide::kSender)) == "line.to.-run-a-b");
}

}  // namespace
}  // namespace slipring::wire
