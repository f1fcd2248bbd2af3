// epoll or io_uring?  Messages from one socket, and from 64, into memory: as the adapters take them
// (epoll_wait, then a recv into the client's own memory), and by io_uring (a multishot recv a
// client, into buffers that the kernel chooses, copied to the client's memory).
//
// A process sends to all clients in turn, a message a call; the other one receives.  Every word is
// checked.  In turns, there and back; medians.

#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "core/error/check.h"
#include "platform/wait/clock.h"
#include "tools/bench/machine_facts.h"
#include "tools/bench/sides.h"

namespace slipring::bench {
namespace {

constexpr std::size_t kReadBytes = 16384;  // as the adapters' kClientReadBytes
constexpr unsigned kBufferCount = 128;

enum class Carrier : std::uint8_t { kUnix, kTcp };
enum class Way : std::uint8_t { kEpoll, kUring };

struct Connection {
  int send_fd = -1;
  int receive_fd = -1;
};

Connection connect_pair(Carrier carrier) {
  std::array<int, 2> ends{};
  if (carrier == Carrier::kUnix) {
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0, "a socket");
    return {ends[0], ends[1]};
  }
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  check(bind(listener, generic, size) == 0 && listen(listener, 1) == 0, "a port on loopback");
  getsockname(listener, generic, &size);
  const int send_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  check(connect(send_fd, generic, size) == 0, "a connection on loopback");
  const int receive_fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  close(listener);
  const int yes = 1;
  setsockopt(send_fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  return {send_fd, receive_fd};
}

// At a page's beginning, for both ways alike.
class AlignedBytes {
 public:
  explicit AlignedBytes(std::size_t size_bytes)
      : bytes_(
            static_cast<std::byte*>(std::aligned_alloc(4096, (size_bytes + 4095) / 4096 * 4096))) {
    check(bytes_ != nullptr, "memory");
  }
  [[nodiscard]] std::byte* data() const { return bytes_.get(); }

 private:
  struct Free {
    void operator()(std::byte* bytes) const { std::free(bytes); }
  };
  std::unique_ptr<std::byte, Free> bytes_;
};

// A client's memory, and the count of words that its stream is.
class Client {
 public:
  [[nodiscard]] std::span<std::byte> room() { return {memory_.data() + kept_, kReadBytes}; }
  // So many bytes stand in room().  Out of line, so that both ways are checked by the same code.
  [[gnu::noinline]] void add(std::size_t count) {
    const std::size_t end = kept_ + count;
    const std::byte* const bytes = memory_.data();
    std::uint64_t expected = next_word_;
    std::uint64_t difference = 0;
    std::size_t at = 0;
    for (; at + 8 <= end; at += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes + at, 8);
      difference |= word ^ expected++;
    }
    next_word_ = expected;
    is_wrong_ |= difference != 0;
    kept_ = end - at;
    std::memmove(memory_.data(), memory_.data() + at, kept_);
  }
  [[nodiscard]] std::uint64_t bytes() const { return next_word_ * 8; }
  [[nodiscard]] bool is_right() const { return !is_wrong_ && kept_ == 0; }

 private:
  AlignedBytes memory_{kReadBytes + 8};
  std::size_t kept_ = 0;
  std::uint64_t next_word_ = 0;
  bool is_wrong_ = false;
};

void receive_by_epoll(const std::vector<Connection>& connections, std::vector<Client>& clients) {
  const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  for (std::size_t i = 0; i < connections.size(); ++i) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLRDHUP;
    event.data.u64 = i;
    check(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, connections[i].receive_fd, &event) == 0, "a watch");
  }
  std::array<epoll_event, 64> events;
  for (std::size_t open_count = connections.size(); open_count != 0;) {
    const int count = epoll_wait(epoll_fd, events.data(), events.size(), -1);
    for (int i = 0; i < count; ++i) {
      const std::size_t at = events[static_cast<std::size_t>(i)].data.u64;
      const std::span<std::byte> room = clients[at].room();
      const int fd = connections[at].receive_fd;
      const ssize_t got = recv(fd, room.data(), room.size(), MSG_DONTWAIT);
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (got > 0) {
        clients[at].add(static_cast<std::size_t>(got));
        continue;
      }
      epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, nullptr);
      --open_count;
    }
  }
  close(epoll_fd);
}

