// Links of typed values and links with a pool, over a wire: what has to be the same on both
// machines, and what a hostile one may say of lengths and buffers.
#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "pipelines/link/link_observer.h"
#include "pipelines/link/value_link.h"
#include "pipelines/wire/byte_order.h"
#include "pipelines/wire/crc32c.h"
#include "pipelines/wire/frame_writer.h"
#include "pipelines/wire/wire_shape.h"
#include "tests/pipelines/wire/message_programs.h"
#include "tests/pipelines/wire/wire_fixture.h"

namespace slipring::wire {
namespace {

using test::slots;

struct Ends {
  Ends(const LinkShape& from, const LinkShape& to, LinkSide client = LinkSide::kSender)
      : here(from), there(to), client_side(client) {
    here.start(LinkSide::kSender);
    there.start(LinkSide::kReceiver);
  }
  Connection connect() {
    return client_side == LinkSide::kSender ? Connection(here, there) : Connection(there, here);
  }
  Machine here;
  Machine there;
  LinkSide client_side;
};

// Changes the payload of the first frame of that type.
Connection::Tamper tamper_with(FrameType type, std::function<void(std::span<std::byte>)> change) {
  return [type, change](std::vector<std::byte>& bytes) {
    std::size_t at =
        bytes.size() > kPreambleBytes && bytes[0] == std::byte{'s'} ? kPreambleBytes : 0;
    while (at + kHeaderBytes <= bytes.size()) {
      const auto header = std::span(bytes).subspan(at).first<kHeaderBytes>();
      const auto count = load_little<std::uint32_t>(header.data() + 4);
      const std::span<std::byte> payload = std::span(bytes).subspan(at + kHeaderBytes, count);
      if (header[0] == static_cast<std::byte>(type)) {
        change(payload);
        store_check(header, crc32c(header_check(header), payload));
        return;
      }
      at += kHeaderBytes + count;
    }
  };
}

struct OtherValue {
  static constexpr std::uint64_t kValueMark = TextValue::kValueMark + 1;
  std::array<char, 24> text;
};

TEST_CASE("form: values of another size, mark or byte order are refused in words") {
  const auto refusal = [](const LinkShape& there, const Connection::Tamper& tamper) {
    Ends ends(text_values(8), there);
    Connection connection = ends.connect();
    if (tamper) connection.tamper_to_server(tamper);
    connection.run();
    CHECK(connection.client().outcome() == SessionEnd::kRefused);
    return connection.client().words();
  };
  CHECK(refusal(value_link_shape<std::uint64_t>(8), {}) == "values of another type");
  CHECK(refusal(value_link_shape<OtherValue>(8), {}) == "values of another type");
  CHECK(refusal(slots(8, 24), {}) == "links do not match");
  const auto swapped = tamper_with(FrameType::kOpen, [](std::span<std::byte> open) {
    REQUIRE(open[17] == static_cast<std::byte>(own_byte_order()));
    open[17] = static_cast<std::byte>(3 - std::to_integer<int>(open[17]));
  });
  CHECK(refusal(text_values(8), swapped) == "values of another byte order");
  // A link that says nothing of its type takes any of the size.
  LinkShape unmarked = text_values(8);
  unmarked.value_mark = 0;
  Ends ends(text_values(8), unmarked);
  Connection connection = ends.connect();
  connection.run();
  CHECK(connection.client().was_running());
}

TEST_CASE("form: a pool goes to a pool of the same lengths alone") {
  for (const LinkShape& there : {slots(16, kPooledSlotBytes), text_values(16)}) {
    Ends ends(pooled_slots(16, 4), there);
    Connection connection = ends.connect();
    connection.run();
    CHECK(connection.client().refusal() == ErrorReason::kMismatch);
  }
  LinkShape wider = pooled_slots(16, 4);
  wider.pool_buffer_bytes = 128;
  Ends ends(pooled_slots(16, 4), wider);
  Connection connection = ends.connect();
  connection.run();
  CHECK(connection.client().refusal() == ErrorReason::kMismatch);
}

TEST_CASE("form: where the other side does not know the kind, the sender says so") {
  const auto forget = [](std::span<std::byte> features) { features[0] &= ~std::byte{kLongOpens}; };
  for (const LinkSide client : {LinkSide::kSender, LinkSide::kReceiver}) {
    Ends ends(text_values(8), text_values(8), client);
    Connection connection = ends.connect();
    if (client == LinkSide::kSender) {
      connection.tamper_to_client(tamper_with(FrameType::kWelcome, forget));
    } else {
      connection.tamper_to_server(tamper_with(
          FrameType::kHello, [&](std::span<std::byte> hello) { forget(hello.subspan(4)); }));
    }
    connection.run();
    Session& sender = client == LinkSide::kSender ? connection.client() : connection.server();
    Session& receiver = client == LinkSide::kSender ? connection.server() : connection.client();
    CHECK(sender.refusal() == ErrorReason::kTooOld);
    CHECK(receiver.outcome() == SessionEnd::kRefused);
    CHECK(receiver.words() == "the other side does not know this kind of link");
    CHECK_FALSE(receiver.was_running());
  }
}

// A sender that says what it likes.
class Liar {
 public:
  Liar(Machine& there, const WireForm& form) : book_(there), server_(book_, {}, 0) {
    std::array<std::byte, kControlBytesMax> payload;
    FrameWriter out(place_);
    out.put_preamble();
    FrameHeader header;
    header.type = FrameType::kHello;
    const Hello hello{LinkSide::kSender, kLongOpens, {}, kLink};
    out.put(header, std::span(payload).first(encode(hello, payload)));
    header.type = FrameType::kOpen;
    out.put(header, std::span(payload).first(encode(Open{{7, 7}, form}, payload)));
    give(out.used());
    REQUIRE(server_.was_running());
  }
  // `bytes` of a message that is said to be so long.
  const std::string& say(std::uint64_t position, std::uint32_t span, std::uint32_t total,
                         std::size_t bytes) {
    FrameWriter out(place_);
    FrameHeader header;
    header.type = FrameType::kData;
    header.position = position;
    header.span = span;
    header.total = total;
    const std::vector<std::byte> payload(bytes, std::byte{1});
    out.put(header, payload, {}, false);
    give(out.used());
    return server_.words();
  }
  Session& server() { return server_; }

