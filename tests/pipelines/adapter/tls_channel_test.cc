#include "pipelines/adapter/tls_channel.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "platform/process/child.h"
#include "platform/process/descriptor.h"
#include "platform/wait/clock.h"
#include "tests/pipelines/adapter/tls_identities.h"

namespace slipring {
namespace {

struct AllIdentities : TlsIdentities {
  AllIdentities() {
    add_stranger();
    vouch("elsewhere", "authority", "subjectAltName=DNS:elsewhere.example");
    add_expired();
  }
};

const TlsIdentities& identities() {
  static const AllIdentities kMade;
  return kMade;
}

TlsContext context_of(TlsSide side, const TlsCredentials& credentials) {
  std::string fault;
  std::optional<TlsContext> context = TlsContext::open(side, credentials, fault);
  REQUIRE_MESSAGE(context, fault);
  return std::move(*context);
}

TlsChannel channel_of(const TlsContext& context, int fd, const std::string& name) {
  std::string fault;
  std::optional<TlsChannel> channel = TlsChannel::create(context, fd, name, fault);
  REQUIRE_MESSAGE(channel, fault);
  return std::move(*channel);
}

bool is_settled(TlsAnswer answer) {
  return answer != TlsAnswer::kWantsRead && answer != TlsAnswer::kWantsWrite;
}

// Both sides in one thread, over non-blocking sockets.
struct Pair {
  Pair(const std::string& server_identity, const std::string& client_identity,
       const std::string& server_name, const std::string& client_name = "reader",
       const std::string& client_authority = "authority")
      : server_context(context_of(TlsSide::kServer, identities().credentials(server_identity))),
        client_context(context_of(TlsSide::kClient,
                                  identities().credentials(client_identity, client_authority))) {
    std::array<int, 2> ends{};
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0);
    server_fd = Descriptor(ends[0]);
    client_fd = Descriptor(ends[1]);
    server.emplace(channel_of(server_context, ends[0], client_name));
    client.emplace(channel_of(client_context, ends[1], server_name));
  }

  void shake_hands() {
    TlsAnswer here = TlsAnswer::kWantsRead;
    TlsAnswer there = TlsAnswer::kWantsRead;
    while (!is_settled(here) || !is_settled(there)) {
      if (!is_settled(there)) there = client->handshake();
      if (!is_settled(here)) here = server->handshake();
      if (there == TlsAnswer::kFailed && !is_settled(here)) client_fd_closed();
    }
    server_answer = here;
    client_answer = there;
  }
  // A client that has given up closes its socket.
  void client_fd_closed() { REQUIRE(shutdown(client_fd.get(), SHUT_WR) == 0); }

  TlsContext server_context;
  TlsContext client_context;
  Descriptor server_fd;
  Descriptor client_fd;
  std::optional<TlsChannel> server;
  std::optional<TlsChannel> client;
  TlsAnswer server_answer = TlsAnswer::kFailed;
  TlsAnswer client_answer = TlsAnswer::kFailed;
};

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

TEST_CASE("tls_channel: bytes pass both ways, and each side says its farewell") {
  Pair pair("server", "client", "localhost");
  pair.shake_hands();
  REQUIRE_MESSAGE(pair.server_answer == TlsAnswer::kDone, pair.server->fault());
  REQUIRE_MESSAGE(pair.client_answer == TlsAnswer::kDone, pair.client->fault());
  CHECK(pair.server->peer_subject() == "CN=client");
  CHECK(pair.client->peer_subject() == "CN=server");

  std::string sent(1'000'000, '\0');
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 7 + i / 251);
  for (const bool to_server : {true, false}) {
    TlsChannel& from = to_server ? *pair.client : *pair.server;
    TlsChannel& to = to_server ? *pair.server : *pair.client;
    std::string received;
    std::size_t put = 0;
    bool said_farewell = false;
    for (;;) {
      std::size_t count = 0;
      if (put < sent.size()) {
        // From a place of its own each time: the bytes may move between tries.
        const std::vector<std::byte> piece(bytes_of(sent).begin() + std::ptrdiff_t(put),
                                           bytes_of(sent).end());
        const TlsAnswer answer = from.write(piece, count);
        REQUIRE_MESSAGE(answer != TlsAnswer::kFailed, from.fault());
        put += count;
      } else if (!said_farewell) {
        said_farewell = from.say_farewell() == TlsAnswer::kDone;
      }
      std::array<std::byte, 5000> piece;
      const TlsAnswer answer = to.read(piece, count);
      REQUIRE_MESSAGE(answer != TlsAnswer::kFailed, to.fault());
      received.append(reinterpret_cast<const char*>(piece.data()), count);
      if (answer == TlsAnswer::kEnd) break;
    }
    CHECK(received == sent);
  }
}

TEST_CASE("tls_channel: a connection cut before the farewell is a fault, not an end") {
  Pair pair("server", "client", "127.0.0.1");
  pair.shake_hands();
  REQUIRE(pair.client_answer == TlsAnswer::kDone);
  pair.client_fd_closed();
  std::array<std::byte, 16> piece;
  std::size_t count = 0;
  CHECK(pair.server->read(piece, count) == TlsAnswer::kFailed);
  CHECK(pair.server->fault() == "receive over TLS: the connection was cut");
}

