// What a shell does to a pipe: stops it before it has begun, gives it the same end twice, closes
// its standard descriptors, and finds what the killed have left.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/tools/pipe/pipe_fixture.h"

namespace slipring::tools {
namespace {

// A folder for files, gone afterwards.
class Folder {
 public:
  Folder() {
    std::string pattern = "/tmp/slipring-shell-XXXXXX";
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::string file(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

void write_file(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The line of /proc/PID/status that begins so.
std::string status_line(const Running& running, const std::string& key) {
  std::ifstream file("/proc/" + std::to_string(running.peer.pid()) + "/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key)) return line.substr(key.size());
  }
  return {};
}

// It catches SIGTERM, and sleeps in the kernel.
bool sleeps_and_heeds(const Running& running) {
  const std::string caught = status_line(running, "SigCgt:");
  const std::string state = status_line(running, "State:");
  const bool heeds =
      !caught.empty() && (std::strtoull(caught.c_str(), nullptr, 16) >> (SIGTERM - 1) & 1U) != 0;
  return heeds && contains(state, "S (");
}

// Asked to stop while it waits, it ends by that signal, and says nothing.
void check_stops(const CommandFixture& fixture, const std::vector<std::string>& words,
                 const CallOptions& options = {}) {
  Running waiting = fixture.start(words, options);
  until("it waits", [&] { return sleeps_and_heeds(waiting); });
  REQUIRE(waiting.peer.send_signal(SIGTERM).ok());
  const Ending ending = fixture.finish(std::move(waiting));
  CHECK(ending.signal_number == SIGTERM);
  CHECK(ending.err == "");
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  REQUIRE(path.size() < sizeof address.sun_path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

// A socket that listens there, as long as the descriptor lives.
Descriptor listener_at(const std::string& path) {
  const sockaddr_un address = address_of(path);
  Descriptor socket_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(bind(socket_fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(listen(socket_fd.get(), 1) == 0);
  return socket_fd;
}

// What a shell makes of it, with both outputs as one.
std::string shell(const std::string& line) {
  FILE* const output = popen(("{ " + line + " ; } 2>&1; echo \"status $?\"").c_str(), "r");
  REQUIRE(output != nullptr);
  std::string text;
  std::array<char, 4096> piece{};
  while (std::fgets(piece.data(), piece.size(), output) != nullptr) text += piece.data();
  pclose(output);
  return text;
}

TEST_CASE("pipe: a stop signal ends the waiting for whoever is not there yet") {
  const CommandFixture fixture;
  const Folder folder;
  const std::string fifo = folder.file("fifo");
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  const std::string socket_path = folder.file("socket");
  check_stops(fixture, {"pipe", fifo, "-"});
  check_stops(fixture, {"pipe", "-", fifo});
  check_stops(fixture, {"pipe", "unix://" + socket_path + "?listen", "-"});
  CHECK(access(socket_path.c_str(), F_OK) != 0);
  check_stops(fixture, {"pipe", "unix+seqpacket://" + socket_path + "?listen", "-", "--lines"});
  check_stops(fixture, {"pipe", "ring:from", "unix://" + socket_path + "?listen"});
  check_stops(fixture, {"pipe", "ring:from", "unix://" + socket_path + "?listen", "--lines"});
  CHECK(is_gone(fixture));
}

TEST_CASE("put, get: who is stopped before anything came leaves nothing behind") {
  const CommandFixture fixture;
  const PipeEnds silence = make_pipe();
  CallOptions silent;
  silent.stdin_fd = silence.read.get();
  for (const char* framing : {"--capacity=4KiB", "--lines"}) {
    check_stops(fixture, {"get", "x", framing});
    CHECK(is_gone(fixture));
    check_stops(fixture, {"put", "x", framing}, silent);
    CHECK(is_gone(fixture));
  }
  CHECK(fixture.call({"get", "x", "--lines", "-W", "0.01"}).exit_status == 4);
  CHECK(is_gone(fixture));
  // What was made on purpose stays, as does an end that somebody has still to hear of.
  fixture.make_records("made");
  check_stops(fixture, {"get", "made", "--lines"});
  CHECK(fixture.call({"put", "ended"}).exit_status == 0);
  CHECK(fixture.call({"get", "ended"}).exit_status == 0);
  CHECK(fixture.directory().list().value() == std::vector<std::string>{"made"});
}

TEST_CASE("pipe: an end that is both, and what is no end, are refused before anything is cut") {
  const CommandFixture fixture;
  const Folder folder;
  const std::string text = folder.file("text");
  const std::string linked = folder.file("linked");
  write_file(text, "kept\n");
  REQUIRE(link(text.c_str(), linked.c_str()) == 0);
  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{text, text},
                                                        {text, linked},
                                                        {text, "file:" + text},
                                                        {"ring:a", "ring:a"},
                                                        {"mailbox:a", "ring:a"}}) {
    const Ending same = fixture.call({"pipe", from, to});
    CHECK(same.exit_status == 2);
    CHECK(contains(same.err, "are the same"));
  }
  const std::string shell_line = "tools/slipring pipe - " + text + " < " + text;
  CHECK(contains(shell(shell_line), "are the same"));
  CHECK(read_file(text) == "kept\n");
  CHECK(is_gone(fixture));
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {folder.file("."), "-"}, {"-", folder.file(".")}}) {
    const Ending directory = fixture.call({"pipe", from, to});
    CHECK(directory.exit_status == 2);
    CHECK(contains(directory.err, "Is a directory"));
  }
}

TEST_CASE("pipe unix://?listen: what a killed listener left is replaced, and nothing else is") {
  const CommandFixture fixture;
  const Folder folder;
  const std::string path = folder.file("socket");
  for (const char* options : {"?listen", "?listen&clients=2"}) {
    { const Descriptor killed = listener_at(path); }
    struct stat left {};
    REQUIRE(stat(path.c_str(), &left) == 0);
    Running pipe = fixture.start({"pipe", "unix://" + path + options, "-", "--lines"});
    // Its own is there when connecting is no longer refused.
    const sockaddr_un address = address_of(path);
    Descriptor client;
    until("it listens", [&] {
      client = Descriptor(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
      return connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
             0;
    });
    write_all(client, "through\n");
    client = Descriptor();
    const Ending ending = fixture.finish(std::move(pipe));
    CHECK(ending.exit_status == 0);
    CHECK(ending.out == "through\n");
    CHECK(access(path.c_str(), F_OK) != 0);
    {
      const Descriptor living = listener_at(path);
      const Ending refused = fixture.call({"pipe", "unix://" + path + options, "-", "--lines"});
      CHECK(refused.exit_status == 1);
      CHECK(contains(refused.err, "another process listens there, or it is no socket"));
      unlink(path.c_str());
    }
    write_file(path, "kept");
    const Ending refused = fixture.call({"pipe", "unix://" + path + options, "-", "--lines"});
    CHECK(refused.exit_status == 1);
    CHECK(read_file(path) == "kept");
    unlink(path.c_str());
  }
}

TEST_CASE("put, get: a closed standard descriptor is an error, and never somebody else's file") {
  const CommandFixture fixture;
  CHECK(contains(shell("tools/slipring put x <&-"), "Bad file descriptor"));
  CHECK(contains(shell("echo y | tools/slipring put x; tools/slipring get x >&-"),
                 "Bad file descriptor"));
  // Everything that was put is there still, and the link is sound.
  CHECK(fixture.call({"verify", "x"}).exit_status == 0);
  CHECK(fixture.call({"get", "x"}).out == "y\n");
  CHECK(contains(shell("tools/slipring version >&-"), "status 1"));
  CHECK(shell("tools/slipring nonsense 2>&-") == "status 2\n");
}

}  // namespace
}  // namespace slipring::tools
