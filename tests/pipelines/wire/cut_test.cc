// A connection is cut at every byte of an exchange, in either direction, and made anew; processes
// that carried it die with it, or do not.
#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

#include "pipelines/link/board.h"
#include "pipelines/wire/byte_order.h"
#include "pipelines/wire/crc32c.h"
#include "platform/memory/segment_file.h"
#include "tests/pipelines/wire/cut_exchange.h"

namespace slipring::wire {
namespace {

using test::records;
using test::slots;

std::array<CutScene, 3> scenes() {
  return {{{"records", records(1024), records(4096)},
           {"slots", slots(16, 24), slots(32, 24)},
           {"stream", stream_link_shape(512), stream_link_shape(1024)}}};
}

TEST_CASE("cut: after every byte, a new connection loses nothing and repeats nothing") {
  for (const CutScene& scene : scenes()) {
    for (const LinkSide client : {LinkSide::kSender, LinkSide::kReceiver}) {
      cut_everywhere(scene, client, false);
    }
  }
}

TEST_CASE("cut: an abort gets through, and takes nothing that came after it") {
  for (const CutScene& scene : scenes()) {
    for (const LinkSide client : {LinkSide::kSender, LinkSide::kReceiver}) {
      cut_everywhere(scene, client, true);
    }
  }
}

// Mistakes that the judgement has to see.

std::string first_fault(CutExchange& exchange, Killed killed) {
  const CutExchange::Lengths lengths = exchange.measure();
  for (std::size_t at = 0; at <= lengths.to_client; ++at) {
    CutExchange::Round round;
    round.cut = {SIZE_MAX, at};
    round.killed = killed;
    if (std::string fault = exchange.run(round); !fault.empty()) return fault;
  }
  return "none";
}

TEST_CASE("cut, planted: a receiver that does not keep how far it was repeats") {
  const CutScene scene = scenes()[0];
  CutExchange exchange(scene.here, scene.there, LinkSide::kSender);
  exchange.while_dead = [](const SegmentDirectory& there) {
    REQUIRE(remove_segment(there, std::string(kLink) + ".wire-in").ok());
  };
  CHECK(first_fault(exchange, Killed::kReceiver).find("another comes twice") != std::string::npos);
}

TEST_CASE("cut, planted: a receiver that notes a message and does not publish it loses it") {
  CutExchange exchange(slots(64, 24), slots(64, 24), LinkSide::kSender);
  exchange.while_dead = [](const SegmentDirectory& there) {
    Board board = must(Board::attach(there, std::string(kLink) + ".wire-in"));
    const auto number = [&](const char* name) { return board.number(name, BoardKind::kGauge); };
    const bool is_second =
        number(".now1_ring_position").get() > number(".now0_ring_position").get();
    number(is_second ? ".now1_arrived" : ".now0_arrived").add(1);
  };
  CHECK(first_fault(exchange, Killed::kReceiver).find("is lost") != std::string::npos);
}

TEST_CASE("cut, planted: a sender that goes on behind what has arrived is refused") {
  CutExchange exchange(slots(64, 24), slots(64, 24), LinkSide::kSender);
  exchange.tamper_to_client = [](std::vector<std::byte>& bytes) {
    // The preamble, the welcome, and the first acknowledgement: one more.
    constexpr std::size_t kAck = kPreambleBytes + kHeaderBytes + 8;
    if (bytes.size() < kAck + kHeaderBytes + 8) return;
    if (bytes[kAck] != static_cast<std::byte>(FrameType::kAck)) return;
    const auto header = std::span(bytes).subspan(kAck).first<kHeaderBytes>();
    store_little(header.data() + 8, load_little<std::uint64_t>(header.data() + 8) + 1);
    store_check(header,
                crc32c(header_check(header), std::span(bytes).subspan(kAck + kHeaderBytes, 8)));
  };
  CHECK(first_fault(exchange, Killed::kNobody) == "the second connection ended");
}

}  // namespace
}  // namespace slipring::wire
