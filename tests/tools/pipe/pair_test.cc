// Every source of bytes with every sink: all bytes and then the end; and when the sink's reader
// goes, an end by SIGPIPE without a word, as of `cat` into a closed pipe.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pipelines/adapter/open_endpoint.h"
#include "tests/pipelines/adapter/lossy_proxy.h"
#include "tests/tools/pipe/pipe_fixture.h"

namespace slipring::tools {
namespace {

constexpr std::array<const char*, 5> kKinds{"-", "fifo", "ring", "unix", "tcp"};

Endpoint endpoint(const std::string& text) {
  std::string fault;
  const std::optional<Endpoint> parsed = parse_endpoint(text, fault);
  REQUIRE_MESSAGE(parsed.has_value(), fault);
  return *parsed;
}

std::string free_port() {
  const Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return std::to_string(test::port_of(socket.get()));
}

// One call of `slipring pipe`, with what feeds it and what drains it.
class Pair {
 public:
  Pair(const CommandFixture& fixture, std::string from, std::string to)
      : fixture_(fixture), from_(std::move(from)), to_(std::move(to)) {
    const std::string base = "/tmp/slipring-pair-" + std::to_string(getpid());
    prepare_source(base + ".in");
    prepare_sink(base + ".out");
    PipeEnds in = make_pipe();
    PipeEnds out = make_pipe();
    CallOptions options;
    if (from_ == "-") options.stdin_fd = in.read.get();
    if (to_ == "-") options.stdout_fd = out.write.get();
    pipe_.emplace(fixture.start({"pipe", source_, sink_}, options));
    if (from_ == "-") feed_ = std::move(in.write);
    if (to_ == "-") drain_ = std::move(out.read);
    open_feed();
    open_drain();
    REQUIRE(fcntl(feed_.get(), F_SETFL, O_NONBLOCK) == 0);
    REQUIRE(fcntl(drain_.get(), F_SETFL, O_NONBLOCK) == 0);
  }
  ~Pair() {
    for (const std::string& path : paths_) unlink(path.c_str());
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  // Feeds all of `bytes` and drains until the end, or until so many bytes have come.
  std::string carry(std::string_view bytes, std::size_t enough) {
    std::string got;
    std::array<char, 65536> piece{};
    for (;;) {
      std::array<pollfd, 2> watched{pollfd{feed_.is_open() ? feed_.get() : -1, POLLOUT, 0},
                                    pollfd{drain_.get(), POLLIN, 0}};
      REQUIRE(poll(watched.data(), watched.size(), 60'000) > 0);
      if (feed_.is_open()) {
        const ssize_t put = write(feed_.get(), bytes.data(), bytes.size());
        if (put > 0) bytes.remove_prefix(static_cast<std::size_t>(put));
        if (bytes.empty()) feed_ = Descriptor();
      }
      if (watched[1].revents == 0) continue;  // of a FIFO without a writer yet, read says the end
      const ssize_t count = read(drain_.get(), piece.data(), piece.size());
      if (count == 0) return got;
      if (count > 0) got.append(piece.data(), static_cast<std::size_t>(count));
      if (got.size() >= enough) return got;
    }
  }
  [[nodiscard]] const std::string& source() const { return source_; }
  [[nodiscard]] const std::string& sink() const { return sink_; }
  // Feeds until nothing is taken for a while, and nobody drains.
  void fill() {
    const std::string bytes = pattern(65536);
    pollfd watched{feed_.get(), POLLOUT, 0};
    while (poll(&watched, 1, 100) == 1) REQUIRE(write(feed_.get(), bytes.data(), bytes.size()) > 0);
  }
  void end() {
    REQUIRE(pipe_->peer.send_signal(SIGKILL).ok());
    CHECK(finish().signal_number == SIGKILL);
  }
  // The reader goes, and what feeds goes on until nobody takes it.
  void close_drain() { drain_ = Descriptor(); }
  void feed_until_broken() {
    const std::string bytes = pattern(65536);
    for (;;) {
      pollfd watched{feed_.get(), POLLOUT, 0};
      REQUIRE(poll(&watched, 1, 60'000) == 1);
      if (write(feed_.get(), bytes.data(), bytes.size()) < 0 && errno != EAGAIN) return;
    }
  }
  Ending finish() {
    const Ending ending = fixture_.finish(std::move(*pipe_));
    for (Running& helper : helpers_) {
      const Ending helped = fixture_.finish(std::move(helper));
      CHECK(helped.err == "");
    }
    return ending;
  }

 private:
  void make_fifo(const std::string& path) {
    unlink(path.c_str());
    REQUIRE(mkfifo(path.c_str(), 0600) == 0);
    paths_.push_back(path);
  }
  void prepare_source(const std::string& path) {
    source_ = "-";
    if (from_ == "fifo") make_fifo(source_ = path);
    if (from_ == "ring") source_ = "ring:in";
    if (from_ == "unix") source_ = "unix://" + path + "?listen";
    if (from_ == "tcp") source_ = "tcp://:" + free_port() + "?listen";
  }
  void prepare_sink(const std::string& path) {
    sink_ = "-";
    if (to_ == "fifo") make_fifo(sink_ = path);
    if (to_ == "ring") sink_ = "ring:out";
    if (to_ != "unix" && to_ != "tcp") return;
    sink_ = to_ == "unix" ? "unix://" + path : "tcp://:" + free_port();
    unlink(path.c_str());
    paths_.push_back(path);
    Result<Descriptor> listener = listen_at(endpoint(sink_), 1);
    REQUIRE(listener.ok());
    listener_ = std::move(listener).value();
  }
  void open_feed() {
    if (from_ == "fifo") feed_ = Descriptor(open(source_.c_str(), O_WRONLY | O_CLOEXEC));
    if (from_ == "ring") {
      PipeEnds ends = make_pipe();
      helpers_.push_back(fixture_.start({"put", "in"}, {.stdin_fd = ends.read.get()}));
      feed_ = std::move(ends.write);
    }
    if (from_ != "unix" && from_ != "tcp") return;
    const std::string there = source_.substr(0, source_.find('?'));
    until("it listens", [&] {
      Result<Descriptor> opened = open_endpoint(endpoint(there), Direction::kSink);
      if (opened) feed_ = std::move(opened).value();
      return feed_.is_open();
    });
  }
  void open_drain() {
    if (to_ == "fifo") drain_ = Descriptor(open(sink_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    if (to_ == "ring") {
      PipeEnds ends = make_pipe();
      helpers_.push_back(fixture_.start({"get", "out"}, {.stdout_fd = ends.write.get()}));
      drain_ = std::move(ends.read);
    }
    if (!listener_.is_open()) return;
    drain_ = Descriptor(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }

  const CommandFixture& fixture_;
  std::string from_;
  std::string to_;
  std::string source_;
  std::string sink_;
  std::vector<std::string> paths_;
  std::optional<Running> pipe_;
  std::vector<Running> helpers_;
  Descriptor listener_;
  Descriptor feed_;
  Descriptor drain_;
};

TEST_CASE("pipe: from everywhere to everywhere, every byte and then the end") {
  const std::string bytes = pattern(400'000);
  int pair_count = 0;
  for (const char* from : kKinds) {
    for (const char* to : kKinds) {
      INFO(std::string(from), " to ", std::string(to));
      const CommandFixture fixture;
      Pair pair(fixture, from, to);
      CHECK(pair.carry(bytes, bytes.size() + 1) == bytes);
      const Ending ending = pair.finish();
      CHECK(ending.exit_status == 0);
      CHECK(ending.err == "");
      CHECK(is_gone(fixture));
      ++pair_count;
    }
  }
  MESSAGE("pairs: ", pair_count);
}

TEST_CASE("pipe: to a reader that goes, an end by SIGPIPE without a word") {
  signal(SIGPIPE, SIG_IGN);
  for (const char* from : kKinds) {
    for (const char* to : kKinds) {
      INFO(std::string(from), " to ", std::string(to));
      const CommandFixture fixture;
      Pair pair(fixture, from, to);
      // More than is taken: the input has not ended when the reader goes.
      static_cast<void>(pair.carry(pattern(20'000'000), 1000));
      pair.close_drain();
      pair.feed_until_broken();
      const Ending ending = pair.finish();
      CHECK(ending.signal_number == SIGPIPE);
      CHECK(ending.err == "");
      CHECK(is_gone(fixture));
    }
  }
}

// In a process of its own: one that the kernel keeps out of the FIFO cannot be ended by anybody.
bool opens_in_time(const std::string& path, int flags) {
  const pid_t pid = fork();
  if (pid == 0) _exit(open(path.c_str(), flags | O_NONBLOCK | O_CLOEXEC) >= 0 ? 0 : 1);
  REQUIRE(pid > 0);
  Result<Peer> opener = Peer::open(pid);
  REQUIRE(opener.ok());
  Result<std::optional<ExitStatus>> ended = opener->reap(deadline_after(10'000'000'000));
  REQUIRE(ended.ok());
  return ended->has_value() && (*ended)->is_success();
}

TEST_CASE("pipe: a socket that is silent or full keeps nobody out of the FIFO beside it") {
  const CommandFixture fixture;
  for (const char* socket : {"tcp", "unix"}) {
    INFO(socket);
    Pair silent(fixture, socket, "fifo");
    bool is_open = true;
    for (int turn = 0; turn < 20 && is_open; ++turn) {
      is_open = opens_in_time(silent.sink(), O_RDONLY);
    }
    CHECK(is_open);
    silent.end();
    Pair full(fixture, "fifo", socket);
    full.fill();
    CHECK(opens_in_time(full.source(), O_WRONLY));
    full.end();
  }
}

}  // namespace
}  // namespace slipring::tools
