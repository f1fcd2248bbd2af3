// `slipring put` and `slipring get` as the two ends of a pipe: what a pipe promises, with the real
// programs, and what is promised on top when one of them is killed.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/tools/pipe/pipe_fixture.h"

namespace slipring::tools {
namespace {

struct Ends {
  Running put;
  Running get;
  Descriptor in;   // what `put` reads comes from here
  Descriptor out;  // what `get` writes goes here
};

Ends start_both(const CommandFixture& fixture, const std::vector<std::string>& more = {}) {
  PipeEnds in = make_pipe();
  PipeEnds out = make_pipe();
  std::vector<std::string> put_words{"put", "s", "--capacity", "64KiB"};
  std::vector<std::string> get_words{"get", "s", "--capacity", "64KiB"};
  put_words.insert(put_words.end(), more.begin(), more.end());
  get_words.insert(get_words.end(), more.begin(), more.end());
  Running put = fixture.start(put_words, {.stdin_fd = in.read.get()});
  Running get = fixture.start(get_words, {.stdout_fd = out.write.get()});
  return {std::move(put), std::move(get), std::move(in.write), std::move(out.read)};
}

TEST_CASE("put, get: every byte, in order, and then the end of the file") {
  const CommandFixture fixture;
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{3'000'000}}) {
    Ends ends = start_both(fixture);
    const std::string bytes = pattern(size);
    const pid_t feeder = fork();
    REQUIRE(feeder >= 0);
    if (feeder == 0) {
      std::string_view rest = bytes;
      while (!rest.empty()) {
        const ssize_t put =
            write(ends.in.get(), rest.data(), std::min<std::size_t>(7777, rest.size()));
        if (put <= 0) _exit(1);
        rest.remove_prefix(static_cast<std::size_t>(put));
      }
      _exit(0);
    }
    ends.in = Descriptor();
    CHECK(read_some(ends.out, size + 1) == bytes);
    CHECK(fixture.finish(std::move(ends.put)).exit_status == 0);
    CHECK(fixture.finish(std::move(ends.get)).exit_status == 0);
    CHECK(is_gone(fixture));
  }
}

TEST_CASE("put: what was put waits for a reader that comes later") {
  const CommandFixture fixture;
  PipeEnds in = make_pipe();
  write_all(in.write, "early");
  in.write = Descriptor();
  CHECK(fixture.call({"put", "s"}, {.stdin_fd = in.read.get()}).exit_status == 0);
  const Ending got = fixture.call({"get", "s"});
  CHECK(got.exit_status == 0);
  CHECK(got.out == "early");
  CHECK(is_gone(fixture));
}

TEST_CASE("put: a reader that stops reading stops the writer, and nothing is lost") {
  const CommandFixture fixture;
  Ends ends = start_both(fixture);
  REQUIRE(fcntl(ends.in.get(), F_SETFL, O_NONBLOCK) == 0);
  // Pipe, ring, pipe: more than that cannot be under way.
  const std::size_t most = 3 * 65536;
  const std::string bytes = pattern(2 * most);
  std::size_t sent = 0;
  until("the ring fills", [&] {
    const ssize_t put = write(ends.in.get(), bytes.data() + sent, bytes.size() - sent);
    if (put > 0) sent += static_cast<std::size_t>(put);
    return sent > 65536 && published(fixture, "s") >= 65536 && put < 0;
  });
  CHECK(sent <= most + 4096);
  ends.in = Descriptor();
  CHECK(read_some(ends.out, bytes.size()) == bytes.substr(0, sent));
  CHECK(fixture.finish(std::move(ends.put)).exit_status == 0);
  CHECK(fixture.finish(std::move(ends.get)).exit_status == 0);
}

TEST_CASE("put: ends by SIGPIPE, quietly, when nobody reads what `get` writes") {
  const CommandFixture fixture;
  Ends ends = start_both(fixture);
  write_all(ends.in, "some");
  CHECK(read_some(ends.out, 4) == "some");
  ends.out = Descriptor();
  signal(SIGPIPE, SIG_IGN);
  until("the writer's input breaks",
        [&] { return write(ends.in.get(), "more", 4) < 0 && errno == EPIPE; });
  const Ending put = fixture.finish(std::move(ends.put));
  const Ending get = fixture.finish(std::move(ends.get));
  CHECK(put.signal_number == SIGPIPE);
  CHECK(get.signal_number == SIGPIPE);
  CHECK(put.err == "");
  CHECK(get.err == "");
  CHECK(is_gone(fixture));
}