class Uring {
 public:
  Uring() : memory_(kBufferCount * kReadBytes) {
    io_uring_params params{};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE;
    params.cq_entries = 512;
    check(io_uring_queue_init_params(128, &ring_, &params) == 0, "an io_uring");
    void* place = nullptr;
    check(posix_memalign(&place, 4096, kBufferCount * sizeof(io_uring_buf)) == 0, "memory");
    buffers_ = static_cast<io_uring_buf_ring*>(place);
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<std::uintptr_t>(buffers_);
    registration.ring_entries = kBufferCount;
    check(io_uring_register_buf_ring(&ring_, &registration, 0) == 0, "provided buffers");
    io_uring_buf_ring_init(buffers_);
    for (unsigned i = 0; i < kBufferCount; ++i) give(i, static_cast<int>(i));
    io_uring_buf_ring_advance(buffers_, kBufferCount);
  }
  Uring(const Uring&) = delete;
  Uring& operator=(const Uring&) = delete;
  ~Uring() {
    io_uring_queue_exit(&ring_);
    free(buffers_);
  }

  void receive(const std::vector<Connection>& connections, std::vector<Client>& clients) {
    for (std::size_t i = 0; i < connections.size(); ++i) ask(connections[i].receive_fd, i);
    for (std::size_t open_count = connections.size(); open_count != 0;) {
      io_uring_submit_and_wait(&ring_, 1);
      unsigned head = 0;
      unsigned seen = 0;
      int given = 0;
      io_uring_cqe* answer = nullptr;
      io_uring_for_each_cqe(&ring_, head, answer) {
        ++seen;
        const std::size_t at = answer->user_data;
        if (answer->res > 0) {
          const unsigned buffer = answer->flags >> IORING_CQE_BUFFER_SHIFT;
          const auto count = static_cast<std::size_t>(answer->res);
          std::memcpy(clients[at].room().data(), memory_.data() + buffer * kReadBytes, count);
          clients[at].add(count);
          give(buffer, given++);
        }
        if (answer->res == 0) --open_count;
        const bool has_ended = (answer->flags & IORING_CQE_F_MORE) == 0;
        if (has_ended && answer->res != 0) again_.push_back(at);
      }
      io_uring_buf_ring_advance(buffers_, given);
      io_uring_cq_advance(&ring_, seen);
      for (const std::size_t at : again_) ask(connections[at].receive_fd, at);
      again_.clear();
    }
  }

 private:
  void give(unsigned buffer, int offset) {
    io_uring_buf_ring_add(buffers_, memory_.data() + buffer * kReadBytes, kReadBytes,
                          static_cast<unsigned short>(buffer), io_uring_buf_ring_mask(kBufferCount),
                          offset);
  }
  void ask(int fd, std::size_t at) {
    io_uring_sqe* request = io_uring_get_sqe(&ring_);
    if (request == nullptr) {
      io_uring_submit(&ring_);
      request = io_uring_get_sqe(&ring_);
    }
    io_uring_prep_recv_multishot(request, fd, nullptr, 0, 0);
    request->flags |= IOSQE_BUFFER_SELECT;
    request->buf_group = 0;
    io_uring_sqe_set_data64(request, at);
  }

  io_uring ring_{};
  io_uring_buf_ring* buffers_ = nullptr;
  AlignedBytes memory_;
  std::vector<std::size_t> again_;
};

[[noreturn]] void send_for(const std::vector<Connection>& connections, std::size_t size_bytes,
                           std::uint64_t duration_ns) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (const Connection& connection : connections) close(connection.receive_fd);
  std::vector<std::uint64_t> message(size_bytes / 8);
  std::uint64_t first = 0;
  const std::uint64_t until_ns = monotonic_ns() + duration_ns;
  while (monotonic_ns() < until_ns) {
    for (std::size_t i = 0; i < message.size(); ++i) message[i] = first + i;
    first += message.size();
    for (const Connection& connection : connections) {
      const ssize_t sent = send(connection.send_fd, message.data(), size_bytes, MSG_NOSIGNAL);
      if (sent != static_cast<ssize_t>(size_bytes)) _exit(1);
    }
  }
  _exit(0);
}

struct Received {
  double messages_per_second = 0;
  double own_ns = 0;  // of the processor, a message
  std::uint64_t count = 0;
};

double own_time_ns() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

