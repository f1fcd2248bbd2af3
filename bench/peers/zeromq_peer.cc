// ZeroMQ: a pair of sockets, in one process or over a unix socket.

#include <unistd.h>
#include <zmq.h>

#include <string>
#include <vector>

#include "bench/adapter/sender_loop.h"
#include "bench/peers/peers.h"
#include "core/cpu/relax.h"
#include "core/error/check.h"
#include "tools/bench/carriers.h"
#include "tools/bench/record_loop.h"
#include "tools/bench/shared_word.h"
#include "tools/bench/spsc_cells.h"

namespace slipring::bench {
namespace {

enum class Route : bool { kInProcess, kUnixSocket };

// Sockets belong to the thread that uses them, so that each end makes its own.
template <Route kRoute>
class ZeroMqCarrier {
 public:
  static constexpr int kHighWater = 1024;

  ZeroMqCarrier(Arena&, std::size_t size_bytes)
      : context_(zmq_ctx_new()),
        address_(
            (kRoute == Route::kInProcess ? "inproc://slipring-bench-" : "ipc://@slipring-bench-") +
            std::to_string(getpid()) + '-' + std::to_string(count_++)),
        size_bytes_(size_bytes) {
    receiver_ = make_socket();
    check(zmq_bind(receiver_, address_.c_str()) == 0, "ZeroMQ cannot bind");
  }

  struct Producer {
    void* socket;
    std::vector<std::byte> buffer;
    template <typename Fill>
    [[nodiscard]] bool try_send(std::size_t size_bytes, Fill&& fill) {
      fill(std::span<std::byte>(buffer));
      return zmq_send(socket, buffer.data(), size_bytes, ZMQ_DONTWAIT) >= 0;
    }
  };
  struct Consumer {
    void* socket;
    std::vector<std::byte> buffer;
    template <typename Look>
    [[nodiscard]] bool try_receive(Look&& look) {
      const int count = zmq_recv(socket, buffer.data(), buffer.size(), ZMQ_DONTWAIT);
      if (count < 0) return false;
      look(std::span<const std::byte>(buffer.data(), static_cast<std::size_t>(count)));
      return true;
    }
  };
  [[nodiscard]] Producer producer() const {
    void* const sender = make_socket();
    check(zmq_connect(sender, address_.c_str()) == 0, "ZeroMQ cannot connect");
    return {sender, std::vector<std::byte>(size_bytes_)};
  }
  [[nodiscard]] Consumer consumer() const {
    return {receiver_, std::vector<std::byte>(size_bytes_)};
  }

 private:
  [[nodiscard]] void* make_socket() const {
    void* const made = zmq_socket(context_, ZMQ_PAIR);
    zmq_setsockopt(made, ZMQ_SNDHWM, &kHighWater, sizeof kHighWater);
    zmq_setsockopt(made, ZMQ_RCVHWM, &kHighWater, sizeof kHighWater);
    return made;
  }

  static inline int count_ = 0;
  void* context_;
  void* receiver_ = nullptr;
  std::string address_;
  std::size_t size_bytes_;
};

// PUSH in every sender, PULL in the reader; each process has a context of its own, made after the
// fork.
template <bool kIsSlept>
class ZeroMqSenders {
 public:
  static constexpr bool kSleeps = kIsSlept;

  ZeroMqSenders(Arena& arena, std::uint32_t)
      : is_bound_(arena.make<SharedWord>()),
        address_("ipc://@slipring-bench-senders-" + std::to_string(getpid())) {}

  // Both ends.
  class End {
   public:
    End(int type, const std::string& address, SharedWord* is_bound = nullptr)
        : context_(zmq_ctx_new()) {
      socket_ = zmq_socket(context_, type);
      const int high_water = 1024;
      const int wait_ms = 20;
      zmq_setsockopt(socket_, ZMQ_SNDHWM, &high_water, sizeof high_water);
      zmq_setsockopt(socket_, ZMQ_RCVHWM, &high_water, sizeof high_water);
      zmq_setsockopt(socket_, ZMQ_SNDTIMEO, &wait_ms, sizeof wait_ms);
      zmq_setsockopt(socket_, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms);
      const bool is_there = type == ZMQ_PULL ? zmq_bind(socket_, address.c_str()) == 0
                                             : zmq_connect(socket_, address.c_str()) == 0;
      check(is_there, "ZeroMQ cannot meet");
      if (is_bound != nullptr) is_bound->publish(1);
    }
    End(const End&) = delete;
    End& operator=(const End&) = delete;
    // Waits until all is sent.
    ~End() {
      zmq_close(socket_);
      zmq_ctx_term(context_);
    }
    [[nodiscard]] bool try_push(const SenderMessage& message) {
      return zmq_send(socket_, &message, sizeof message, kFlags) == sizeof message;
    }
    [[nodiscard]] bool try_pop(SenderMessage& message) {
      return zmq_recv(socket_, &message, sizeof message, kFlags) == sizeof message;
    }

   private:
    static constexpr int kFlags = kIsSlept ? 0 : ZMQ_DONTWAIT;
    void* context_;
    void* socket_ = nullptr;
  };
  // One that comes before its reader tries again after 100 ms, which is the whole measurement.
  [[nodiscard]] End sender(std::uint32_t) const {
    while (is_bound_.look() == 0) relax();
    return End(ZMQ_PUSH, address_);
  }
  [[nodiscard]] End reader() const { return End(ZMQ_PULL, address_, &is_bound_); }

 private:
  SharedWord& is_bound_;
  std::string address_;
};

constexpr const char* kSendersRemark =
    "threads of its own between the two; a sender stays until all is read, or loses what its "
    "reader had no room for";
constexpr Contender kSenders{"zeromq.ipc", "ZeroMQ ipc, PUSH to PULL, polled", Family::kPeer,
                             kSendersRemark};
constexpr Contender kSendersSlept{"zeromq.ipc.slept", "ZeroMQ ipc, PUSH to PULL, slept on",
                                  Family::kPeer, kSendersRemark};
constexpr Contender kInProcess{"zeromq.inproc", "ZeroMQ inproc", Family::kPeer, "allocates"};
constexpr Contender kUnix{"zeromq.ipc", "ZeroMQ ipc", Family::kPeer,
                          "threads of its own between the two"};

template <typename Carrier>
void add(Registry& registry, const Contender& contender) {
  using Channel8 = typename AsChannel<Carrier>::template Of<Message<8>, kSmallRing>;
  using Channel64 = typename AsChannel<Carrier>::template Of<Message<64>, kSmallRing>;
  registry.add("spsc8.1k", contender, run_stream<Channel8, Message<8>, 1, Sides::kThreads>);
  registry.add("trip8", contender, run_trips<Channel8, Message<8>, Sides::kThreads>);
  registry.add("trip64", contender, run_trips<Channel64, Message<64>, Sides::kThreads>);
  add_records<Carrier>(registry, contender);
}

}  // namespace

void add_zeromq(Registry& registry) {
  add<ZeroMqCarrier<Route::kInProcess>>(registry, kInProcess);
  add<ZeroMqCarrier<Route::kUnixSocket>>(registry, kUnix);
  add_senders_of<ZeroMqSenders<false>>(registry, kSenders);
  add_senders_of<ZeroMqSenders<true>>(registry, kSendersSlept);
}

}  // namespace slipring::bench
