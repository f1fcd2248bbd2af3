// Many senders, one reader: lane sets, and what the kernel has: a seqpacket connection a sender, a
// datagram socket that all send to, a message queue.

#include <errno.h>
#include <mqueue.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bench/adapter/adapter_contenders.h"
#include "bench/adapter/sender_loop.h"
#include "core/error/check.h"
#include "pipelines/link/lane_reader.h"
#include "pipelines/link/link_writer.h"
#include "platform/wait/waiter.h"
#include "tools/bench/link_place.h"

namespace slipring::bench {
namespace {

using M = SenderMessage;

constexpr std::uint64_t kWaitNs = 20'000'000;  // until a sleeper looks about
constexpr int kWaitMs = 20;

// A mailbox, as `slipring create NAME --kind mailbox` makes it.
template <WaitStrategy kStrategy>
class Lanes {
 public:
  static constexpr bool kSleeps = kStrategy != WaitStrategy::kPoll;

  Lanes(Arena&, std::uint32_t) : place_(lane_set_shape(16, 65536), false) {
    check(place_.is_there(), "a lane set");
  }

  struct Sender {
    LinkWriter end;
    Waiter waiter;
    [[nodiscard]] bool try_push(const M& message) noexcept {
      std::span<std::byte> bytes;
      if (end.try_reserve(sizeof message, bytes) != Transfer::kDone) {
        if constexpr (kSleeps) {
          const WaitPoint point = end.space_point();
          static_cast<void>(waiter.wait(
              std::span(&point, 1), [this] { return end.has_space(sizeof(M)); },
              deadline_after(kWaitNs)));
        }
        return false;
      }
      std::memcpy(bytes.data(), &message, sizeof message);
      end.commit(sizeof message);
      return true;
    }
  };
  struct Reader {
    LaneReader end;
    Waiter waiter;
    [[nodiscard]] bool try_pop(M& message) noexcept {
      LaneMessage found;
      if (end.try_peek(found) != Transfer::kDone) {
        if constexpr (kSleeps) {
          static_cast<void>(waiter.wait(
              end.message_points(), [this] { return end.has_message(); }, deadline_after(kWaitNs)));
        }
        return false;
      }
      if (found.message.bytes.size() == sizeof message) {
        std::memcpy(&message, found.message.bytes.data(), sizeof message);
      } else {
        message = {};  // is judged as torn
      }
      end.release(found);
      return true;
    }
  };
  [[nodiscard]] Sender sender(std::uint32_t) const {
    return {LinkWriter::attach(place_.directory(), LinkPlace::kName).value(), waiter()};
  }
  [[nodiscard]] Reader reader() const {
    return {LaneReader::attach(place_.directory(), LinkPlace::kName).value(), waiter()};
  }

 private:
  static Waiter waiter() {
    WaiterOptions options;
    options.strategy = kStrategy;
    return Waiter(options);
  }
  LinkPlace place_;
};

// Takes several messages with one call, and gives them out one by one.
class PacketBatch {
 public:
  PacketBatch() {
    for (std::size_t i = 0; i < kCount; ++i) {
      places_[i] = {&messages_[i], sizeof(M)};
      headers_[i].msg_hdr.msg_iov = &places_[i];
      headers_[i].msg_hdr.msg_iovlen = 1;
    }
  }
  PacketBatch(const PacketBatch&) = delete;
  PacketBatch& operator=(const PacketBatch&) = delete;

  [[nodiscard]] bool next(M& message) noexcept {
    if (at_ == count_) return false;
    message = messages_[at_++];
    return true;
  }
  bool refill(int fd, int flags) noexcept {
    const int got = recvmmsg(fd, headers_.data(), kCount, flags | MSG_WAITFORONE, nullptr);
    at_ = 0;
    count_ = got > 0 ? static_cast<std::size_t>(got) : 0;
    return count_ != 0;
  }

