// What tests of `put`, `get` and `pipe` have in common: pipes, patterns, and waits that end.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pipelines/link/link_observer.h"
#include "platform/process/descriptor.h"
#include "platform/wait/clock.h"
#include "tests/tools/command_fixture.h"

namespace slipring::tools {

struct PipeEnds {
  Descriptor read;
  Descriptor write;
};

inline PipeEnds make_pipe() {
  std::array<int, 2> fds{};
  REQUIRE(pipe2(fds.data(), O_CLOEXEC) == 0);
  return {Descriptor(fds[0]), Descriptor(fds[1])};
}

// Bytes whose place in the stream can be told from them.
inline std::string pattern(std::size_t size) {
  std::string bytes(size, '\0');
  std::uint32_t state = 1;
  for (char& byte : bytes) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<char>(state >> 24);
  }
  return bytes;
}

inline void write_all(const Descriptor& to, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = write(to.get(), bytes.data(), bytes.size());
    REQUIRE(put > 0);
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
}

// Reads `size` bytes, or to the end of the file.
inline std::string read_some(const Descriptor& from, std::size_t size) {
  std::string bytes;
  std::array<char, 65536> piece{};
  while (bytes.size() < size) {
    const std::size_t wanted = std::min(piece.size(), size - bytes.size());
    const ssize_t got = read(from.get(), piece.data(), wanted);
    REQUIRE(got >= 0);
    if (got == 0) break;
    bytes.append(piece.data(), static_cast<std::size_t>(got));
  }
  return bytes;
}

// Repeats `look` until it holds; the test fails if that does not come.
template <typename Look>
void until(const char* what, Look look) {
  const std::uint64_t deadline_ns = deadline_after(60'000'000'000);
  while (!look()) {
    REQUIRE_MESSAGE(monotonic_ns() < deadline_ns, what);
    static_cast<void>(poll(nullptr, 0, 1));
  }
}

inline std::uint64_t published(const CommandFixture& fixture, const char* name) {
  Result<LinkObserver> link = LinkObserver::attach(fixture.directory(), name);
  return link ? link->report().tail : 0;
}

inline bool is_gone(const CommandFixture& fixture) {
  Result<std::vector<std::string>> names = fixture.directory().list();
  return names.ok() && names->empty();
}

}  // namespace slipring::tools
