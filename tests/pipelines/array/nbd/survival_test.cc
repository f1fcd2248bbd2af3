// The process that serves a client dies at every instruction, and at every system call; the client
// gets every reply once, whole, and the back end every request once.
//
// At every instruction.  The process is single-stepped through a whole session.  Whenever its
// memory that outlives it, or what the kernel has of its socket, has changed, a death at this
// instant is judged: a successor is given a copy of that memory and a socket with the bytes that
// the dead one had not taken, and serves the session to its end.
//
// At every system call.  The process is really killed, where it enters and where it leaves the
// kernel, and its successor goes on with the very same socket.

#include <doctest/doctest.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pipelines/array/nbd/connection.h"
#include "pipelines/array/nbd/piece_table.h"
#include "pipelines/array/nbd/surviving_word.h"
#include "tests/pipelines/array/nbd/fake_back_end.h"
#include "tests/pipelines/array/nbd/nbd_client.h"

namespace slipring::test {
namespace {

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
  void serve(int socket);

  World& world;
  FakeBlockPort port;
  PieceTable pieces;
  FrontContext context;
  Connection connection;
};

void Life::serve(int socket) {
  pieces.resume();
  connection.resume();
  for (std::uint32_t i = 0; i < array::kPieceCountMax; ++i) {
    if (array::settled(pieces.at(i).state) != array::PieceState::kFree) connection.adopt_piece(i);
  }
  connection.finish_resume();
  if (connection.phase() == array::Phase::kFree) connection.open("client");
  for (;;) {
    array::BlockReply reply;
    array::ReplyTicket ticket;
    while (port.next_reply(reply, ticket) == Transfer::kDone) {
      const auto piece = pieces.take_reply(reply, ticket);
      if (piece) connection.take_answer(*piece);
    }
    const array::Progress worked = connection.work();
    const array::Progress received = connection.receive(socket);
    static_cast<void>(pieces.submit_ready());
    const array::Progress sent = connection.send(socket);
    if (worked == array::Progress::kEnded || received == array::Progress::kEnded ||
        sent == array::Progress::kEnded || connection.is_finished()) {
      break;
    }
  }
  shutdown(socket, SHUT_RDWR);
}

void serve(World& world, int socket) {
  Life(world).serve(socket);
}

constexpr std::uint64_t kRequestCount = 9;  // of the script, that reach the back end

std::string payload(char letter, std::size_t size) {
  return std::string(size, letter);
}

// Everything that the client says.
std::string script() {
  std::string all = Wire().u32(3).bytes();
  all += option_text(8, "") + option_text(10, context_data("disk", {"base:allocation"}));
  all += option_text(99, "unknown") + option_text(7, go_data("disk", {3}));
  all += request_text(1, 0, 1, 512, 40) + payload('a', 40);
  all += request_text(0, 0, 2, 500, 64);
  all += request_text(1, 1, 3, 520, 24) + payload('b', 24);
  all += request_text(1, 0, 4, 1U << 20, 20) + payload('x', 20);  // beyond the end
  all += request_text(0, 0, 5, 510, 48);
  all += request_text(7, 8, 6, 0, 4096);
  all += request_text(3, 0, 7, 0, 0);
  all += request_text(0, 0, 8, kFakeBadOffset, 8);  // the back end fails
  all += request_text(1, 0, 9, kFakeBadOffset, 8) + payload('c', 8);
  all += request_text(6, 0, 10, 512, 16);
  return all + request_text(2, 0, 11, 0, 0);
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

Heard take_apart(std::string_view bytes, std::size_t haggling_bytes) {
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

// What an undisturbed session comes to.
struct Truth {
  Truth() {
    SharedWorld world;
    Session session(script());
    session.say_all();
    serve(*world, session.server.get());
    all = session.heard();
    // GO's last reply is an ACK without data; behind it the first reply has its magic.
    haggling_bytes = std::min(all.find("\x67\x44\x66\x98"), all.find("\x66\x8e\x33\xef"));
    REQUIRE(haggling_bytes != std::string::npos);
    heard = take_apart(all, haggling_bytes);
    REQUIRE(heard.fault.empty());
    REQUIRE(heard.replies.size() == 10);
    REQUIRE(world->back.published.load() == kRequestCount);
  }
  // Empty, or what is wrong.
  [[nodiscard]] std::string judge(const std::string& said, const World& world) const {
    const Heard found = take_apart(said, haggling_bytes);
    if (!found.fault.empty()) return found.fault;
    if (found.haggling != heard.haggling) return "another haggling";
    if (found.replies != heard.replies) return "other replies";
    if (world.back.published.load() != kRequestCount) {
      return std::to_string(world.back.published.load()) + " requests reached the back end";
    }
    return "";
  }
  std::string all;
  std::size_t haggling_bytes = 0;
  Heard heard;
};

// The pid of a process that serves the session, and has been stopped before its first step.
pid_t start_traced(World& world, const Session& session) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    Life life(world);
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    raise(SIGSTOP);
    life.serve(session.server.get());
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFSTOPPED(status));
  ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD);
  return child;
}

void kill_and_reap(pid_t child) {
  kill(child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) == child && !WIFSIGNALED(status) && !WIFEXITED(status)) {
  }
}