TEST_CASE("get: a killed writer's bytes all arrive, and then the death is told") {
  const CommandFixture fixture;
  Ends ends = start_both(fixture);
  const std::string bytes = pattern(10'000);
  write_all(ends.in, bytes);
  until("everything is published", [&] { return published(fixture, "s") == bytes.size(); });
  REQUIRE(ends.put.peer.send_signal(SIGKILL).ok());
  CHECK(fixture.finish(std::move(ends.put)).signal_number == SIGKILL);
  CHECK(read_some(ends.out, bytes.size() + 1) == bytes);
  const Ending get = fixture.finish(std::move(ends.get));
  CHECK(get.exit_status == 1);
  CHECK(contains(get.err, "the writer of ring:s died without closing, after 10000 bytes"));
  CHECK(is_gone(fixture));
}

TEST_CASE("put: a killed reader is told as what it is") {
  const CommandFixture fixture;
  Ends ends = start_both(fixture);
  write_all(ends.in, "some");
  CHECK(read_some(ends.out, 4) == "some");
  REQUIRE(ends.get.peer.send_signal(SIGKILL).ok());
  CHECK(fixture.finish(std::move(ends.get)).signal_number == SIGKILL);
  const Ending put = fixture.finish(std::move(ends.put));
  CHECK(put.exit_status == 1);
  CHECK(contains(put.err, "the reader of ring:s died"));
}

TEST_CASE("put, get --stay: a successor goes on at the byte where the killed one stopped") {
  const CommandFixture fixture;
  Ends ends = start_both(fixture, {"--stay"});
  const std::string bytes = pattern(500'000);
  const pid_t feeder = fork();
  REQUIRE(feeder >= 0);
  if (feeder == 0) {
    write_all(ends.in, bytes);
    _exit(0);
  }
  ends.in = Descriptor();
  std::string got;
  for (std::size_t kill_at = 80'000; kill_at < 500'000; kill_at += 80'000) {
    got += read_some(ends.out, kill_at - got.size());
    // It dies while it is writing; what it wrote and had not finished comes again.
    REQUIRE(ends.get.peer.send_signal(SIGKILL).ok());
    CHECK(fixture.finish(std::move(ends.get)).signal_number == SIGKILL);
    got += read_some(ends.out, bytes.size());
    Result<LinkObserver> link = LinkObserver::attach(fixture.directory(), "s");
    REQUIRE(link.ok());
    const std::uint64_t done = link->report().done;
    REQUIRE(done <= got.size());
    CHECK(bytes.compare(0, got.size(), got) == 0);
    got.resize(done);
    PipeEnds out = make_pipe();
    ends.get = fixture.start({"get", "s", "--stay"}, {.stdout_fd = out.write.get()});
    ends.out = std::move(out.read);
  }
  got += read_some(ends.out, bytes.size() - got.size());
  CHECK(got == bytes);
  REQUIRE(ends.get.peer.send_signal(SIGTERM).ok());
  CHECK(fixture.finish(std::move(ends.get)).signal_number == SIGTERM);
  CHECK(fixture.finish(std::move(ends.put)).exit_status == 0);
}

TEST_CASE("put: a stream has one writer, and nothing is taken from the living") {
  const CommandFixture fixture;
  Ends ends = start_both(fixture);
  write_all(ends.in, "x");
  CHECK(read_some(ends.out, 1) == "x");
  const Ending second = fixture.call({"put", "s"});
  CHECK(second.exit_status == 4);
  CHECK(contains(second.err, "process " + std::to_string(ends.put.peer.pid()) + " is"));
  ends.in = Descriptor();
  CHECK(fixture.finish(std::move(ends.put)).exit_status == 0);
  CHECK(fixture.finish(std::move(ends.get)).exit_status == 0);
}

TEST_CASE("pipe: files, sockets and streams, each into the next") {
  const CommandFixture fixture;
  const std::string bytes = pattern(700'000);
  const std::string in = fixture.path() + "/../" + std::to_string(getpid()) + ".in";
  const std::string out = in + ".out";
  {
    const Descriptor file(open(in.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    write_all(file, bytes);
  }
  const std::string local = "unix://" + in + ".sock";
  std::vector<Running> chain;
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {in, "ring:a"}, {"ring:a", "ring:b"}, {local + "?listen", out}}) {
    chain.push_back(fixture.start({"pipe", from, to}));
  }
  until("the socket is there", [&] { return access((in + ".sock").c_str(), F_OK) == 0; });
  struct stat socket_file {};
  REQUIRE(stat((in + ".sock").c_str(), &socket_file) == 0);
  CHECK((socket_file.st_mode & 0777) == 0600);
  chain.push_back(fixture.start({"pipe", "ring:b", local}));
  for (Running& one : chain) {
    const Ending ending = fixture.finish(std::move(one));
    CHECK(ending.exit_status == 0);
    CHECK(ending.err == "");
  }
  const Descriptor file(open(out.c_str(), O_RDONLY | O_CLOEXEC));
  CHECK(read_some(file, bytes.size() + 1) == bytes);
  CHECK(access((in + ".sock").c_str(), F_OK) != 0);
  CHECK(is_gone(fixture));
  unlink(in.c_str());
  unlink(out.c_str());
}

TEST_CASE("put, get: what cannot be meant is refused in words") {
  const CommandFixture fixture;
  fixture.make_records("r");
  const Ending kind = fixture.call({"put", "r"});
  CHECK(kind.exit_status == 5);
  CHECK(contains(kind.err, "it is no stream but carries records"));
  CHECK(fixture.call({"put"}).exit_status == 2);
  CHECK(fixture.call({"get", "a/b"}).exit_status == 2);
  const Ending capacity = fixture.call({"get", "s", "--capacity", "1000"});
  CHECK(capacity.exit_status == 2);
  CHECK(contains(capacity.err, "power of two"));
}

}  // namespace
}  // namespace slipring::tools