TEST_CASE("tls_channel: whose certificate does not lead to the authority is refused, by name") {
  SUBCASE("a client's") {
    Pair pair("server", "impostor", "localhost");
    pair.shake_hands();
    CHECK(pair.server_answer == TlsAnswer::kFailed);
    CHECK(pair.server->fault().find("certificate is refused: ") != std::string::npos);
    std::array<std::byte, 16> piece;
    std::size_t count = 0;
    CHECK(pair.client->read(piece, count) == TlsAnswer::kFailed);
    CHECK(pair.client->fault().find("unknown ca") != std::string::npos);
  }
  SUBCASE("a server's") {
    Pair pair("server", "impostor", "localhost", "reader", "stranger");
    pair.shake_hands();
    CHECK(pair.client_answer == TlsAnswer::kFailed);
    CHECK(pair.client->fault().find("certificate is refused: ") != std::string::npos);
  }
}

TEST_CASE("tls_channel: a certificate made out to another name is refused") {
  SUBCASE("a server's") {
    Pair pair("elsewhere", "client", "localhost");
    pair.shake_hands();
    CHECK(pair.client_answer == TlsAnswer::kFailed);
    CHECK(pair.client->fault().find("ostname mismatch") != std::string::npos);
  }
  SUBCASE("a client's") {
    Pair pair("server", "client", "localhost", "somebody.else");
    pair.shake_hands();
    CHECK(pair.server_answer == TlsAnswer::kFailed);
    CHECK(pair.server->fault().find("ostname mismatch") != std::string::npos);
  }
  SUBCASE("an address's") {
    Pair pair("server", "client", "127.0.0.2");
    pair.shake_hands();
    CHECK(pair.client_answer == TlsAnswer::kFailed);
    CHECK(pair.client->fault().find("IP address mismatch") != std::string::npos);
  }
}

TEST_CASE("tls_channel: an expired certificate is refused") {
  Pair pair("server", "expired", "localhost");
  pair.shake_hands();
  CHECK(pair.server_answer == TlsAnswer::kFailed);
  CHECK(pair.server->fault().find("has expired") != std::string::npos);
}

TEST_CASE("tls_channel: what is no TLS at all is refused") {
  Pair pair("server", "client", "localhost");
  const std::string_view request = "GET / HTTP/1.0\r\n\r\n";
  REQUIRE(write(pair.client_fd.get(), request.data(), request.size()) ==
          static_cast<ssize_t>(request.size()));
  CHECK(pair.server->handshake() == TlsAnswer::kFailed);
  CHECK(pair.server->fault() == "TLS handshake: http request");
}

TEST_CASE("tls_channel: a client says whom it means") {
  const TlsContext context = context_of(TlsSide::kClient, identities().credentials("client"));
  std::string fault;
  CHECK(!TlsChannel::create(context, 0, "", fault));
  CHECK(fault == "say which name the server's certificate is to be made out to");
}

TEST_CASE("tls_context: a file that is wrong is named") {
  const auto fault_of = [](const TlsCredentials& credentials) {
    std::string fault;
    CHECK(!TlsContext::open(TlsSide::kServer, credentials, fault));
    return fault;
  };
  const TlsCredentials good = identities().credentials("server");
  TlsCredentials bad = good;
  bad.authority_file = "/nowhere/ca.pem";
  CHECK(fault_of(bad).find("'/nowhere/ca.pem': No such file") != std::string::npos);
  bad = good;
  bad.certificate_file = good.key_file;
  CHECK(fault_of(bad).find("cannot read a certificate from") == 0);
  bad = good;
  bad.key_file = identities().key("client");
  CHECK(fault_of(bad).find("key values mismatch") != std::string::npos);
  bad.key_file = identities().folder() + "/locked.key";
  const std::string lock = "openssl ec -aes128 -passout pass:secret -in " + good.key_file +
                           " -out " + bad.key_file + " 2>/dev/null";
  REQUIRE(std::system(lock.c_str()) == 0);
  CHECK(fault_of(bad).find("cannot read the key of") == 0);  // and nobody is asked
}

// Peers that we did not write.