// A moment of the session at which something had changed.
struct Moment {
  Image image;
  std::uint64_t step;
  std::size_t taken;  // bytes that the process had taken
  std::string heard;  // that the client had got
};

struct Walk {
  std::vector<Moment> moments;
  std::uint64_t steps = 0;
};

// Steps through a whole session.
Walk walk(const Truth& truth) {
  SharedWorld world;
  Session session(script());
  const pid_t child = start_traced(*world, session);
  Walk all;
  for (;;) {
    session.say_more();
    const bool is_new = all.moments.empty() || session.taken() != all.moments.back().taken ||
                        Session::unread(session.client.get()) != all.moments.back().heard.size() ||
                        !all.moments.back().image.is_of(*world);
    if (is_new) all.moments.push_back({Image(*world), all.steps, session.taken(), session.heard()});
    REQUIRE(ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) == 0);
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    if (WIFEXITED(status)) break;
    REQUIRE_MESSAGE(WIFSTOPPED(status), "the stepped process ended by ", status);
    ++all.steps;
  }
  const std::string fault = truth.judge(session.heard(), *world);
  CHECK_MESSAGE(fault.empty(), "the stepped session itself: ", fault);
  return all;
}

using Plant = std::function<void(World&)>;

struct Verdict {
  std::uint64_t wrong = 0;
  std::string first;
};

// Whether a successor serves to the end, in a process of its own: a planted one may crash, or wait
// for what never comes.
bool succeed(World& world, const Session& session) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    // A crash is an answer here, and not a failure of the test.
    for (const int number : {SIGILL, SIGABRT, SIGSEGV, SIGFPE, SIGBUS}) signal(number, SIG_DFL);
    const rlimit seconds{2, 2};
    setrlimit(RLIMIT_CPU, &seconds);
    serve(world, session.server.get());
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// A death at each moment.  `plant` spoils what the successor finds; the first `wrong_enough` wrong
// ones are enough.
Verdict judge_deaths(const Truth& truth, const Walk& session, const Plant& plant,
                     std::uint64_t wrong_enough) {
  const std::string says = script();
  SharedWorld later;
  Verdict verdict;
  for (const Moment& moment : session.moments) {
    later.clear();
    moment.image.put_into(*later);
    plant(*later);
    Session rest(says.substr(moment.taken));
    rest.say_all();
    const bool has_ended = succeed(*later, rest);
    const std::string fault =
        has_ended ? truth.judge(moment.heard + rest.heard(), *later) : "the successor died";
    if (!fault.empty() && verdict.wrong++ == 0) {
      verdict.first = fault + ", dead at step " + std::to_string(moment.step);
    }
    if (verdict.wrong == wrong_enough) break;
  }
  return verdict;
}

TEST_CASE("nbd: a death at any instruction of a session leaves each request and reply once") {
  const Truth truth;
  const Walk session = walk(truth);
  const Verdict verdict = judge_deaths(
      truth, session, [](World&) {}, UINT64_MAX);
  MESSAGE(session.steps, " instructions, ", session.moments.size(), " different deaths judged, ",
          verdict.wrong, " wrong");
  CHECK_MESSAGE(verdict.wrong == 0, verdict.first);
  CHECK(session.moments.size() > 300);

  // Successors that forget a part of what they find are found out.
  const std::map<std::string, Plant> plants = {
      {"bytes taken from the socket",
       [](World& world) { array::settle(world.front.connections[0].receive.number, 1UL << 40); }},
      {"bytes given to the socket",
       [](World& world) { array::settle(world.front.connections[0].send.number, 1UL << 40); }},
      {"the request in hand",
       [](World& world) { array::settle(world.front.submission.piece, array::kNoIndex); }},
      {"a reply's place in line",
       [](World& world) {
         for (auto& piece : world.front.pieces) array::settle(piece.out_item, array::kNoPosition);
       }},
  };
  for (const auto& [what, plant] : plants) {
    const Verdict planted = judge_deaths(truth, session, plant, 1);
    MESSAGE("planted: ", what, " forgotten: ", planted.first);
    CHECK(planted.wrong > 0);
  }
}

TEST_CASE("nbd: killed at any system call, entered or left, the successor goes on on its socket") {
  const Truth truth;
  std::uint64_t kills = 0;
  for (std::uint64_t kill_at = 0;; ++kill_at) {
    SharedWorld world;
    Session session(script());
    const pid_t child = start_traced(*world, session);
    bool is_over = false;
    for (std::uint64_t stops = 0; stops <= kill_at && !is_over; ++stops) {
      session.say_more();
      REQUIRE(ptrace(PTRACE_SYSCALL, child, nullptr, nullptr) == 0);
      int status = 0;
      REQUIRE(waitpid(child, &status, 0) == child);
      is_over = WIFEXITED(status);
    }
    if (is_over) break;
    kill_and_reap(child);
    ++kills;
    session.say_all();
    serve(*world, session.server.get());
    const std::string fault = truth.judge(session.heard(), *world);
    CHECK_MESSAGE(fault.empty(), fault, ", killed at the system call's stop ", kill_at);
  }
  MESSAGE(kills, " kills");
  CHECK(kills > 60);
}

}  // namespace
}  // namespace slipring::test
