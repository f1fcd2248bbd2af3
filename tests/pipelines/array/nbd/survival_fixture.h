// What tests of a front that dies at any moment have in common: the memory that outlives it, a life
// in it, a client's session, and what the client has heard, told apart.
#pragma once

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "pipelines/array/nbd/connection.h"
#include "pipelines/array/nbd/piece_table.h"
#include "pipelines/array/nbd/surviving_word.h"
#include "platform/process/descriptor.h"
#include "tests/pipelines/array/nbd/fake_back_end.h"
#include "tests/pipelines/array/nbd/nbd_client.h"

namespace slipring::test {

using array::Connection;
using array::FrontContext;
using array::FrontMemory;
using array::PieceTable;

struct World {
  FrontMemory front;
  FakeBackEnd back;
};

// Memory that is the same in a forked child.
class SharedWorld {
 public:
  SharedWorld() {
    void* memory =
        mmap(nullptr, sizeof(World), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    world_ = new (memory) World;
    clear();
  }
  ~SharedWorld() { munmap(world_, sizeof(World)); }
  SharedWorld(const SharedWorld&) = delete;
  SharedWorld& operator=(const SharedWorld&) = delete;
  void clear() {
    std::memset(static_cast<void*>(world_), 0, sizeof(World));
    array::settle(world_->front.submission.piece, array::kNoIndex);
  }
  World& operator*() const { return *world_; }
  World* operator->() const { return world_; }

 private:
  World* world_;
};

// What a session can change: all that the script below reaches, and a margin.
class Image {
 public:
  static std::vector<std::span<std::byte>> parts_of(World& world) {
    const auto part = [](auto& what, std::size_t count) {
      return std::as_writable_bytes(std::span(what).first(count));
    };
    array::ConnectionMemory& connection = world.front.connections[0];
    auto* header = reinterpret_cast<std::byte*>(&world.front);
    auto* first = reinterpret_cast<std::byte*>(&connection);
    auto* back = reinterpret_cast<std::byte*>(&world.back);
    return {{header, offsetof(FrontMemory, pieces)},
            part(world.front.pieces, 16),
            {first, offsetof(array::ConnectionMemory, requests)},
            part(connection.requests, 16),
            part(connection.items, 32),
            part(connection.input, 1024),
            part(connection.text, 1024),
            {back, offsetof(FakeBackEnd, log)},
            part(world.back.log, 16),
            part(world.back.generations, kFakeBufferCount),
            part(world.back.filling, 2),
            part(world.back.replies, 16)};
  }
  explicit Image(World& world) {
    for (const auto part : parts_of(world)) bytes_.emplace_back(part.begin(), part.end());
  }
  [[nodiscard]] bool is_of(World& world) const {
    const auto parts = parts_of(world);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (std::memcmp(bytes_[i].data(), parts[i].data(), parts[i].size()) != 0) return false;
    }
    return true;
  }
  void put_into(World& world) const {
    const auto parts = parts_of(world);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      std::copy(bytes_[i].begin(), bytes_[i].end(), parts[i].begin());
    }
  }

 private:
  std::vector<std::vector<std::byte>> bytes_;
};

// A process's life: takes over what is there, and serves until the session is over.
struct Life {
  explicit Life(World& of)
      : world(of),
        port(of.back),
        pieces(of.front, port),
        context{pieces, port, {}},
        connection(of.front.connections[0], 0, context) {
    context.exports.push_back(
        {"disk", 0, array::BlockExport{kFakeDiskBytes, 1, 512, array::kExportCanWriteZeroes, 0}});
  }
  // What a predecessor was at, or a new client.
  void take_over();
  // Each step once; false when the session is over.
  [[nodiscard]] bool turn(int socket);
  void serve(int socket) {
    take_over();
    while (turn(socket)) {
    }
    shutdown(socket, SHUT_RDWR);
  }

  World& world;
  FakeBlockPort port;
  PieceTable pieces;
  FrontContext context;
  Connection connection;
};

inline void Life::take_over() {
  pieces.resume();
  connection.resume();
  for (std::uint32_t i = 0; i < array::kPieceCountMax; ++i) {
    if (array::settled(pieces.at(i).state) != array::PieceState::kFree) connection.adopt_piece(i);
  }
  connection.finish_resume();
  if (connection.phase() == array::Phase::kFree) connection.open("client");
}

