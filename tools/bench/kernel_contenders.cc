// Descriptors are non-blocking and polled: that is the kernel at its fastest.  Sleeping is measured
// as a workload of its own.

#include <fcntl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "core/error/check.h"
#include "tools/bench/carriers.h"
#include "tools/bench/contenders.h"
#include "tools/bench/pieces.h"
#include "tools/bench/record_loop.h"
#include "tools/bench/spsc_cells.h"

namespace slipring::bench {
namespace {

struct DescriptorPair {
  int write_fd = -1;
  int read_fd = -1;
};

void make_non_blocking(int fd) {
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

struct OpenPipe {
  static constexpr bool kKeepsBounds = false;
  static DescriptorPair open(std::size_t) {
    std::array<int, 2> fds{};
    check(pipe2(fds.data(), O_CLOEXEC | O_NONBLOCK) == 0, "no pipe");
    fcntl(fds[1], F_SETPIPE_SZ, static_cast<int>(kRecordRingBytes));
    return {fds[1], fds[0]};
  }
};

template <int kType>
struct OpenUnix {
  static constexpr bool kKeepsBounds = kType == SOCK_SEQPACKET;
  static DescriptorPair open(std::size_t) {
    std::array<int, 2> fds{};
    check(socketpair(AF_UNIX, kType | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds.data()) == 0,
          "no socket");
    const int size = static_cast<int>(kRecordRingBytes);
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    return {fds[0], fds[1]};
  }
};

struct OpenTcp {
  static constexpr bool kKeepsBounds = false;
  static DescriptorPair open(std::size_t) {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    check(bind(listener, generic, size) == 0 && listen(listener, 1) == 0, "no port on loopback");
    getsockname(listener, generic, &size);
    const int write_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(connect(write_fd, generic, size) == 0, "no connection on loopback");
    const int read_fd = accept(listener, nullptr, nullptr);
    close(listener);
    const int yes = 1;
    setsockopt(write_fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    make_non_blocking(write_fd);
    make_non_blocking(read_fd);
    return {write_fd, read_fd};
  }
};

struct DescriptorIo {
  int fd;
  [[nodiscard]] std::size_t write_some(std::span<const std::byte> bytes) const {
    const ssize_t count = write(fd, bytes.data(), bytes.size());
    return count > 0 ? static_cast<std::size_t>(count) : 0;
  }
  [[nodiscard]] std::size_t read_some(std::span<std::byte> bytes) const {
    const ssize_t count = read(fd, bytes.data(), bytes.size());
    return count > 0 ? static_cast<std::size_t>(count) : 0;
  }
};

// Messages of one size over a descriptor.  A stream is read a buffer at a time; what keeps message
// bounds is read a message at a time.
template <typename Open>
class DescriptorCarrier {
 public:
  DescriptorCarrier(Arena&, std::size_t size_bytes)
      : pair_(Open::open(size_bytes)), size_bytes_(size_bytes) {}

  using Producer = PieceProducer<DescriptorIo>;
  using Consumer = PieceConsumer<DescriptorIo>;
  [[nodiscard]] Producer producer() const { return {DescriptorIo{pair_.write_fd}, size_bytes_}; }
  [[nodiscard]] Consumer consumer() const {
    return {DescriptorIo{pair_.read_fd}, size_bytes_, Open::kKeepsBounds};
  }

 private:
  DescriptorPair pair_;
  std::size_t size_bytes_;
};

// A POSIX message queue, unlinked as soon as it is open.
class MessageQueueCarrier {
 public:
  MessageQueueCarrier(Arena&, std::size_t size_bytes) : size_bytes_(size_bytes) {
    const std::string name = "/slipring-bench-" + std::to_string(getpid());
    mq_attr attributes{};
    attributes.mq_maxmsg = 10;  // what everybody may have
    attributes.mq_msgsize = static_cast<long>(size_bytes);
    queue_ = mq_open(name.c_str(), O_CREAT | O_EXCL | O_RDWR | O_NONBLOCK, 0600, &attributes);
    check(queue_ >= 0, "no message queue");
    mq_unlink(name.c_str());
  }

  struct Producer {
    mqd_t queue;
    std::vector<std::byte> buffer;
    template <typename Fill>
    [[nodiscard]] bool try_send(std::size_t size_bytes, Fill&& fill) {
      fill(std::span<std::byte>(buffer));
      return mq_send(queue, reinterpret_cast<const char*>(buffer.data()), size_bytes, 0) == 0;
    }
  };
  struct Consumer {
    mqd_t queue;
    std::vector<std::byte> buffer;
    template <typename Look>
    [[nodiscard]] bool try_receive(Look&& look) {
      const ssize_t count =
          mq_receive(queue, reinterpret_cast<char*>(buffer.data()), buffer.size(), nullptr);
      if (count < 0) return false;
      look(std::span<const std::byte>(buffer.data(), static_cast<std::size_t>(count)));
      return true;
    }
  };
  [[nodiscard]] Producer producer() const { return {queue_, std::vector<std::byte>(size_bytes_)}; }
  [[nodiscard]] Consumer consumer() const { return {queue_, std::vector<std::byte>(size_bytes_)}; }

 private:
  mqd_t queue_;
  std::size_t size_bytes_;
};

constexpr Contender kPipe{"pipe", "pipe", Family::kKernel, "1 MiB, polled"};
constexpr Contender kStream{"unix-stream", "unix stream socket", Family::kKernel, "polled"};
constexpr Contender kSeqpacket{"unix-seqpacket", "unix seqpacket socket", Family::kKernel,
                               "polled"};
constexpr Contender kTcp{"tcp", "TCP on loopback", Family::kKernel, "no delay, polled"};
constexpr Contender kMessageQueue{"mqueue", "POSIX message queue", Family::kKernel,
                                  "10 messages at most, 8 KiB each; polled"};

template <typename Carrier>
void add_descriptor(Registry& registry, const Contender& contender, std::size_t size_max = 65536) {
  using Channel8 = typename AsChannel<Carrier>::template Of<Message<8>, kSmallRing>;
  using Channel64 = typename AsChannel<Carrier>::template Of<Message<64>, kSmallRing>;
  registry.add("spsc8.1k", contender, run_stream<Channel8, Message<8>, 1, Sides::kThreads>);
  registry.add("trip8", contender, run_trips<Channel8, Message<8>, Sides::kThreads>);
  registry.add("trip64", contender, run_trips<Channel64, Message<64>, Sides::kThreads>);
  registry.add("process.spsc64", contender,
               run_stream<Channel64, Message<64>, 1, Sides::kProcesses>);
  registry.add("process.trip8", contender, run_trips<Channel8, Message<8>, Sides::kProcesses>);
  add_records<Carrier>(registry, contender, size_max);
}

// Bytes between two processes, as a shell's programs carry them.
template <typename Carrier>
void add_bytes(Registry& registry, const Contender& contender) {
  registry.add("stream4k", contender, run_records<Carrier, 4096, Sides::kProcesses>);
  registry.add("stream64k", contender, run_records<Carrier, 65536, Sides::kProcesses>);
  registry.add("stream1m", contender, run_records<Carrier, 1U << 20, Sides::kProcesses>);
}

}  // namespace

void add_kernel(Registry& registry) {
  add_bytes<DescriptorCarrier<OpenPipe>>(registry, kPipe);
  add_bytes<DescriptorCarrier<OpenUnix<SOCK_STREAM>>>(registry, kStream);
  add_bytes<DescriptorCarrier<OpenTcp>>(registry, kTcp);
  add_descriptor<DescriptorCarrier<OpenPipe>>(registry, kPipe);
  add_descriptor<DescriptorCarrier<OpenUnix<SOCK_STREAM>>>(registry, kStream);
  add_descriptor<DescriptorCarrier<OpenUnix<SOCK_SEQPACKET>>>(registry, kSeqpacket);
  add_descriptor<DescriptorCarrier<OpenTcp>>(registry, kTcp);
  add_descriptor<MessageQueueCarrier>(registry, kMessageQueue, 4096);
}

}  // namespace slipring::bench