struct Program {
  Program(const std::vector<std::string>& arguments, bool takes_input) {
    std::array<int, 2> in{};
    std::array<int, 2> out{};
    REQUIRE(pipe2(in.data(), O_CLOEXEC) == 0);
    REQUIRE(pipe2(out.data(), O_CLOEXEC) == 0);
    ChildOptions options;
    options.program = "openssl";
    options.arguments = arguments;
    options.stdin_fd = in[0];
    options.stdout_fd = out[1];
    options.stderr_fd = out[1];
    Result<Peer> started = start_child(options);
    REQUIRE(started);
    process.emplace(std::move(started).value());
    close(in[0]);
    close(out[1]);
    input = Descriptor(in[1]);
    output = Descriptor(out[0]);
    if (!takes_input) input.reset();
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program() {
    static_cast<void>(process->send_signal(SIGKILL));
    static_cast<void>(process->reap(deadline_after(10'000'000'000)));
  }

  // Everything up to `text`, or to the end.
  std::string read_until(std::string_view text) {
    std::string all;
    char piece[512];
    while (text.empty() || all.find(text) == std::string::npos) {
      const ssize_t got = ::read(output.get(), piece, sizeof piece);
      if (got <= 0) break;
      all.append(piece, static_cast<std::size_t>(got));
    }
    return all;
  }

  std::optional<Peer> process;
  Descriptor input;
  Descriptor output;
};

struct Listener {
  Listener() : fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(listen(fd.get(), 4) == 0);
    REQUIRE(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port = ntohs(address.sin_port);
  }
  Descriptor accept_one() const { return Descriptor(accept4(fd.get(), nullptr, nullptr, 0)); }
  Descriptor fd;
  std::uint16_t port = 0;
};

// Blocking, until it says something else than "again".
template <typename Call>
TlsAnswer insist(Call&& call) {
  TlsAnswer answer = call();
  while (!is_settled(answer)) answer = call();
  return answer;
}

std::vector<std::string> s_client(std::uint16_t port, const std::vector<std::string>& more) {
  std::vector<std::string> arguments{"s_client",
                                     "-connect",
                                     "127.0.0.1:" + std::to_string(port),
                                     "-CAfile",
                                     identities().certificate("authority"),
                                     "-quiet",
                                     "-verify_return_error",
                                     "-verify_hostname",
                                     "localhost"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST_CASE("tls_channel: openssl s_client is served") {
  const Listener listener;
  const TlsContext context = context_of(TlsSide::kServer, identities().credentials("server"));
  Program client(s_client(listener.port, {"-cert", identities().certificate("client"), "-key",
                                          identities().key("client")}),
                 true);
  const Descriptor fd = listener.accept_one();
  TlsChannel server = channel_of(context, fd.get(), "reader");
  REQUIRE_MESSAGE(insist([&] { return server.handshake(); }) == TlsAnswer::kDone, server.fault());
  std::size_t count = 0;
  REQUIRE(server.write(bytes_of("from the server\n"), count) == TlsAnswer::kDone);
  REQUIRE(server.say_farewell() == TlsAnswer::kDone);
  CHECK(client.read_until("from the server\n").find("from the server\n") != std::string::npos);
}

TEST_CASE("tls_channel: s_client without a certificate, or with TLS 1.2, is refused") {
  const Listener listener;
  const TlsContext context = context_of(TlsSide::kServer, identities().credentials("server"));
  SUBCASE("without a certificate") {
    Program client(s_client(listener.port, {}), true);
    const Descriptor fd = listener.accept_one();
    TlsChannel server = channel_of(context, fd.get(), "");
    CHECK(insist([&] { return server.handshake(); }) == TlsAnswer::kFailed);
    CHECK(server.fault() == "TLS handshake: peer did not return a certificate");
  }
  SUBCASE("with TLS 1.2") {
    Program client(s_client(listener.port, {"-tls1_2"}), true);
    const Descriptor fd = listener.accept_one();
    TlsChannel server = channel_of(context, fd.get(), "");
    CHECK(insist([&] { return server.handshake(); }) == TlsAnswer::kFailed);
    CHECK(server.fault() == "TLS handshake: unsupported protocol");
  }
}

TEST_CASE("tls_channel: openssl s_server is reached") {
  std::uint16_t port = 0;
  { port = Listener().port; }  // free a moment ago
  Program program({"s_server", "-accept", "127.0.0.1:" + std::to_string(port), "-cert",
                   identities().certificate("server"), "-key", identities().key("server"),
                   "-CAfile", identities().certificate("authority"), "-Verify", "2",
                   "-verify_return_error", "-tls1_3", "-naccept", "1"},
                  true);
  REQUIRE(program.read_until("ACCEPT").find("ACCEPT") != std::string::npos);
  const Descriptor fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  REQUIRE(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  const TlsContext context = context_of(TlsSide::kClient, identities().credentials("client"));
  TlsChannel client = channel_of(context, fd.get(), "localhost");
  REQUIRE_MESSAGE(insist([&] { return client.handshake(); }) == TlsAnswer::kDone, client.fault());
  std::size_t count = 0;
  REQUIRE(client.write(bytes_of("from the client\n"), count) == TlsAnswer::kDone);
  CHECK(program.read_until("from the client\n").find("from the client\n") != std::string::npos);
  REQUIRE(write(program.input.get(), "from the server\n", 16) == 16);
  std::array<std::byte, 64> piece;
  REQUIRE(insist([&] { return client.read(piece, count); }) == TlsAnswer::kDone);
  CHECK(std::string_view(reinterpret_cast<const char*>(piece.data()), count) ==
        "from the server\n");
  CHECK(client.say_farewell() == TlsAnswer::kDone);
}

}  // namespace
}  // namespace slipring
