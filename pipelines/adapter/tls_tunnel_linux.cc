#include "pipelines/adapter/tls_tunnel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include <array>
#include <optional>
#include <utility>

namespace slipring {
namespace {

constexpr std::size_t kPieceBytes = 65536;
constexpr int kLookMs = 50;  // at the stop flag

// Signals are for the thread that looks at what they set.
void block_signals() noexcept {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace

bool TlsTunnel::is_stopped() const noexcept {
  // relaxed, both: nothing else is published with them.
  return is_abandoned_.load(std::memory_order_relaxed) ||
         (stop_ != nullptr && stop_->load(std::memory_order_relaxed));
}

std::unique_ptr<TlsTunnel> TlsTunnel::open(Descriptor connection, const Endpoint& endpoint,
                                           Direction direction, const std::atomic<bool>* stop,
                                           std::string& fault) {
  const TlsSide side = endpoint.listens ? TlsSide::kServer : TlsSide::kClient;
  const std::optional<TlsContext> context = TlsContext::open(
      side, {endpoint.authority_file, endpoint.certificate_file, endpoint.key_file}, fault);
  if (!context) return nullptr;
  const bool is_own_name = endpoint.peer_name.empty() && side == TlsSide::kClient;
  std::optional<TlsChannel> channel = TlsChannel::create(
      *context, connection.get(), is_own_name ? endpoint.host : endpoint.peer_name, fault);
  if (!channel) return nullptr;
  std::array<int, 2> fds{};
  if (fcntl(connection.get(), F_SETFL, O_NONBLOCK) != 0 ||
      socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) != 0) {
    fault = "there is no descriptor left";
    return nullptr;
  }
  std::unique_ptr<TlsTunnel> tunnel(
      new TlsTunnel(std::move(connection), std::move(*channel), stop));
  tunnel->plain_ = Descriptor(fds[0]);
  tunnel->end_ = Descriptor(fds[1]);
  if (!tunnel->shake_hands(fault)) return nullptr;
  tunnel->thread_ = std::thread([tunnel = tunnel.get(), direction] {
    block_signals();
    direction == Direction::kSource ? tunnel->carry_in() : tunnel->carry_out();
    tunnel->plain_ = Descriptor();
  });
  return tunnel;
}

TlsTunnel::~TlsTunnel() {
  abandon();
}

std::string TlsTunnel::finish() {
  if (thread_.joinable()) thread_.join();
  return fault_;
}

void TlsTunnel::abandon() noexcept {
  is_abandoned_.store(true, std::memory_order_relaxed);  // relaxed: as is_stopped()
  if (thread_.joinable()) thread_.join();
}

// False when it was stopped.
bool TlsTunnel::wait_until(TlsAnswer wants) noexcept {
  const short events = wants == TlsAnswer::kWantsRead ? POLLIN : POLLOUT;
  pollfd watched{connection_.get(), events, 0};
  static_cast<void>(poll(&watched, 1, kLookMs));  // a failure is found by the next call
  return !is_stopped();
}

bool TlsTunnel::shake_hands(std::string& fault) noexcept {
  for (;;) {
    const TlsAnswer answer = channel_.handshake();
    if (answer == TlsAnswer::kDone) return true;
    if (answer == TlsAnswer::kEnd || answer == TlsAnswer::kFailed) {
      fault = answer == TlsAnswer::kEnd ? "the other side left" : channel_.fault();
      return false;
    }
    if (!wait_until(answer)) {
      fault = "stopped";
      return false;
    }
  }
}

void TlsTunnel::carry_in() noexcept {
  std::array<std::byte, kPieceBytes> piece;
  while (!is_stopped()) {
    std::size_t count = 0;
    const TlsAnswer answer = channel_.read(piece, count);
    if (answer == TlsAnswer::kEnd) {
      // It has said that this was all, and hears that we have it.
      while (channel_.say_farewell() == TlsAnswer::kWantsWrite &&
             wait_until(TlsAnswer::kWantsWrite)) {
      }
      return;
    }
    if (answer == TlsAnswer::kFailed) {
      fault_ = channel_.fault();
      return;
    }
    if (answer != TlsAnswer::kDone) {
      static_cast<void>(wait_until(answer));
      continue;
    }
    for (std::size_t at = 0; at != count && !is_stopped();) {
      const ssize_t put =
          send(plain_.get(), piece.data() + at, count - at, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (put >= 0) {
        at += static_cast<std::size_t>(put);
        continue;
      }
      if (errno != EAGAIN && errno != EINTR) return;  // nobody reads on
      pollfd watched{plain_.get(), POLLOUT, 0};
      static_cast<void>(poll(&watched, 1, kLookMs));
    }
  }
}

// False when no more can be sent.
bool TlsTunnel::write(std::span<const std::byte> bytes) noexcept {
  while (!bytes.empty()) {
    std::size_t count = 0;
    const TlsAnswer answer = channel_.write(bytes, count);
    if (answer == TlsAnswer::kDone) {
      bytes = bytes.subspan(count);
    } else if (answer == TlsAnswer::kFailed || answer == TlsAnswer::kEnd) {
      if (answer == TlsAnswer::kFailed) fault_ = channel_.fault();
      return false;
    } else if (!wait_until(answer)) {
      return false;
    }
  }
  return true;
}

void TlsTunnel::carry_out() noexcept {
  std::array<std::byte, kPieceBytes> piece;
  std::array<std::byte, 1024> reply;
  while (!is_stopped()) {
    std::array<pollfd, 2> watched{pollfd{plain_.get(), POLLIN, 0},
                                  pollfd{connection_.get(), POLLIN, 0}};
    static_cast<void>(poll(watched.data(), watched.size(), kLookMs));
    if (watched[1].revents != 0) {
      // A refusal of our certificate comes here, or a farewell before ours.
      std::size_t count = 0;
      const TlsAnswer answer = channel_.read(reply, count);
      if (answer == TlsAnswer::kFailed) fault_ = channel_.fault();
      if (answer == TlsAnswer::kFailed || answer == TlsAnswer::kEnd) return;
    }
    const ssize_t got = recv(plain_.get(), piece.data(), piece.size(), MSG_DONTWAIT);
    if (got < 0) continue;
    if (got == 0) {
      if (!wait_for_end() && fault_.empty()) fault_ = "stopped before the other side had it all";
      return;
    }
    if (!write({piece.data(), static_cast<std::size_t>(got)})) return;
  }
}

// All is written: says so, and hears it from the other side.
bool TlsTunnel::wait_for_end() noexcept {
  for (;;) {
    const TlsAnswer answer = channel_.say_farewell();
    if (answer == TlsAnswer::kDone || answer == TlsAnswer::kEnd) break;
    if (answer == TlsAnswer::kFailed) {
      fault_ = channel_.fault();
      return false;
    }
    if (!wait_until(answer)) return false;
  }
  std::array<std::byte, 1024> reply;
  for (;;) {
    std::size_t count = 0;
    const TlsAnswer answer = channel_.read(reply, count);
    if (answer == TlsAnswer::kEnd) return true;
    if (answer == TlsAnswer::kFailed) {
      fault_ = channel_.fault();
      return false;
    }
    if (answer != TlsAnswer::kDone && !wait_until(answer)) return false;
  }
}

}  // namespace slipring
