// Two machines in one test: a segment directory each, and bytes between their sessions that the
// test may cut anywhere.
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "pipelines/link/broadcast_layout.h"
#include "pipelines/link/link_observer.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/link/stream_link.h"
#include "pipelines/wire/session.h"
#include "tests/pipelines/link/guarded_fixture.h"
#include "tests/pipelines/link/link_fixture.h"

namespace slipring::wire {

using test::Directory;
using test::must;

inline constexpr const char* kLink = "line";
inline constexpr const char* kTestPeer = "the other machine";

// One machine's end: the directory stays when the process that carries the wire dies.
struct Machine {
  explicit Machine(const LinkShape& shape, bool is_guarded = false) : segments(directory.open()) {
    if (is_guarded) {
      broker.emplace(segments, shape, GuardOptions{}, kLink);
      return;
    }
    const Status made = create_link(segments, kLink, shape);
    REQUIRE_MESSAGE(made.ok(), made.error().doing);
  }
  explicit Machine(const BroadcastShape& topic) : segments(directory.open()) {
    const Status made = create_broadcast(segments, kLink, topic);
    REQUIRE_MESSAGE(made.ok(), made.error().doing);
  }
  // The process that carries the wire begins, perhaps as a successor.
  void start(LinkSide side) {
    const Result<LinkObserver> found = LinkObserver::attach(segments, kLink);
    const bool is_set = found.ok() && is_lane_set(found.value().shape());
    if (is_set && side == LinkSide::kSender) return start_lanes();
    port = std::make_unique<WirePort>();
    const Status opened = port->open(segments, kLink, kLink, side);
    REQUIRE_MESSAGE(opened.ok(), opened.error().doing);
  }
  void start_lanes() {
    for (;;) {
      auto lanes = WirePort::open_lanes(segments, kLink, kLink);
      // A guarded set's broker may be about to hear that the one before has gone.
      if (!lanes && lanes.error().code == ErrorCode::kBusy) continue;
      REQUIRE_MESSAGE(lanes.ok(), lanes.error().doing);
      other_lanes = std::move(lanes).value();
      port = std::move(other_lanes.front());
      return;
    }
  }
  // It is gone, at whatever point it was.
  void kill() {
    port.reset();
    other_lanes.clear();
  }

  Directory directory;
  SegmentDirectory segments;
  std::optional<test::BrokerProcess> broker;  // of a guarded link
  std::unique_ptr<WirePort> port;             // of a set that is sent: its first lane's
  std::vector<std::unique_ptr<WirePort>> other_lanes;
};

class OnePort : public PortBook {
 public:
  explicit OnePort(Machine& machine) : machine_(machine) {}
  [[nodiscard]] WirePort* find(const Hello& hello, ErrorReason&) noexcept override {
    WirePort* port = machine_.port.get();
    const bool is_meant =
        port != nullptr && port->wire_name() == hello.link && port->side() == other(hello.side);
    return is_meant ? port : nullptr;
  }

 private:
  Machine& machine_;
};

// At most so many bytes come through in a direction; then both sides lose the connection.
struct Cut {
  std::size_t to_server = SIZE_MAX;
  std::size_t to_client = SIZE_MAX;
};

// A connection: what one session puts, the other receives, until it is cut.
class Connection {
 public:
  Connection(Machine& client, Machine& server, const SessionOptions& options = {}, Cut cut = {})
      : book_(server), client_(*client.port, options, 0), server_(book_, options, 0), cut_(cut) {
    client_.name_peer(kTestPeer);
    server_.name_peer(kTestPeer);
  }

  // Moves bytes until nothing more comes of it, or the connection is cut.
  void run() {
    for (bool moves = true; moves && !is_cut_;) {
      moves = step(client_, server_, to_server_, cut_.to_server, moved_to_server_);
      if (is_cut_) break;
      moves = step(server_, client_, to_client_, cut_.to_client, moved_to_client_) || moves;
    }
  }

  Session& client() { return client_; }
  Session& server() { return server_; }
  [[nodiscard]] bool is_cut() const { return is_cut_; }
  [[nodiscard]] std::size_t moved_to_server() const { return moved_to_server_; }
  [[nodiscard]] std::size_t moved_to_client() const { return moved_to_client_; }
  // Bytes a time; without it as many as there are.
  void set_piece_bytes(std::size_t bytes) { piece_bytes_ = bytes; }
  // Somebody in between changes what one side has put before the other sees it.
  using Tamper = std::function<void(std::vector<std::byte>&)>;
  void tamper_to_client(Tamper tamper) { tamper_to_client_ = std::move(tamper); }
  void tamper_to_server(Tamper tamper) { tamper_to_server_ = std::move(tamper); }
  // What was sent, from the first byte on.
  std::vector<std::byte> sent_to_server;
  std::vector<std::byte> sent_to_client;

 private:
  bool step(Session& from, Session& to, std::vector<std::byte>& under_way, std::size_t most,
            std::size_t& moved) {
    bool moves = false;
    if (under_way.empty() && from.has_output()) {
      under_way.resize(kOutputBytes);
      under_way.resize(from.send(under_way));
      const Tamper& tamper = &from == &client_ ? tamper_to_server_ : tamper_to_client_;
      if (tamper) tamper(under_way);
      auto& record = &from == &client_ ? sent_to_server : sent_to_client;
      record.insert(record.end(), under_way.begin(), under_way.end());
    }
    const std::size_t count = std::min({under_way.size(), most - moved, piece_bytes_});
    std::span<const std::byte> input(under_way.data(), count);
    const bool may_take = !to.is_blocked() || to.may_unblock();
    if (count != 0 && may_take) {
      to.receive(input, 0);
      const std::size_t taken = to.state() == Session::State::kEnded ? count : count - input.size();
      moved += taken;
      under_way.erase(under_way.begin(), under_way.begin() + static_cast<std::ptrdiff_t>(taken));
      moves = taken != 0;
    }
    if (moved == most) {
      is_cut_ = true;
      from.cut();
      to.cut();
    }
    return moves;
  }

  OnePort book_;
  Session client_;
  Session server_;
  Cut cut_;
  bool is_cut_ = false;
  std::size_t piece_bytes_ = SIZE_MAX;
  Tamper tamper_to_server_;
  Tamper tamper_to_client_;
  std::vector<std::byte> to_server_;
  std::vector<std::byte> to_client_;
  std::size_t moved_to_server_ = 0;
  std::size_t moved_to_client_ = 0;
};

// The programs at the ends.

inline void push(LinkWriter& writer, std::string_view text) {
  std::span<std::byte> place;
  REQUIRE(writer.try_reserve(text.size(), place) == Transfer::kDone);
  std::memcpy(place.data(), text.data(), text.size());
  writer.commit(text.size());
}

// Everything that is there; what is aborted is left out, as a program would.
inline std::vector<std::string> pop_all(LinkReader& reader) {
  std::vector<std::string> all;
  Message message;
  while (reader.try_peek(message) == Transfer::kDone) {
    if (!message.aborted) {
      all.emplace_back(reinterpret_cast<const char*>(message.bytes.data()), message.bytes.size());
    }
    reader.release(message);
  }
  return all;
}

inline std::string pop_all(StreamReader& reader) {
  std::string all;
  StreamView view;
  while (reader.try_peek(view) == Transfer::kDone) {
    for (const auto& part : {view.bytes.first, view.bytes.second}) {
      all.append(reinterpret_cast<const char*>(part.data()), part.size());
    }
    reader.consume(view.bytes.size());
  }
  return all;
}

}  // namespace slipring::wire