 private:
  void give(std::size_t count) {
    std::span<const std::byte> input(place_.data(), count);
    server_.receive(input, 0);
  }
  OnePort book_;
  Session server_;
  std::array<std::byte, kOutputBytes> place_{};
};

TEST_CASE("form: a hostile sender's lengths of values are refused, and nothing is published") {
  const char* const kWrong = "data that do not follow what has arrived";
  struct Said {
    std::uint32_t span;
    std::uint32_t total;
  };
  // Not whole values; not as many as said; more than the ring has; products that come round.
  for (const Said& said : {Said{1, 23}, Said{2, 24}, Said{1, 48}, Said{9, 9 * 24},
                           Said{0x8000'0001, 24}, Said{0x1000'0000, 0x8000'0000}}) {
    Machine there(text_values(8));
    there.start(LinkSide::kReceiver);
    Liar liar(there, there.port->sink().form());
    CHECK(liar.say(0, said.span, said.total, std::min<std::size_t>(said.total, 64)) == kWrong);
    CHECK(there.port->sink().position() == 0);
  }
  Machine there(text_values(8));
  there.start(LinkSide::kReceiver);
  Liar liar(there, there.port->sink().form());
  CHECK(liar.say(0, 8, 8 * 24, 8 * 24).empty());  // all that it holds
  CHECK(there.port->sink().position() == 8);
  CHECK(liar.say(8, 1, 24, 24).empty());  // beyond its credit: it waits
  CHECK(liar.server().is_blocked());
}

TEST_CASE("form: a hostile sender names no buffer, and leaks none") {
  Machine there(pooled_slots(16, 2));
  there.start(LinkSide::kReceiver);
  LinkReader reader = must(LinkReader::attach(there.segments, kLink));
  const auto lent = [&] {
    return must(LinkObserver::attach(there.segments, kLink)).report().pool_lent_count;
  };
  const WireForm form = there.port->sink().form();
  constexpr std::uint32_t kWhole = kPooledSlotBytes + kPooledBufferBytes;
  for (const std::uint32_t total :
       {kPooledSlotBytes - 1, kPooledSlotBytes + 1, kWhole - 1, kWhole + 1, 0U, 0xffff'fff0U}) {
    Liar liar(there, form);
    CHECK(!liar.say(0, 1, total, std::min<std::size_t>(total, 16)).empty());
  }
  CHECK(there.port->sink().position() == 0);
  {
    Liar liar(there, form);
    CHECK(liar.say(0, 1, kPooledSlotBytes, kPooledSlotBytes).empty());
    // A beginning, again and again: the buffers are two.
  }
  for (int i = 0; i < 5; ++i) {
    Liar liar(there, form);
    CHECK(liar.say(1, 1, kWhole, 10).empty());
    CHECK_FALSE(liar.server().is_blocked());
  }
  CHECK(lent() == 0);
  Message message;
  REQUIRE(reader.try_peek(message) == Transfer::kDone);
  BufferHandle handle;
  std::memcpy(&handle, message.bytes.data(), sizeof handle);
  CHECK(handle.slot == kNoBufferSlot);  // and not 0x01010101
  CHECK(message.bytes[sizeof handle] == std::byte{1});
}

TEST_CASE(
    "form: a reader that keeps all buffers stops the sender, and nothing waits in the socket") {
  Ends ends(pooled_slots(16, 12), pooled_slots(16, 3));
  LinkWriter writer = must(LinkWriter::attach(ends.here.segments, kLink));
  LinkReader reader = must(LinkReader::attach(ends.there.segments, kLink));
  Connection connection = ends.connect();
  const auto send = [&](std::uint8_t number) {
    std::uint32_t buffer = 0;
    std::span<std::byte> place;
    REQUIRE(writer.pool()->try_acquire(buffer) == Transfer::kDone);
    REQUIRE(writer.try_reserve(kPooledSlotBytes, place) == Transfer::kDone);
    writer.pool()->bytes(buffer)[0] = std::byte{number};
    const BufferHandle handle = writer.pool()->lend(buffer);
    std::memcpy(place.data(), &handle, sizeof handle);
    writer.commit(kPooledSlotBytes);
    writer.pool()->drop(buffer);
  };
  for (std::uint8_t i = 0; i < 10; ++i) send(i);
  connection.run();
  CHECK(ends.there.port->sink().position() == 3);
  CHECK(!connection.server().is_blocked());
  CHECK(writer.pool()->lent_count() == 7);  // three are acknowledged, and back
  Message message;
  for (std::uint8_t i = 0; i < 10; ++i) {
    REQUIRE(reader.try_peek(message) == Transfer::kDone);
    BufferHandle handle;
    std::memcpy(&handle, message.bytes.data(), sizeof handle);
    REQUIRE(reader.pool()->holds(handle));
    CHECK(reader.pool()->bytes(handle)[0] == std::byte{i});
    reader.give_back(handle);
    reader.release(message);
    connection.run();
    CHECK(!connection.server().is_blocked());
  }
  CHECK(writer.pool()->lent_count() == 0);
  // What is aborted comes back to both pools.
  for (std::uint8_t i = 0; i < 10; ++i) send(i);
  connection.run();
  writer.abort_published();
  connection.run();
  CHECK(writer.pool()->lent_count() == 0);
  reader.skip_aborted();
  CHECK(must(LinkObserver::attach(ends.there.segments, kLink)).report().pool_lent_count == 0);
}

TEST_CASE("form: a buffer that a predecessor gave back goes as none") {
  Machine here(pooled_slots(16, 4));
  Machine there(pooled_slots(16, 4));
  const auto programs =
      MessagePrograms::start(here.segments, there.segments, kLink, pooled_slots(16, 4));
  REQUIRE(programs->push(std::string(16, 'a') + std::string(64, 'b')));
  {
    // A reader that dies between its buffer and its message.
    LinkReader reader = must(LinkReader::attach(here.segments, kLink));
    Message message;
    REQUIRE(reader.try_peek(message) == Transfer::kDone);
    BufferHandle handle;
    std::memcpy(&handle, message.bytes.data(), sizeof handle);
    reader.give_back(handle);
  }
  here.start(LinkSide::kSender);
  there.start(LinkSide::kReceiver);
  Connection connection(here, there);
  connection.run();
  CHECK(programs->pop_all() == std::vector<std::string>{std::string(16, 'a')});
}

}  // namespace
}  // namespace slipring::wire
