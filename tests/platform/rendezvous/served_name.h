// A rendezvous under a name, its clients, and what it hears.
#pragma once

#include <dirent.h>

#include <cstring>
#include <vector>

#include <doctest/doctest.h>

#include "platform/rendezvous/server.h"
#include "platform/wait/clock.h"
#include "tests/platform/other_process.h"
#include "tests/platform/scratch.h"

namespace slipring {

using Kind = RendezvousServer::Event::Kind;
using Event = RendezvousServer::Event;

inline constexpr std::uint64_t kLongNs = 20'000'000'000;

inline SegmentDirectory opened(const Scratch& scratch) {
  Result<SegmentDirectory> directory = SegmentDirectory::open_at(scratch.path());
  REQUIRE(directory.ok());
  return std::move(directory).value();
}

inline RendezvousServer served(const SegmentDirectory& directory,
                               const RendezvousOptions& options = {}) {
  Result<RendezvousServer> server = RendezvousServer::create(directory, "here", options);
  REQUIRE(server.ok());
  return std::move(server).value();
}

inline Connection connected(const SegmentDirectory& directory) {
  Result<Connection> connection = Connection::connect(directory, "here", deadline_after(kLongNs));
  REQUIRE(connection.ok());
  return std::move(connection).value();
}

// The server's next event; turns until there is one.
inline Event must_hear(RendezvousServer& server) {
  const std::uint64_t deadline_ns = deadline_after(kLongNs);
  while (monotonic_ns() < deadline_ns) {
    server.begin_turn();
    if (auto event = server.next()) return *event;
  }
  FAIL("no event");
  return {};
}

// Lets the server take what has come; the kernel has it as soon as the client's call returns.
inline std::vector<Event> heard(RendezvousServer& server) {
  std::vector<Event> events;
  for (int turn = 0; turn < 4; ++turn) {
    server.begin_turn();
    while (auto event = server.next()) events.push_back(*event);
  }
  return events;
}

inline std::span<const std::byte> bytes_of(const char* text) {
  return std::as_bytes(std::span<const char>(text, std::strlen(text)));
}

inline std::size_t open_descriptor_count() {
  std::size_t count = 0;
  DIR* stream = ::opendir("/proc/self/fd");
  REQUIRE(stream != nullptr);
  while (::readdir(stream) != nullptr) ++count;
  ::closedir(stream);
  return count;
}

}  // namespace slipring