Received run_once(Carrier carrier, std::size_t client_count, std::size_t size_bytes, Way way,
                  std::uint64_t duration_ns) {
  std::vector<Connection> connections;
  for (std::size_t i = 0; i < client_count; ++i) connections.push_back(connect_pair(carrier));
  std::vector<Client> clients(client_count);
  const CellSettings settings = default_settings();
  const pid_t sender = fork();
  check(sender >= 0, "a process");
  if (sender == 0) {
    pin_to(settings.cpu_there);
    send_for(connections, size_bytes, duration_ns);
  }
  pin_to(settings.cpu_here);
  for (const Connection& connection : connections) close(connection.send_fd);
  const std::uint64_t begin_ns = monotonic_ns();
  const double begin_own_ns = own_time_ns();
  if (way == Way::kEpoll) {
    receive_by_epoll(connections, clients);
  } else {
    Uring().receive(connections, clients);
  }
  const double own_ns = own_time_ns() - begin_own_ns;
  const auto took_ns = static_cast<double>(monotonic_ns() - begin_ns);
  int status = 0;
  check(waitpid(sender, &status, 0) == sender && status == 0, "a sender that sent all");
  for (const Connection& connection : connections) close(connection.receive_fd);
  std::uint64_t bytes = 0;
  for (const Client& client : clients) {
    check(client.is_right(), "every word as it was sent");
    bytes += client.bytes();
  }
  const auto count = static_cast<double>(bytes / size_bytes);
  return {count * 1e9 / took_ns, own_ns / count, bytes / size_bytes};
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::uint64_t compare(Carrier carrier, std::size_t client_count, std::size_t size_bytes,
                      std::uint32_t rounds, std::uint64_t duration_ns) {
  std::array<std::vector<double>, 2> rate;
  std::array<std::vector<double>, 2> own;
  std::uint64_t checked = 0;
  for (std::uint32_t i = 0; i < 2 * rounds; ++i) {
    const std::size_t at = (i % 4 == 0 || i % 4 == 3) ? 0 : 1;  // A B B A
    const Received got =
        run_once(carrier, client_count, size_bytes, static_cast<Way>(at), duration_ns);
    rate[at].push_back(got.messages_per_second);
    own[at].push_back(got.own_ns);
    checked += got.count;
  }
  std::printf("%-5s %7zu %6zu B %9.3f M/s %9.3f M/s  %5.2f  %9.0f ns %9.0f ns  %5.2f\n",
              carrier == Carrier::kUnix ? "unix" : "tcp", client_count, size_bytes,
              median(rate[0]) / 1e6, median(rate[1]) / 1e6, median(rate[1]) / median(rate[0]),
              median(own[0]), median(own[1]), median(own[1]) / median(own[0]));
  std::fflush(stdout);
  return checked;
}

int run(int argc, char** argv) {
  std::uint32_t rounds = 5;
  std::uint32_t duration_ms = 200;
  CLI::App app("Measures epoll and io_uring where sockets are read.", "receive_benchmark");
  app.add_option("--rounds", rounds, "Of each")->check(CLI::Range(1, 1000))->capture_default_str();
  std::vector<std::size_t> sizes{64, 4096};
  app.add_option("--sizes", sizes, "Of a message, multiples of 8")->capture_default_str();
  app.add_option("--ms", duration_ms, "Of one round")->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& fault) {
    return app.exit(fault) == 0 ? 0 : 2;
  }
  std::puts(
      "                           MESSAGES               RATIO   RECEIVER'S TIME A MESSAGE  RATIO");
  std::puts("      CLIENTS   SIZE        EPOLL      IO_URING             EPOLL     IO_URING");
  std::uint64_t checked = 0;
  for (const Carrier carrier : {Carrier::kUnix, Carrier::kTcp}) {
    for (const std::size_t client_count : {1U, 64U}) {
      for (const std::size_t size_bytes : sizes) {
        checked += compare(carrier, client_count, size_bytes, rounds,
                           std::uint64_t{duration_ms} * 1'000'000);
      }
    }
  }
  std::printf("%llu messages checked\n", static_cast<unsigned long long>(checked));
  return 0;
}

}  // namespace
}  // namespace slipring::bench

int main(int argc, char** argv) {
  slipring::check_failed_handler = [](const char* why, const char*, int) noexcept {
    std::fprintf(stderr, "receive_benchmark: this does not hold: %s\n", why);
  };
  return slipring::bench::run(argc, argv);
}
