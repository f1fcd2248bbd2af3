#include <doctest/doctest.h>
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "platform/process/descriptor.h"
#include "tests/pipelines/posix/channel.h"

namespace slipring::posix {
namespace {

using What = Answer::What;

constexpr long kQueueMessageBytes = 1024;

Answer answer_of(ssize_t moved) {
  if (moved >= 0) return {What::kDone, static_cast<std::size_t>(moved)};
  switch (errno) {
    case EAGAIN:
      return {What::kBlocked};
    case EPIPE:
    case ECONNREFUSED:
    case ECONNRESET:
      return {What::kBroken};
    case EMSGSIZE:
      return {What::kTooLong};
    default:
      return {What::kFault};
  }
}

// How a kind of descriptor is written and read.
struct Calls {
  ssize_t (*write)(int fd, const char* bytes, std::size_t size);
  ssize_t (*read)(int fd, char* bytes, std::size_t size);
  bool has_end;  // no bytes are the end of the file, and no message
};

ssize_t plain_write(int fd, const char* bytes, std::size_t size) {
  return ::write(fd, bytes, size);
}
ssize_t plain_read(int fd, char* bytes, std::size_t size) {
  return ::read(fd, bytes, size);
}
ssize_t queue_write(int fd, const char* bytes, std::size_t size) {
  return mq_send(fd, bytes, size, 0) == 0 ? static_cast<ssize_t>(size) : -1;
}
ssize_t queue_read(int fd, char* bytes, std::size_t size) {
  return mq_receive(fd, bytes, size, nullptr);
}
constexpr Calls kPlain{plain_write, plain_read, true};
constexpr Calls kDatagram{plain_write, plain_read, false};
constexpr Calls kQueue{queue_write, queue_read, false};

short poll_now(int fd, short events) {
  pollfd watched{fd, events, 0};
  return poll(&watched, 1, 0) == 1 ? watched.revents : short{0};
}

class FdWriter final : public Writer {
 public:
  FdWriter(Descriptor fd, const Calls& calls) : fd_(std::move(fd)), calls_(calls) {}
  Answer write(std::string_view bytes) override {
    return answer_of(calls_.write(fd_.get(), bytes.data(), bytes.size()));
  }
  void begin_poll() override {}
  bool is_writable() override { return (poll_now(fd_.get(), POLLOUT) & POLLOUT) != 0; }
  bool is_broken() override { return (poll_now(fd_.get(), POLLOUT) & (POLLERR | POLLHUP)) != 0; }
  void end_poll() override {}

 private:
  Descriptor fd_;
  const Calls& calls_;
};

class FdReader final : public Reader {
 public:
  FdReader(Descriptor fd, const Calls& calls) : fd_(std::move(fd)), calls_(calls) {}
  Answer read(std::string& bytes, std::size_t most) override {
    bytes.resize(most);
    const Answer answer = answer_of(calls_.read(fd_.get(), bytes.data(), most));
    bytes.resize(answer.count);
    if (answer.what == What::kDone && answer.count == 0 && calls_.has_end) return {What::kEnd};
    return answer;
  }
  void begin_poll() override {}
  bool is_readable() override { return (poll_now(fd_.get(), POLLIN) & POLLIN) != 0; }
  bool is_hung_up() override {
    return (poll_now(fd_.get(), POLLIN | POLLRDHUP) & (POLLHUP | POLLRDHUP)) != 0;
  }
  void end_poll() override {}

 private:
  Descriptor fd_;
  const Calls& calls_;
};

class FdChannel final : public Channel {
 public:
  FdChannel(int read_fd, int write_fd, const Calls& calls)
      : read_(read_fd), write_(write_fd), calls_(calls) {
    REQUIRE(read_.is_open());
    REQUIRE(write_.is_open());
    for (const int fd : {read_fd, write_fd}) {
      REQUIRE(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0);
    }
  }
  std::unique_ptr<Reader> reader() override {
    return std::make_unique<FdReader>(std::move(read_), calls_);
  }
  std::unique_ptr<Writer> writer() override {
    return std::make_unique<FdWriter>(std::move(write_), calls_);
  }
  pid_t fork_writer(const std::function<int(Writer&)>& body) override {
    const pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      read_ = Descriptor();  // unless it has been handed out
      FdWriter writer(std::move(write_), calls_);
      _exit(body(writer));
    }
    write_ = Descriptor();
    return pid;
  }

 private:
  Descriptor read_;
  Descriptor write_;
  const Calls& calls_;
};

std::unique_ptr<Channel> make_pipe() {
  std::array<int, 2> fds{};
  REQUIRE(pipe2(fds.data(), O_CLOEXEC) == 0);
  return std::make_unique<FdChannel>(fds[0], fds[1], kPlain);
}

std::unique_ptr<Channel> make_fifo() {
  char folder[] = "/tmp/slipring-fifo-XXXXXX";
  REQUIRE(mkdtemp(folder) != nullptr);
  const std::string path = std::string(folder) + "/fifo";
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  const int read_fd = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  const int write_fd = open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
  REQUIRE(unlink(path.c_str()) == 0);
  REQUIRE(rmdir(folder) == 0);
  return std::make_unique<FdChannel>(read_fd, write_fd, kPlain);
}

template <int kType>
std::unique_ptr<Channel> make_unix() {
  std::array<int, 2> fds{};
  REQUIRE(socketpair(AF_UNIX, kType | SOCK_CLOEXEC, 0, fds.data()) == 0);
  return std::make_unique<FdChannel>(fds[0], fds[1], kType == SOCK_DGRAM ? kDatagram : kPlain);
}

std::unique_ptr<Channel> make_queue() {
  const std::string name = "/slipring-posix-" + std::to_string(getpid());
  mq_attr attributes{};
  attributes.mq_maxmsg = 10;
  attributes.mq_msgsize = kQueueMessageBytes;
  const int write_fd =
      mq_open(name.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600, &attributes);
  REQUIRE(write_fd >= 0);
  const int read_fd = mq_open(name.c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(mq_unlink(name.c_str()) == 0);
  return std::make_unique<FdChannel>(read_fd, write_fd, kQueue);
}

}  // namespace

const Kind& kernel_kind(std::string_view name) {
  static const std::vector<Kind> kAll{
      {"pipe", make_pipe},
      {"FIFO", make_fifo},
      {"unix stream", make_unix<SOCK_STREAM>},
      {"unix seqpacket", make_unix<SOCK_SEQPACKET>},
      {"unix datagram", make_unix<SOCK_DGRAM>},
      {"message queue", make_queue},
  };
  for (const Kind& kind : kAll) {
    if (kind.name == name) return kind;
  }
  FAIL("no such kind");
  return kAll.front();
}

}  // namespace slipring::posix