inline bool Life::turn(int socket) {
  array::BlockReply reply;
  array::ReplyTicket ticket;
  while (port.next_reply(reply, ticket) == Transfer::kDone) {
    const auto piece = pieces.take_reply(reply, ticket);
    if (piece) connection.take_answer(*piece);
  }
  const array::Progress worked = connection.work();
  const array::Progress received = connection.receive(socket);
  static_cast<void>(pieces.submit_ready(0));
  const array::Progress sent = connection.send(socket);
  return worked != array::Progress::kEnded && received != array::Progress::kEnded &&
         sent != array::Progress::kEnded && !connection.is_finished();
}

// A client who says what it has to say, and reads at the end.
struct Session {
  explicit Session(std::string words) : says(std::move(words)) {
    int ends[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    client = Descriptor(ends[0]);
    server = Descriptor(ends[1]);
  }
  void say_all() {
    if (said == says.size()) return;
    const std::string_view rest = std::string_view(says).substr(said);
    REQUIRE(send(client.get(), rest.data(), rest.size(), 0) == static_cast<ssize_t>(rest.size()));
    said = says.size();
  }
  // Some bytes more, once all that was said has been taken; no multiple of anything.
  void say_more() {
    if (unread(server.get()) != 0 || said == says.size()) return;
    const std::string_view next = std::string_view(says).substr(said, 23);
    REQUIRE(send(client.get(), next.data(), next.size(), 0) == static_cast<ssize_t>(next.size()));
    said += next.size();
  }
  [[nodiscard]] std::size_t taken() const { return said - unread(server.get()); }
  [[nodiscard]] static std::size_t unread(int fd) {
    int count = 0;
    REQUIRE(ioctl(fd, FIONREAD, &count) == 0);
    return static_cast<std::size_t>(count);
  }
  // What the client has got, which stays there.
  [[nodiscard]] std::string heard() const {
    std::string bytes(unread(client.get()), '\0');
    if (!bytes.empty()) {
      REQUIRE(recv(client.get(), bytes.data(), bytes.size(), MSG_PEEK) ==
              static_cast<ssize_t>(bytes.size()));
    }
    return bytes;
  }
  std::string says;
  std::size_t said = 0;
  Descriptor client;
  Descriptor server;
};

// All that the server said, told apart: the haggling as it was, and each reply by its cookie.
struct Heard {
  std::string haggling;
  std::map<std::uint64_t, std::string> replies;
  std::string fault;
};

inline Heard take_apart(std::string_view bytes, std::size_t haggling_bytes) {
  Heard heard;
  heard.haggling = bytes.substr(0, haggling_bytes);
  bytes.remove_prefix(std::min(haggling_bytes, bytes.size()));
  while (!bytes.empty() && heard.fault.empty()) {
    const bool is_chunk = bytes.size() >= 20 && bytes.substr(0, 4) == "\x66\x8e\x33\xef";
    const std::size_t size = is_chunk ? 20 + big_endian_number(bytes.substr(16, 4)) : 16;
    const bool is_simple = bytes.size() >= 16 && bytes.substr(0, 4) == "\x67\x44\x66\x98";
    if ((!is_chunk && !is_simple) || size > bytes.size()) {
      heard.fault = "what is no reply, or a part of one";
      break;
    }
    const std::uint64_t cookie = big_endian_number(bytes.substr(8, 8));
    if (!heard.replies.emplace(cookie, bytes.substr(0, size)).second) {
      heard.fault = "two replies to request " + std::to_string(cookie);
    }
    bytes.remove_prefix(size);
  }
  return heard;
}

// A process that does this, and has been stopped before its first step.
inline pid_t start_traced(const std::function<void()>& what) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    raise(SIGSTOP);
    what();
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFSTOPPED(status));
  ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD);
  return child;
}

inline void kill_and_reap(pid_t child) {
  kill(child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) == child && !WIFSIGNALED(status) && !WIFEXITED(status)) {
  }
}

// One instruction more; false when that was the last.
inline bool step(pid_t child) {
  REQUIRE(ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) == 0);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  if (WIFEXITED(status)) return false;
  REQUIRE_MESSAGE(WIFSTOPPED(status), "the stepped process ended by ", status);
  return true;
}

// Whether a successor serves to the end, in a process of its own: a planted one may crash, or wait
// for what never comes.
inline bool succeed(World& world, const Session& session) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    // A crash is an answer here, and not a failure of the test.
    for (const int number : {SIGILL, SIGABRT, SIGSEGV, SIGFPE, SIGBUS}) signal(number, SIG_DFL);
    const rlimit seconds{2, 2};
    setrlimit(RLIMIT_CPU, &seconds);
    Life(world).serve(session.server.get());
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace slipring::test
