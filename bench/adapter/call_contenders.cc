// Calls over our services, and over unix sockets as an echo server makes them.

#include <errno.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <vector>

#include "bench/adapter/adapter_contenders.h"
#include "bench/adapter/call_loop.h"
#include "core/cpu/relax.h"
#include "core/error/check.h"
#include "pipelines/adapter/rpc_client.h"
#include "pipelines/adapter/rpc_server.h"
#include "platform/wait/waiter.h"
#include "tools/bench/link_place.h"

namespace slipring::bench {
namespace {

constexpr std::uint64_t kServeNs = 20'000'000;  // until the server looks about
constexpr const char* kService = "bench.service";

// A service as create_service() makes it.
template <WaitStrategy kStrategy, std::size_t kBatch>
class OurService {
 public:
  explicit OurService(Arena&) {
    check(create_service(place_.directory(), kService).ok(), "a service");
  }

  class Caller {
   public:
    explicit Caller(RpcClient client) : client_(std::move(client)) {}

    bool exchange(std::span<const CallMessage> requests, std::span<CallMessage> answers) {
      std::array<std::span<const std::byte>, kBatch> bytes;
      std::array<std::uint64_t, kBatch> numbers{};
      for (std::size_t i = 0; i < requests.size(); ++i) {
        bytes[i] = std::as_bytes(std::span(&requests[i], 1));
      }
      const auto sent = client_.send_many(std::span(bytes).first(requests.size()), numbers);
      if (!sent.ok() || sent.value() != requests.size()) return false;
      const std::uint64_t deadline_ns = deadline_after(kStallNs);
      for (std::size_t count = 0; count < answers.size(); ++count) {
        RpcAnswer answer;
        if (!client_.wait_finish(answer, deadline_ns)) return false;
        const std::size_t at = static_cast<std::uint32_t>(answer.call - numbers[0]);
        const bool is_sound = answer.status == RpcStatus::kOk && at < answers.size() &&
                              answer.reply.size() == sizeof(CallMessage);
        if (!is_sound) return false;
        std::memcpy(&answers[at], answer.reply.data(), sizeof(CallMessage));
      }
      return true;
    }

   private:
    RpcClient client_;
  };

  class Server {
   public:
    explicit Server(RpcServer server) : server_(std::move(server)), waiter_(options()) {}

    bool serve(CallWork& work) {
      RpcCall call;
      if (server_.try_take(call) != Transfer::kDone) {
        const auto has_call = [this] { return server_.has_call(); };
        static_cast<void>(waiter_.wait(server_.call_points(), has_call, deadline_after(kServeNs)));
        return false;
      }
      CallMessage request{};
      CallMessage answer;
      std::memcpy(&request, call.request.data(), std::min(call.request.size(), sizeof request));
      work(request, answer);
      server_.reply(call, RpcStatus::kOk, std::as_bytes(std::span(&answer, 1)));
      // A server that is never idle would not finish what it has answered.
      if (++answered_ % kBatch == 0) server_.flush();
      return true;
    }

   private:
    RpcServer server_;
    Waiter waiter_;
    std::uint64_t answered_ = 0;
  };

  [[nodiscard]] Caller caller() const {
    return Caller(RpcClient::attach(place_.directory(), kService, options()).value());
  }
  [[nodiscard]] Server server() const {
    RpcServerOptions options;
    options.batches_replies = kBatch != 1;
    return Server(RpcServer::attach(place_.directory(), kService, options).value());
  }

 private:
  static WaiterOptions options() {
    WaiterOptions options;
    options.strategy = kStrategy;
    return options;
  }
  LinkPlace place_;
};

enum class Waits : bool { kPolls, kSleeps };

// A connection whose reader sleeps in the kernel, or asks again and again.
template <Waits kWaits>
class Connection {
 public:
  explicit Connection(int fd) : fd_(fd) {}

  [[nodiscard]] int fd() const { return fd_; }
  // `receive(flags)` once something has come; 0 when nothing does.
  template <typename Receive>
  [[nodiscard]] ssize_t await(Receive&& receive) const {
    constexpr int kFlags = kWaits == Waits::kPolls ? MSG_DONTWAIT : 0;
    for (std::uint32_t tries = 1; tries % 65536 != 0; ++tries) {
      const ssize_t got = receive(kFlags);
      if (got > 0) return got;
      if (kWaits == Waits::kSleeps) return 0;
      relax();
    }
    return 0;
  }

 private:
  int fd_;
};

// Bytes: as many requests as have come are read, and answered, at once.
template <Waits kWaits>
class StreamConnection : public Connection<kWaits> {
 public:
  using Connection<kWaits>::Connection;

  [[nodiscard]] bool send(std::span<const CallMessage> messages) const {
    const auto bytes = std::as_bytes(messages);
    return ::send(this->fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }
  // Whole messages; more than one come whole, because they were sent at once.
  [[nodiscard]] std::size_t receive(std::span<CallMessage> messages) const {
    const auto bytes = std::as_writable_bytes(messages);
    const ssize_t got =
        this->await([&](int flags) { return recv(this->fd(), bytes.data(), bytes.size(), flags); });
    check(got % static_cast<ssize_t>(sizeof(CallMessage)) == 0, "a message was cut");
    return static_cast<std::size_t>(got) / sizeof(CallMessage);
  }
};

// Packets: one system call for all.
template <Waits kWaits>
class PacketConnection : public Connection<kWaits> {
 public:
  using Connection<kWaits>::Connection;

