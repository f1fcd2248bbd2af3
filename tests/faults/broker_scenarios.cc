// A broker in the process that is looked at: its calls fail while it serves, and it serves on.
//
// The guests are in the same process and thread, so that a broker's turn comes when it is due.
// What a broker cannot do it answers by closing the connection; which of its calls failed is not
// the guest's to know.  Nobody speaks to it once attached: a connection that breaks then frees
// nothing as long as its process lives, and here that is the broker's own.

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "pipelines/link/guard_protocol.h"
#include "pipelines/link/guard_shape.h"
#include "pipelines/link/guarded_broker.h"
#include "platform/memory/page_size.h"
#include "platform/memory/sealed_memory.h"
#include "platform/rendezvous/connection.h"
#include "platform/wait/clock.h"
#include "tests/faults/scenario.h"

namespace slipring::faults {

namespace {

constexpr std::uint64_t kSoonNs = 200'000'000;
constexpr int kTurns = 12;

LinkShape records() {
  LinkShape shape;
  shape.kind = SegmentKind::kRecordLink;
  shape.capacity_bytes = 4096;
  return shape;
}

constexpr std::uint16_t number(GuardKind kind) {
  return static_cast<std::uint16_t>(kind);
}

// One who asks, and says goodbye.
struct Guest {
  explicit Guest(Connection to) : connection(std::move(to)) {}
  Guest(Guest&&) = default;
  ~Guest() { static_cast<void>(connection.send(number(GuardKind::kBye), {})); }
  Connection connection;
};

struct House {
  explicit House(GuardedBroker made) : broker(std::move(made)) {}
  GuardedBroker broker;
  std::vector<Guest> guests;

  // The broker learns that the guests are gone.
  void clear() {
    guests.clear();
    for (int turn = 0; turn < kTurns; ++turn) broker.turn();
  }
};
using Kept = std::shared_ptr<House>;

// What went wrong; nothing if all went well.
using Fault = std::optional<Outcome>;

// Gives the broker turns until it has answered.
Fault hear(House& house, std::size_t guest, GuardKind wanted, Packet& packet) {
  for (int turn = 0; turn < kTurns; ++turn) {
    house.broker.turn();
    Result<Arrival> got = house.guests[guest].connection.receive(packet);
    if (!got.ok()) return Outcome::failed(got.error());
    if (*got == Arrival::kClosed) return Outcome::refused("the broker closed the connection");
    if (*got == Arrival::kNothing) continue;
    if (packet.kind == number(wanted)) return std::nullopt;
    if (packet.kind == number(GuardKind::kRefuse)) return Outcome::refused("the broker refused");
    return Outcome::lying("another answer than was due");
  }
  return Outcome::refused("no answer");
}

Fault ask(Stage& stage, House& house, std::uint32_t role, Packet& packet) {
  Result<Connection> connection =
      Connection::connect(*stage.directory, "g", deadline_after(kSoonNs));
  if (!connection.ok()) return Outcome::failed(connection.error());
  house.guests.emplace_back(std::move(*connection));
  const std::size_t guest = house.guests.size() - 1;
  const GuardAsk body{role, 0};
  const Status sent =
      house.guests[guest].connection.send(number(GuardKind::kAsk), guard_bytes(body));
  if (!sent.ok()) return Outcome::failed(sent.error());
  return hear(house, guest, GuardKind::kGrant, packet);
}

Fault attach(Stage& stage, House& house, Role role) {
  Packet packet;
  if (Fault fault = ask(stage, house, static_cast<std::uint32_t>(role), packet)) return fault;
  const auto grant = guard_body<GuardGrant>(packet.bytes());
  if (!grant) return Outcome::lying("a grant of another size");
  Result<GuardShape> shape = guard_shape(records(), page_size_bytes());
  if (!shape.ok()) return Outcome::failed(shape.error());
  Result<SealedMemory> memory = make_sealed_memory(
      role == Role::kWriter ? shape->parts.writer_bytes : shape->parts.reader_bytes,
      MemoryLock::kOff);
  if (!memory.ok()) return Outcome::failed(memory.error());
  const GuardGeneration body{static_cast<std::uint32_t>(role), grant->next_generation};
  const std::array<int, 1> descriptors = {memory->descriptor.get()};
  const std::size_t guest = house.guests.size() - 1;
  const Status sent = house.guests[guest].connection.send(number(GuardKind::kRegion),
                                                          guard_bytes(body), descriptors);
  if (!sent.ok()) return Outcome::failed(sent.error());
  return hear(house, guest, GuardKind::kAccepted, packet);
}

Outcome serve_all(Stage& stage) {
  House& house = *std::any_cast<Kept&>(stage.kept);
  if (Fault fault = attach(stage, house, Role::kWriter)) return *fault;
  if (Fault fault = attach(stage, house, Role::kReader)) return *fault;
  // The writer is told who reads.
  Packet packet;
  if (Fault fault = hear(house, 0, GuardKind::kNews, packet)) return *fault;
  if (packet.descriptor_count != 1) return Outcome::lying("news without their memory");
  if (Fault fault = ask(stage, house, kObserverRole, packet)) return *fault;
  return Outcome::done();
}

}  // namespace

std::vector<Scenario> broker_scenarios() {
  return {{.name = "broker: serve a writer, a reader and an observer",
           .prepare =
               [](Stage& stage) {
                 prepare_directory(stage);
                 static_cast<void>(best_protection_level());
                 stage.kept = std::make_shared<House>(
                     needed(GuardedBroker::create(*stage.directory, "g", records())));
                 // From the first session on the broker keeps the roles' last memory.
                 if (!serve_all(stage).is_ok) scenario_broken("no session");
               },
           .arrange = [](Stage& stage) { std::any_cast<Kept&>(stage.kept)->clear(); },
           .run = serve_all,
           .undo = [](Stage& stage) { std::any_cast<Kept&>(stage.kept)->clear(); },
           .may_leave = "; descriptor left: "}};
}

}  // namespace slipring::faults
