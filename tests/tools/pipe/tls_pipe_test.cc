// `pipe` over TLS: bytes and lines arrive whole, who is not vouched for is refused in words, and a
// cut is never taken for the end.

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pipelines/link/link_reader.h"
#include "pipelines/link/stream_link.h"
#include "tests/pipelines/adapter/lossy_proxy.h"
#include "tests/pipelines/adapter/tls_identities.h"
#include "tests/tools/pipe/pipe_fixture.h"

namespace slipring::tools {
namespace {

struct AllIdentities : TlsIdentities {
  AllIdentities() { add_stranger(); }
};

const TlsIdentities& identities() {
  static const AllIdentities kMade;
  return kMade;
}

// A port that was free a moment ago.
std::string free_port() {
  const Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return std::to_string(test::port_of(socket.get()));
}

std::string address(const std::string& port, const std::string& who, const char* more = "") {
  const TlsIdentities& all = identities();
  return "tcp+tls://127.0.0.1:" + port + "?ca=" + all.certificate("authority") +
         "&cert=" + all.certificate(who) + "&key=" + all.key(who) + more;
}

// Tries until somebody listens: until then it ends with 3, not found.
Ending send_through(const CommandFixture& fixture, const std::vector<std::string>& words,
                    std::string_view bytes) {
  Ending ending;
  until("the server listens", [&] {
    PipeEnds in = make_pipe();
    Running running = fixture.start(words, {.stdin_fd = in.read.get()});
    in.read = Descriptor();
    signal(SIGPIPE, SIG_IGN);
    std::string_view rest = bytes;
    while (!rest.empty()) {
      const ssize_t put = write(in.write.get(), rest.data(), rest.size());
      if (put <= 0) break;
      rest.remove_prefix(static_cast<std::size_t>(put));
    }
    in.write = Descriptor();
    ending = fixture.finish(std::move(running));
    return ending.exit_status != 3;
  });
  return ending;
}

TEST_CASE("pipe tcp+tls://: three megabytes of bytes, and lines, arrive as they were sent") {
  const CommandFixture fixture;
  const std::string bytes = pattern(3'000'000);
  const std::string port = free_port();
  Running server = fixture.start({"pipe", address(port, "server", "&listen"), "ring:t"});
  Running get = fixture.start({"get", "t"});
  const Ending sent = send_through(fixture, {"pipe", "-", address(port, "client")}, bytes);
  CHECK(sent.exit_status == 0);
  CHECK(sent.err == "");
  CHECK(fixture.finish(std::move(server)).exit_status == 0);
  CHECK(fixture.finish(std::move(get)).out == bytes);

  const std::string lines = "one\n\ntwo\n";
  Running line_server =
      fixture.start({"pipe", address(port, "server", "&listen"), "ring:l", "--lines"});
  CHECK(
      send_through(fixture, {"pipe", "-", address(port, "client"), "--lines"}, lines).exit_status ==
      0);
  CHECK(fixture.finish(std::move(line_server)).exit_status == 0);
  CHECK(fixture.call({"get", "l", "--lines"}).out == lines);
  CHECK(is_gone(fixture));
}

TEST_CASE("pipe tcp+tls://: who is not vouched for is refused on both sides, in words") {
  const CommandFixture fixture;
  const std::string port = free_port();
  Running server = fixture.start({"pipe", address(port, "server", "&listen"), "ring:t"});
  const Ending sent =
      send_through(fixture, {"pipe", "-", address(port, "impostor")}, pattern(100'000));
  CHECK(sent.exit_status == 1);
  CHECK(contains(sent.err, "not all went to tcp+tls://"));
  const Ending refused = fixture.finish(std::move(server));
  CHECK(refused.exit_status == 1);
  CHECK(contains(refused.err, "cannot read tcp+tls://"));
}

TEST_CASE("pipe tcp+tls://: a client that is killed is a cut, and no end of the stream") {
  const CommandFixture fixture;
  const std::string port = free_port();
  Running server = fixture.start({"pipe", address(port, "server", "&listen"), "ring:t"});
  PipeEnds in = make_pipe();
  std::optional<Running> client;
  until("what is sent arrives", [&] {
    if (published(fixture, "t") == 5) return true;
    // One that came before the server listened has ended.
    if (client && !client->peer.has_ended().value()) return false;
    in = make_pipe();
    client.emplace(
        fixture.start({"pipe", "-", address(port, "client")}, {.stdin_fd = in.read.get()}));
    write_all(in.write, "bytes");
    return false;
  });
  REQUIRE(client->peer.send_signal(SIGKILL).ok());
  const Ending ending = fixture.finish(std::move(server));
  CHECK(ending.exit_status == 1);
  CHECK(contains(ending.err, "not all came from tcp+tls://"));
  Result<StreamReader> reader = StreamReader::attach(fixture.directory(), "t");
  REQUIRE(reader.ok());
  CHECK_FALSE(reader->is_peer_closed());
}

TEST_CASE("pipe tcp+tls://: both sides need their papers") {
  const CommandFixture fixture;
  const Ending none = fixture.call({"pipe", "-", "tcp+tls://127.0.0.1:1"});
  CHECK(none.exit_status == 2);
  CHECK(contains(none.err, "?ca=FILE&cert=FILE&key=FILE"));
}

}  // namespace
}  // namespace slipring::tools
