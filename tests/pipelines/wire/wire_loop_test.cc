#include "pipelines/wire/wire_loop.h"

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "platform/wait/clock.h"
#include "tests/pipelines/adapter/tls_identities.h"
#include "tests/pipelines/link/link_fixture.h"

namespace slipring::wire {
namespace {

using test::Directory;
using test::must;
using test::records;

constexpr std::uint64_t kPatienceNs = 60'000'000'000;

WireAddress address_of(const std::string& text) {
  std::string fault;
  std::optional<WireAddress> address = parse_wire_address(text, fault);
  REQUIRE_MESSAGE(address, fault);
  return *address;
}

// A machine whose loop runs in a thread of its own.
class Machine {
 public:
  explicit Machine(const WireLoopOptions& options = {})
      : segments_(directory_.open()), loop_(must(WireLoop::create(segments_, options))) {
    loop_->tell([this](const WireEvent& event) {
      words_ += event.link + " " + std::to_string(static_cast<int>(event.kind)) + " " +
                event.words + "\n";
      if (event.kind == WireEvent::Kind::kRefused) ++refusals_;
    });
  }
  ~Machine() { stop(); }
  void make(const char* link, const LinkShape& shape) {
    const Status made = create_link(segments_, link, shape);
    REQUIRE(made.ok());
  }
  void start() {
    thread_ = std::thread([this] { carried_ = loop_->run(stop_); });
  }
  // False if something could not be carried.
  bool stop() {
    stop_ = true;
    return join();
  }
  bool join() {
    if (thread_.joinable()) thread_.join();
    return carried_;
  }
  WireLoop& loop() { return *loop_; }
  [[nodiscard]] const SegmentDirectory& segments() const { return segments_; }
  [[nodiscard]] int refusals() const { return refusals_; }
  // After join().
  [[nodiscard]] const std::string& words() const { return words_; }