  [[nodiscard]] bool send(std::span<const CallMessage> messages) {
    if (messages.size() == 1) {
      return ::send(this->fd(), messages.data(), sizeof(CallMessage), MSG_NOSIGNAL) ==
             static_cast<ssize_t>(sizeof(CallMessage));
    }
    point_at(messages);
    const auto count = static_cast<unsigned>(messages.size());
    return sendmmsg(this->fd(), headers_.data(), count, MSG_NOSIGNAL) == static_cast<int>(count);
  }
  [[nodiscard]] std::size_t receive(std::span<CallMessage> messages) {
    if (messages.size() == 1) {
      const ssize_t got = this->await(
          [&](int flags) { return recv(this->fd(), messages.data(), sizeof(CallMessage), flags); });
      return got > 0 ? 1 : 0;
    }
    point_at(messages);
    const auto count = static_cast<unsigned>(messages.size());
    return static_cast<std::size_t>(this->await([&](int flags) {
      return recvmmsg(this->fd(), headers_.data(), count, flags | MSG_WAITFORONE, nullptr);
    }));
  }

 private:
  void point_at(std::span<const CallMessage> messages) {
    for (std::size_t i = 0; i < messages.size(); ++i) {
      places_[i] = {const_cast<CallMessage*>(&messages[i]), sizeof(CallMessage)};
      headers_[i] = {};
      headers_[i].msg_hdr.msg_iov = &places_[i];
      headers_[i].msg_hdr.msg_iovlen = 1;
    }
  }
  std::array<iovec, kCallBatchMax> places_{};
  std::array<mmsghdr, kCallBatchMax> headers_{};
};

template <typename Connection, int kType, bool kServesSingly>
class SocketService {
 public:
  explicit SocketService(Arena&) {
    check(socketpair(AF_UNIX, kType | SOCK_CLOEXEC, 0, ends_.data()) == 0, "no socket");
  }

  struct Caller {
    Connection connection;
    bool exchange(std::span<const CallMessage> requests, std::span<CallMessage> answers) {
      if (!connection.send(requests)) return false;
      const std::uint64_t deadline_ns = deadline_after(kStallNs);
      for (std::size_t done = 0; done < answers.size();) {
        const std::size_t got = connection.receive(answers.subspan(done));
        done += got;
        if (got == 0 && monotonic_ns() > deadline_ns) return false;
      }
      return true;
    }
  };
  struct Server {
    Connection connection;
    std::array<CallMessage, kServesSingly ? 1 : kCallBatchMax> requests{};
    std::array<CallMessage, kServesSingly ? 1 : kCallBatchMax> answers{};
    bool serve(CallWork& work) {
      const std::size_t count = connection.receive(requests);
      for (std::size_t i = 0; i < count; ++i) work(requests[i], answers[i]);
      return count != 0 && connection.send(std::span(answers).first(count));
    }
  };
  [[nodiscard]] Caller caller() const { return {Connection(ends_[0])}; }
  [[nodiscard]] Server server() const { return {Connection(ends_[1])}; }

 private:
  std::array<int, 2> ends_{-1, -1};
};

constexpr Contender kPolled{"slipring.calls", "slipring calls, polled", Family::kOurs,
                            "a named service for 16 callers"};
constexpr Contender kReady{"slipring.calls", "slipring calls, ready to sleep", Family::kOurs,
                           "a named service for 16 callers; spins as long as that pays"};
constexpr Contender kAsleep{"slipring.calls-asleep", "slipring calls, asleep at once",
                            Family::kOurs, "a named service for 16 callers; never spins"};
constexpr Contender kStreamPolled{"unix-stream", "unix stream, polled", Family::kKernel, ""};
constexpr Contender kPacketPolled{"unix-seqpacket", "unix seqpacket, polled", Family::kKernel, ""};
constexpr Contender kStreamSlept{"unix-stream.slept", "unix stream, slept on", Family::kKernel, ""};
constexpr Contender kPacketSlept{"unix-seqpacket.slept", "unix seqpacket, slept on",
                                 Family::kKernel, ""};

template <Waits kWaits, bool kServesSingly>
using StreamService = SocketService<StreamConnection<kWaits>, SOCK_STREAM, kServesSingly>;
template <Waits kWaits, bool kServesSingly>
using PacketService = SocketService<PacketConnection<kWaits>, SOCK_SEQPACKET, kServesSingly>;

template <std::size_t kBatch>
void add(Registry& registry, const char* polled, const char* slept) {
  constexpr bool kOne = kBatch == 1;
  registry.add(polled, kPolled, run_calls<OurService<WaitStrategy::kPoll, kBatch>, kBatch>);
  registry.add(polled, kStreamPolled, run_calls<StreamService<Waits::kPolls, kOne>, kBatch>);
  registry.add(polled, kPacketPolled, run_calls<PacketService<Waits::kPolls, kOne>, kBatch>);
  registry.add(slept, kReady, run_calls<OurService<WaitStrategy::kAdaptive, kBatch>, kBatch>);
  registry.add(slept, kAsleep, run_calls<OurService<WaitStrategy::kSleep, kBatch>, kBatch>);
  registry.add(slept, kStreamSlept, run_calls<StreamService<Waits::kSleeps, kOne>, kBatch>);
  registry.add(slept, kPacketSlept, run_calls<PacketService<Waits::kSleeps, kOne>, kBatch>);
}

}  // namespace

void add_calls(Registry& registry) {
  add<1>(registry, "call", "call.slept");
  add<16>(registry, "call16", "call16.slept");
}

}  // namespace slipring::bench
