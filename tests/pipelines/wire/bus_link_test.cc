// One program, run over a link of this machine and over one of another: only the address differs.
#include "pipelines/wire/bus_link.h"

#include <doctest/doctest.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <string>
#include <thread>

#include "pipelines/link/value_link.h"
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
  explicit OtherMachine(const LinkShape& shape = records(65536))
      : segments(directory.open()), loop(must(WireLoop::create(segments, options()))) {
    REQUIRE(create_link(segments, "line", shape).ok());
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

// Programs of typed values, and of buffers of a pool.

struct Sample {
  static constexpr std::uint64_t kValueMark = 1;
  std::uint64_t number;
  double half;
};
struct OtherSample {
  static constexpr std::uint64_t kValueMark = 2;
  double half;
  std::uint64_t number;
};

template <typename Try>
bool patiently(Try&& try_it) {
  const std::uint64_t until_ns = deadline_after(kPatienceNs);
  while (try_it() != Transfer::kDone) {
    if (monotonic_ns() > until_ns) return false;
    std::this_thread::yield();
  }
  return true;
}

void produce_values(const SegmentDirectory& directory, const std::string& where) {
  auto to = must(open_end<ValueWriter<Sample>>(directory, where, value_link_shape<Sample>(100)));
  for (std::uint64_t i = 0; i < kMessages; ++i) {
    const Sample one{i, static_cast<double>(i) / 2};
    if (!patiently([&] { return to->try_push(one); })) return;
  }
  to->close();
  CHECK(to.wait_until_carried(deadline_after(kPatienceNs)));
}

int consume_values(const SegmentDirectory& directory, const std::string& where) {
  auto from = must(open_end<ValueReader<Sample>>(directory, where, value_link_shape<Sample>(100)));
  for (std::uint64_t i = 0; i < kMessages; ++i) {
    Sample one{};
    if (!patiently([&] { return from->try_pop(one); })) return static_cast<int>(i);
    if (one.number != i || one.half != static_cast<double>(i) / 2) return -1;
  }
  return kMessages;
}

LinkShape pooled_shape() {
  LinkShape shape = test::slots(16, 64);
  shape.pool_buffer_count = 4;
  shape.pool_buffer_bytes = 128 * 1024;  // more than one frame's
  return shape;
}

void produce_buffers(const SegmentDirectory& directory, const std::string& where) {
  auto to = must(open_end<LinkWriter>(directory, where, pooled_shape()));
  for (int i = 0; i < 100; ++i) {
    std::uint32_t buffer = 0;
    std::span<std::byte> place;
    if (!patiently([&] { return to->pool()->try_acquire(buffer); })) return;
    if (!patiently([&] { return to->try_reserve(64, place); })) return;
    for (std::byte& one : to->pool()->bytes(buffer)) one = static_cast<std::byte>(i);
    const BufferHandle handle = to->pool()->lend(buffer);
    std::memcpy(place.data(), &handle, sizeof handle);
    std::memcpy(place.data() + sizeof handle, &i, sizeof i);
    to->commit(64);
    to->pool()->drop(buffer);
  }
  to->close();
  CHECK(to.wait_until_carried(deadline_after(kPatienceNs)));
  CHECK(patiently(
      [&] { return to->pool()->lent_count() == 0 ? Transfer::kDone : Transfer::kBlocked; }));
}

int consume_buffers(const SegmentDirectory& directory, const std::string& where) {
  auto from = must(open_end<LinkReader>(directory, where, pooled_shape()));
  for (int i = 0; i < 100; ++i) {
    Message message;
    if (!patiently([&] { return from->try_peek(message); })) return i;
    BufferHandle handle;
    int number = 0;
    std::memcpy(&handle, message.bytes.data(), sizeof handle);
    std::memcpy(&number, message.bytes.data() + sizeof handle, sizeof number);
    if (number != i || !from->pool()->holds(handle)) return -1;
    for (const std::byte one : from->pool()->bytes(handle)) {
      if (one != static_cast<std::byte>(i)) return -2;
    }
    from->give_back(handle);
    from->release(message);
  }
  return 100;
}

TEST_CASE("bus_link: typed values, here and to another machine and from it") {
  for (const LinkSide served : {LinkSide::kReceiver, LinkSide::kSender}) {
    const Directory here;
    const SegmentDirectory segments = here.open();
    OtherMachine there(value_link_shape<Sample>(333));
    there.serve(served);
    const bool writes = served == LinkSide::kReceiver;
    const SegmentDirectory& theirs = there.segments;
    std::thread producer(
        [&] { produce_values(writes ? segments : theirs, writes ? there.address() : "line"); });
    CHECK(consume_values(writes ? theirs : segments, writes ? "line" : there.address()) ==
          kMessages);
    producer.join();
  }
}

TEST_CASE("bus_link: values of another type are refused, on both machines") {
  const Directory here;
  const SegmentDirectory segments = here.open();
  OtherMachine there(value_link_shape<Sample>(100));
  there.serve(LinkSide::kReceiver);
  CHECK(!ValueReader<OtherSample>::attach(there.segments, "line").ok());
  auto to = must(open_end<ValueWriter<OtherSample>>(segments, there.address(),
                                                    value_link_shape<OtherSample>(100)));
  REQUIRE(to->try_push({0.5, 1}) == Transfer::kDone);
  CHECK(to.carrier()->wait_until_over(deadline_after(kPatienceNs)));
  CHECK(!to.carrier()->is_carried());
}

TEST_CASE("bus_link: buffers of a pool, to another machine and from it") {
  for (const LinkSide served : {LinkSide::kReceiver, LinkSide::kSender}) {
    const Directory here;
    const SegmentDirectory segments = here.open();
    OtherMachine there(pooled_shape());
    there.serve(served);
    const bool writes = served == LinkSide::kReceiver;
    const SegmentDirectory& theirs = there.segments;
    std::thread producer(
        [&] { produce_buffers(writes ? segments : theirs, writes ? there.address() : "line"); });
    CHECK(consume_buffers(writes ? theirs : segments, writes ? "line" : there.address()) == 100);
    producer.join();
  }
}

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
  LinkShape vast = pooled_shape();
  vast.pool_buffer_bytes = std::uint64_t{1} << 32;
  CHECK(!open_end<LinkWriter>(segments, "tcp://box:9000/line", vast).ok());
  CHECK(segments.list()->empty());
  std::string fault;
  const WireAddress socket = *parse_wire_address("unix:///run/a b#line", fault);
  CHECK(must(local_name_of(socket, LinkSide::kSender)) == "line.to.-run-a-b");
}

}  // namespace
}  // namespace slipring::wire