 private:
  static constexpr std::size_t kCount = 32;
  std::array<M, kCount> messages_{};
  std::array<iovec, kCount> places_{};
  std::array<mmsghdr, kCount> headers_{};
  std::size_t at_ = 0;
  std::size_t count_ = 0;
};

void give_up_waiting_after(int fd, int option) {
  const timeval soon{0, kWaitMs * 1000};
  setsockopt(fd, SOL_SOCKET, option, &soon, sizeof soon);
}

template <bool kIsSlept>
struct SocketSender {
  int fd;
  [[nodiscard]] bool try_push(const M& message) const noexcept {
    constexpr int kFlags = MSG_NOSIGNAL | (kIsSlept ? 0 : MSG_DONTWAIT);
    return send(fd, &message, sizeof message, kFlags) == sizeof message;
  }
};

// A connection a sender; the reader goes round, or sleeps in poll() on all.
template <bool kIsSlept>
class Packets {
 public:
  static constexpr bool kSleeps = kIsSlept;

  Packets(Arena&, std::uint32_t sender_count) : ends_(sender_count) {
    for (std::array<int, 2>& pair : ends_) {
      check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) == 0, "no socket");
      const int size = 1 << 20;
      setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
      give_up_waiting_after(pair[0], SO_SNDTIMEO);
    }
  }

  class Reader {
   public:
    explicit Reader(const std::vector<std::array<int, 2>>& ends) {
      for (const auto& pair : ends) polled_.push_back({pair[1], POLLIN, 0});
    }
    [[nodiscard]] bool try_pop(M& message) noexcept {
      if (batch_->next(message)) return true;
      return refill() && batch_->next(message);
    }

   private:
    bool refill() noexcept {
      for (std::size_t tries = 0; tries < polled_.size(); ++tries) {
        at_ = at_ + 1 == polled_.size() ? 0 : at_ + 1;
        if (kIsSlept && polled_.size() > 1 && (polled_[at_].revents & POLLIN) == 0) continue;
        polled_[at_].revents = 0;
        if (batch_->refill(polled_[at_].fd, MSG_DONTWAIT)) return true;
      }
      if (kIsSlept) static_cast<void>(poll(polled_.data(), polled_.size(), kWaitMs));
      return false;
    }
    std::vector<pollfd> polled_;
    std::unique_ptr<PacketBatch> batch_ = std::make_unique<PacketBatch>();
    std::size_t at_ = 0;
  };
  [[nodiscard]] SocketSender<kIsSlept> sender(std::uint32_t number) const {
    return {ends_[number][0]};
  }
  [[nodiscard]] Reader reader() const { return Reader(ends_); }

 private:
  std::vector<std::array<int, 2>> ends_;
};

// One socket with an address, which all send to.
template <bool kIsSlept>
class Datagrams {
 public:
  static constexpr bool kSleeps = kIsSlept;

  Datagrams(Arena&, std::uint32_t) : socket_(make()) {
    // The kernel chooses a name that is no file's.
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    auto* const generic = reinterpret_cast<sockaddr*>(&address_);
    size_ = sizeof address_;
    check(bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(sa_family_t)) == 0 &&
              getsockname(socket_, generic, &size_) == 0,
          "no address for a socket");
    give_up_waiting_after(socket_, SO_RCVTIMEO);
  }

  struct Reader {
    int fd;
    std::unique_ptr<PacketBatch> batch = std::make_unique<PacketBatch>();
    [[nodiscard]] bool try_pop(M& message) noexcept {
      if (batch->next(message)) return true;
      return batch->refill(fd, kIsSlept ? 0 : MSG_DONTWAIT) && batch->next(message);
    }
  };
  [[nodiscard]] SocketSender<kIsSlept> sender(std::uint32_t) const {
    const int fd = make();
    check(connect(fd, reinterpret_cast<const sockaddr*>(&address_), size_) == 0, "no connection");
    give_up_waiting_after(fd, SO_SNDTIMEO);
    return {fd};
  }
  [[nodiscard]] Reader reader() const { return {socket_}; }

 private:
  static int make() {
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    check(fd >= 0, "no socket");
    return fd;
  }
  int socket_;
  sockaddr_un address_{};
  socklen_t size_ = 0;
};

