// Sealed memory, the rendezvous, and guarded links: what is made, met, handed over, and taken over.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pipelines/link/guarded_broker.h"
#include "pipelines/link/guarded_end.h"
#include "pipelines/link/link_observer.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "platform/memory/sealed_memory.h"
#include "platform/rendezvous/connection.h"
#include "platform/rendezvous/server.h"
#include "platform/wait/clock.h"
#include "tests/faults/scenario.h"
#include "tests/platform/other_process.h"

namespace slipring::faults {

namespace {

constexpr std::uint64_t kBytes = 16384;
constexpr std::uint64_t kSoonNs = 200'000'000;

Outcome outcome_of(const SealedMemory& memory) {
  if (memory.protection != ProtectionLevel::kSealed) {
    return Outcome::downgraded(kAnyErrno, "SealedMemory::protection");
  }
  if (memory.own.lock_errno() != 0) {
    return Outcome::downgraded(memory.own.lock_errno(), "lock_errno");
  }
  if (memory.own.report().prefault == Prefault::kTouched) {
    return Outcome::downgraded(kAnyErrno, "kTouched");
  }
  return Outcome::done();
}

std::vector<Scenario> sealed_scenarios() {
  std::vector<Scenario> all;
  for (const auto& [name, policy] :
       {std::pair("sealed: make, locked", MemoryLock::kRequire),
        std::pair("sealed: make, locked if possible", MemoryLock::kTry)}) {
    all.push_back({.name = name, .run = [policy = policy](Stage&) {
                     Result<SealedMemory> memory = make_sealed_memory(kBytes, policy);
                     if (!memory.ok()) return Outcome::failed(memory.error());
                     return outcome_of(*memory);
                   }});
  }
  all.push_back({.name = "sealed: make zeros",
                 .run = [](Stage&) { return Outcome::of(make_zero_memory(kBytes)); }});
  // Also when it cannot be tried what this kernel protects.
  all.push_back(
      {.name = "sealed: refuse what is not sealed",
       .prepare =
           [](Stage& stage) {
             stage.kept = std::make_shared<SealedMemory>(
                 needed(make_unsealed_memory(kBytes, MemoryLock::kOff)));
           },
       .run =
           [](Stage& stage) {
             const int fd =
                 std::any_cast<std::shared_ptr<SealedMemory>&>(stage.kept)->descriptor.get();
             Result<MemoryFacts> facts = verify_memory(fd, ::geteuid(), kBytes);
             return facts.ok() ? Outcome::lying("unsealed memory is believed")
                               : Outcome::failed(facts.error());
           },
       .expected = ErrorCode::kCorruptPeer});
  all.push_back(
      {.name = "sealed: verify and map",
       .prepare =
           [](Stage& stage) {
             static_cast<void>(best_protection_level());
             stage.kept = std::make_shared<SealedMemory>(
                 needed(make_sealed_memory(kBytes, MemoryLock::kOff)));
           },
       .run =
           [](Stage& stage) {
             const int fd =
                 std::any_cast<std::shared_ptr<SealedMemory>&>(stage.kept)->descriptor.get();
             Result<MemoryFacts> facts = verify_memory(fd, ::geteuid(), kBytes);
             if (!facts.ok()) return Outcome::failed(facts.error());
             Result<Mapping> mapping = map_verified(fd, kBytes, MemoryLock::kRequire);
             if (!mapping.ok()) return Outcome::failed(mapping.error());
             return mapping->report().prefault == Prefault::kTouched
                        ? Outcome::downgraded(kAnyErrno, "kTouched")
                        : Outcome::done();
           }});
  return all;
}

// A name whose owner is gone.
void leave_stale_name(Stage& stage) {
  OtherProcess owner([&](Line line) {
    Result<RendezvousServer> server = RendezvousServer::create(*stage.directory, "r");
    line.say(server.ok() ? 'y' : 'n');
    static_cast<void>(line.hear());
    return 0;
  });
  if (owner.line().hear() != 'y') scenario_broken("no rendezvous");
  owner.kill_now();
  owner.wait();
}

using Server = std::shared_ptr<RendezvousServer>;

void prepare_server(Stage& stage) {
  prepare_directory(stage);
  stage.kept =
      std::make_shared<RendezvousServer>(needed(RendezvousServer::create(*stage.directory, "r")));
}

std::vector<Scenario> name_scenarios() {
  std::vector<Scenario> all;
  all.push_back(
      {.name = "rendezvous: create", .prepare = prepare_directory, .run = [](Stage& stage) {
         return Outcome::of(
             RendezvousServer::create(*stage.directory, "r", {.mode = 0660, .group = ::getegid()}));
       }});
  all.push_back({.name = "rendezvous: create over a stale name",
                 .prepare = prepare_directory,
                 .arrange =
                     [](Stage& stage) {
                       if (::faccessat(stage.directory->fd(), "r.guard", F_OK, 0) != 0) {
                         leave_stale_name(stage);
                       }
                     },
                 .run =
                     [](Stage& stage) {
                       return Outcome::of(RendezvousServer::create(*stage.directory, "r"));
                     },
                 .undo = leave_stale_name,
                 .may_leave = "; file gone: r.guard"});
  all.push_back({.name = "rendezvous: create where somebody listens",
                 .prepare = prepare_server,
                 .run =
                     [](Stage& stage) {
                       return Outcome::of(RendezvousServer::create(*stage.directory, "r"));
                     },
                 .verify = [](Stage& stage) -> const char* {
                   Result<bool> alive = is_rendezvous_alive(*stage.directory, "r");
                   return alive.ok() && *alive ? nullptr : "the living one is gone";
                 },
                 .expected = ErrorCode::kExists});
  all.push_back(
      {.name = "rendezvous: list and ask", .prepare = prepare_server, .run = [](Stage& stage) {
         auto names = list_rendezvous(*stage.directory);
         if (!names.ok()) return Outcome::failed(names.error());
         if (names->size() != 1) return Outcome::lying("a list that lacks one");
         Result<bool> alive = is_rendezvous_alive(*stage.directory, "r");
         if (!alive.ok()) return Outcome::failed(alive.error());
         return *alive ? Outcome::done() : Outcome::lying("the living is dead");
       }});
  return all;
}

// The server's part, until a packet is there or there is nothing more.
bool serve_one(RendezvousServer& server) {
  for (int turn = 0; turn < 8; ++turn) {
    server.begin_turn();
    while (const auto event = server.next()) {
      if (event->kind != RendezvousServer::Event::Kind::kPacket) continue;
      const std::array<int, 1> back = {server.packet().descriptors[0].get()};
      const std::size_t count = server.packet().descriptor_count;
      return server.send(event->id, 2, server.packet().bytes(), {back.data(), count}).ok();
    }
  }
  return false;
}

// The server learns at its next turns that they are gone.
void forget_clients(Stage& stage) {
  auto& server = *std::any_cast<Server&>(stage.kept);
  for (int turn = 0; turn < 3; ++turn) {
    server.begin_turn();
    while (server.next()) {
    }
  }
}

std::vector<Scenario> meeting_scenarios() {
  std::vector<Scenario> all;
  // A server that fails to take somebody in closes the connection: that is the answer.
  all.push_back({.name = "rendezvous: meet, send and receive",
                 .prepare = prepare_server,
                 .arrange = forget_clients,
                 .run =
                     [](Stage& stage) {
                       auto& server = *std::any_cast<Server&>(stage.kept);
                       Result<Connection> connection =
                           Connection::connect(*stage.directory, "r", deadline_after(kSoonNs));
                       if (!connection.ok()) return Outcome::failed(connection.error());
                       const std::array<std::byte, 8> body = {};
                       const std::array<int, 1> sent_fd = {stage.directory->fd()};
                       const Status sent = connection->send(1, body, sent_fd);
                       if (!sent.ok()) return Outcome::failed(sent.error());
                       const bool is_served = serve_one(server);
                       Packet packet;
                       Result<bool> is_there = connection->wait(deadline_after(kSoonNs));
                       if (!is_there.ok()) return Outcome::failed(is_there.error());
                       if (!*is_there) return Outcome::refused("no answer until the deadline");
                       Result<Arrival> received = connection->receive(packet);
                       if (!received.ok()) return Outcome::failed(received.error());
                       if (*received != Arrival::kPacket) {
                         return Outcome::refused("the other end closed the connection");
                       }
                       if (!is_served || packet.descriptor_count != 1 || packet.body_bytes != 8) {
                         return Outcome::lying("another packet came");
                       }
                       return Outcome::done();
                     },
                 .undo = forget_clients,
                 .may_leave = "; descriptor left: "});
  return all;
}

LinkShape records() {
  LinkShape shape;
  shape.kind = SegmentKind::kRecordLink;
  shape.capacity_bytes = 4096;
  return shape;
}

// A broker in a process of its own, which is not looked at.
struct Brokered {
  explicit Brokered(const SegmentDirectory& directory)
      : process([&](Line line) {
          Result<GuardedBroker> broker = GuardedBroker::create(directory, "g", records());
          line.say(broker.ok() ? 'y' : 'n');
          while (broker.ok()) {
            std::array<pollfd, 2> watched = {pollfd{broker->poll_fd(), POLLIN, 0},
                                             pollfd{line.fd(), POLLIN, 0}};
            ::poll(watched.data(), watched.size(), 50);
            broker->turn();
            if (watched[1].revents != 0) return 0;
          }
          return 1;
        }) {
    if (process.line().hear() != 'y') scenario_broken("no broker");
  }
  OtherProcess process;
};

// What this kernel protects is known before.
void prepare_guard(Stage& stage) {
  prepare_directory(stage);
  static_cast<void>(best_protection_level());
}

void prepare_broker(Stage& stage) {
  prepare_guard(stage);
  stage.kept = std::make_shared<Brokered>(*stage.directory);
}

// attach() until the broker has heard that the one before us is gone.
template <typename End>
Result<End> attached(Stage& stage) {
  const std::uint64_t deadline_ns = deadline_after(5'000'000'000);
  for (;;) {
    Result<End> end = End::attach(*stage.directory, "g", MemoryLock::kTry);
    const bool is_busy =
        !end.ok() && end.error().code == ErrorCode::kBusy && end.error().os_errno == 0;
    if (!is_busy || monotonic_ns() >= deadline_ns) return end;
  }
}

template <typename End>
struct Seated {
  Seated(std::unique_ptr<Brokered> of, std::optional<End> held)
      : broker(std::move(of)), end(std::move(held)) {}
  std::unique_ptr<Brokered> broker;
  std::optional<End> end;
};

// The role is laid down outside of the run: when its last word cannot be sent, the role stays held
// for as long as the process lives.
template <typename End>
Scenario end_scenario(const char* name) {
  using Kept = std::shared_ptr<Seated<End>>;
  return {.name = name,
          .prepare =
              [](Stage& stage) {
                prepare_guard(stage);
                stage.kept = std::make_shared<Seated<End>>(
                    std::make_unique<Brokered>(*stage.directory), std::nullopt);
              },
          .run =
              [](Stage& stage) {
                Result<End> end = attached<End>(stage);
                if (!end.ok()) return Outcome::failed(end.error());
                const bool is_locked = end->is_locked();
                std::any_cast<Kept&>(stage.kept)->end.emplace(std::move(end).value());
                return is_locked ? Outcome::done() : Outcome::downgraded(kAnyErrno, "is_locked()");
              },
          .undo = [](Stage& stage) { std::any_cast<Kept&>(stage.kept)->end.reset(); }};
}

std::vector<Scenario> guarded_link_scenarios() {
  std::vector<Scenario> all;
  all.push_back({.name = "guarded: create", .prepare = prepare_guard, .run = [](Stage& stage) {
                   return Outcome::of(GuardedBroker::create(*stage.directory, "g", records()));
                 }});
  all.push_back(end_scenario<LinkWriter>("guarded: attach a writer"));
  all.push_back(end_scenario<LinkReader>("guarded: attach a reader"));
  all.push_back({.name = "guarded: observe", .prepare = prepare_broker, .run = [](Stage& stage) {
                   return Outcome::of(LinkObserver::attach(*stage.directory, "g"));
                 }});
  return all;
}

}  // namespace

std::vector<Scenario> guarded_scenarios() {
  std::vector<Scenario> all;
  for (auto* part : {sealed_scenarios, name_scenarios, meeting_scenarios, guarded_link_scenarios}) {
    for (Scenario& scenario : part()) all.push_back(std::move(scenario));
  }
  return all;
}

}  // namespace slipring::faults