 private:
  Directory directory_;
  SegmentDirectory segments_;
  std::unique_ptr<WireLoop> loop_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> carried_{true};
  std::atomic<int> refusals_{0};
  std::string words_;
  std::thread thread_;
};

std::string message_of(int number) {
  std::string text = "message " + std::to_string(number);
  text.resize(text.size() + static_cast<std::size_t>(number * 37 % 700), 'x');
  return text;
}

// What a program does that writes `count` messages, and one that reads them.
void write_all(const SegmentDirectory& segments, const char* link, int count) {
  LinkWriter writer = must(LinkWriter::attach(segments, link));
  const std::uint64_t until_ns = deadline_after(kPatienceNs);
  for (int i = 0; i < count;) {
    const std::string text = message_of(i);
    std::span<std::byte> place;
    if (writer.try_reserve(text.size(), place) == Transfer::kDone) {
      std::memcpy(place.data(), text.data(), text.size());
      writer.commit(text.size());
      ++i;
      continue;
    }
    REQUIRE(monotonic_ns() < until_ns);
    std::this_thread::yield();
  }
  writer.close();
}

int read_all(const SegmentDirectory& segments, const char* link) {
  LinkReader reader = must(LinkReader::attach(segments, link));
  const std::uint64_t until_ns = deadline_after(kPatienceNs);
  int count = 0;
  Message message;
  while (!reader.is_finished()) {
    if (reader.try_peek(message) == Transfer::kDone) {
      const std::string got(reinterpret_cast<const char*>(message.bytes.data()),
                            message.bytes.size());
      if (got != message_of(count)) return -1;
      ++count;
      reader.release(message);
      continue;
    }
    if (monotonic_ns() > until_ns) return -2;
    std::this_thread::yield();
  }
  return count;
}

TEST_CASE("wire_loop: two links, one each way, over one TCP port") {
  WireLoopOptions until_carried;
  until_carried.ends_with_offers = true;
  Machine server(until_carried);
  Machine client;
  for (Machine* machine : {&server, &client}) {
    machine->make("up", records(65536));
    machine->make("down", records(65536));
  }
  REQUIRE(server.loop().listen(address_of("tcp://:0")).ok());
  server.loop().offer("up", "up", LinkSide::kReceiver);
  server.loop().offer("down", "down", LinkSide::kSender);
  const WireAddress address = address_of("tcp://:" + std::to_string(server.loop().port()));
  REQUIRE(client.loop().dial(address, "up", "up", LinkSide::kSender).ok());
  REQUIRE(client.loop().dial(address, "down", "down", LinkSide::kReceiver).ok());
  server.start();
  client.start();
  std::thread up_writer([&] { write_all(client.segments(), "up", 3000); });
  std::thread down_writer([&] { write_all(server.segments(), "down", 3000); });
  int down_count = 0;
  std::thread down_reader([&] { down_count = read_all(client.segments(), "down"); });
  CHECK(read_all(server.segments(), "up") == 3000);
  down_reader.join();
  CHECK(down_count == 3000);
  up_writer.join();
  down_writer.join();
  CHECK(client.join());  // both ended by themselves
  CHECK(server.join());
}

TEST_CASE("wire_loop: over a unix socket, which goes with its server's name taken over") {
  Directory place;
  Machine client;
  client.make("line", records(65536));
  const WireAddress address = address_of("unix://" + place.path() + "/socket#line");
  CHECK(address.link == "line");
  REQUIRE(client.loop().dial(address, "line", address.link, LinkSide::kSender).ok());
  client.start();
  std::thread writer([&] { write_all(client.segments(), "line", 500); });
  {
    Machine dead;  // listens, and goes without removing the name
    REQUIRE(dead.loop().listen(address).ok());
  }
  WireLoopOptions until_carried;
  until_carried.ends_with_offers = true;
  Machine server(until_carried);
  server.make("line", records(65536));
  REQUIRE(server.loop().listen(address).ok());
  server.loop().offer("line", "line", LinkSide::kReceiver);
  server.start();
  CHECK(read_all(server.segments(), "line") == 500);
  writer.join();
  CHECK(client.join());
  CHECK(server.join());
}

TEST_CASE("wire_loop: over TLS; a client of another authority is refused") {
  TlsIdentities identities;
  identities.add_stranger();
  const auto with = [&](const std::string& address, const char* who) {
    const TlsCredentials files = identities.credentials(who);
    return address_of(address + "?ca=" + files.authority_file + "&cert=" + files.certificate_file +
                      "&key=" + files.key_file +
                      (who == std::string("server") ? "&name=reader" : ""));
  };
  WireLoopOptions options;
  options.ends_with_offers = true;
  Machine server(options);
  server.make("line", records(65536));
  REQUIRE(server.loop().listen(with("tcp+tls://:0", "server")).ok());
  server.loop().offer("line", "line", LinkSide::kReceiver);
  server.start();
  const std::string address =
      "tcp+tls://localhost:" + std::to_string(server.loop().port()) + "/line";
  {
    Machine impostor;
    impostor.make("line", records(65536));
    REQUIRE(
        impostor.loop().dial(with(address, "impostor"), "line", "line", LinkSide::kSender).ok());
    LinkWriter writer = must(LinkWriter::attach(impostor.segments(), "line"));
    impostor.start();
    const std::uint64_t until_ns = deadline_after(kPatienceNs);
    while (server.refusals() < 2 && monotonic_ns() < until_ns) {
      std::this_thread::yield();  // it was refused once, and tries again
    }
    impostor.stop();
    CHECK(impostor.words().find("unknown ca") != std::string::npos);
  }
  Machine client;
  client.make("line", records(65536));
  REQUIRE(client.loop().dial(with(address, "client"), "line", "line", LinkSide::kSender).ok());
  client.start();
  std::thread writer([&] { write_all(client.segments(), "line", 2000); });
  CHECK(read_all(server.segments(), "line") == 2000);
  writer.join();
  CHECK(client.join());
  CHECK(server.join());
}

}  // namespace
}  // namespace slipring::wire