// A POSIX message queue, unlinked as soon as it is open.
template <bool kIsSlept>
class Queue {
 public:
  static constexpr bool kSleeps = kIsSlept;

  Queue(Arena&, std::uint32_t) {
    const std::string name = "/slipring-bench-" + std::to_string(getpid());
    mq_attr attributes{};
    attributes.mq_maxmsg = 10;  // what everybody may have
    attributes.mq_msgsize = sizeof(M);
    const int mode = O_CREAT | O_EXCL | O_RDWR | (kIsSlept ? 0 : O_NONBLOCK);
    queue_ = mq_open(name.c_str(), mode, 0600, &attributes);
    check(queue_ >= 0, "no message queue");
    mq_unlink(name.c_str());
  }

  // Both ends.
  struct End {
    mqd_t queue;
    [[nodiscard]] bool try_push(const M& message) const noexcept {
      const auto* const bytes = reinterpret_cast<const char*>(&message);
      if (!kIsSlept) return mq_send(queue, bytes, sizeof message, 0) == 0;
      const timespec until = soon();
      return mq_timedsend(queue, bytes, sizeof message, 0, &until) == 0;
    }
    [[nodiscard]] bool try_pop(M& message) const noexcept {
      auto* const bytes = reinterpret_cast<char*>(&message);
      if (!kIsSlept) return mq_receive(queue, bytes, sizeof message, nullptr) == sizeof message;
      const timespec until = soon();
      return mq_timedreceive(queue, bytes, sizeof message, nullptr, &until) == sizeof message;
    }
    static timespec soon() noexcept {
      timespec at{};
      clock_gettime(CLOCK_REALTIME_COARSE, &at);
      ++at.tv_sec;
      return at;
    }
  };
  [[nodiscard]] End sender(std::uint32_t) const { return {queue_}; }
  [[nodiscard]] End reader() const { return {queue_}; }

 private:
  mqd_t queue_ = -1;
};

constexpr Contender kLanes{"slipring.mailbox", "slipring mailbox, polled", Family::kOurs,
                           "16 lanes of 64 KiB; every message says whose it is"};
constexpr Contender kLanesReady{"slipring.mailbox-ready", "slipring mailbox, ready to sleep",
                                Family::kOurs, "16 lanes of 64 KiB; spins as long as that pays"};
constexpr Contender kPackets{"unix-seqpacket", "unix seqpacket, polled", Family::kKernel,
                             "a connection a sender; up to 32 a read"};
constexpr Contender kPacketsSlept{"unix-seqpacket.slept", "unix seqpacket, slept on",
                                  Family::kKernel, "a connection a sender; up to 32 a read"};
constexpr Contender kDatagrams{"unix-datagram", "unix datagram, polled", Family::kKernel,
                               "up to 32 a read"};
constexpr Contender kDatagramsSlept{"unix-datagram.slept", "unix datagram, slept on",
                                    Family::kKernel, "up to 32 a read"};
constexpr Contender kQueue{"mqueue", "POSIX message queue, polled", Family::kKernel,
                           "10 messages, the limit for users"};
constexpr Contender kQueueSlept{"mqueue.slept", "POSIX message queue, slept on", Family::kKernel,
                                "10 messages, the limit for users"};

}  // namespace

void add_senders(Registry& registry) {
  add_senders_of<Lanes<WaitStrategy::kPoll>>(registry, kLanes);
  add_senders_of<Lanes<WaitStrategy::kAdaptive>>(registry, kLanesReady);
  add_senders_of<Packets<false>>(registry, kPackets);
  add_senders_of<Packets<true>>(registry, kPacketsSlept);
  add_senders_of<Datagrams<false>>(registry, kDatagrams);
  add_senders_of<Datagrams<true>>(registry, kDatagramsSlept);
  add_senders_of<Queue<false>>(registry, kQueue);
  add_senders_of<Queue<true>>(registry, kQueueSlept);
}

}  // namespace slipring::bench
