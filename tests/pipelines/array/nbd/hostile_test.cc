// Clients that mean harm, or have bad luck: the others are served, and the front's memory stays
// what it was.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "tests/pipelines/array/nbd/hostile_fixture.h"
#include "tests/pipelines/array/nbd/nbd_client.h"
#include "tests/pipelines/array/nbd/served_array.h"

namespace slipring::test {
namespace {

TEST_CASE("hostile: a client gone at every byte of what it says leaves nothing behind") {
  const ServedArray array;
  const std::string says = good_session();
  for (std::size_t end = 0; end <= says.size(); ++end) {
    std::optional<NbdClient> client = NbdClient::connect(array.socket());
    REQUIRE(client.has_value());
    static_cast<void>(client->send(std::string_view(says).substr(0, end)));
    // Some wait for the answer's begin, most are gone before.
    if (end % 7 == 0) static_cast<void>(client->receive(1));
  }
  CHECK(eventually([&] { return array.number("nbd", "clients") == 0; }, 60));
  CHECK(eventually([&] { return array.number("nbd", "under_way") == 0; }, 60));
  CHECK(array.life_of("nbd") == 1);
  CHECK(array.life_of("file") == 1);
  check_service(array, 'a');
  MESSAGE((says.size() + 1), " places to leave at");
}

TEST_CASE("hostile: sessions with bytes changed, and bytes without sense, end in order") {
  const ServedArray array;
  check_service(array, 'a');  // before that the front may not know what it serves
  const std::string says = good_session();
  std::mt19937 random(7);
  constexpr int kSessions = 400;
  for (int i = 0; i < kSessions; ++i) {
    std::optional<NbdClient> client = NbdClient::connect(array.socket());
    REQUIRE(client.has_value());
    std::string text = says;
    for (std::uint32_t changes = 1 + random() % 4; changes-- > 0;) {
      text[random() % text.size()] = static_cast<char>(random());
    }
    if (i % 10 == 0) {
      for (char& byte : text) byte = static_cast<char>(random());
    }
    static_cast<void>(client->send(text));
    shutdown(client->fd(), SHUT_WR);
    // A reply that never ends would be a finding; its contents are the golden test's.
    static_cast<void>(client->receive_to_the_end());
  }
  CHECK(eventually([&] { return array.number("nbd", "clients") == 0; }, 60));
  CHECK(array.life_of("nbd") == 1);
  CHECK(array.life_of("file") == 1);
  CHECK(array.number("nbd", "protocol_errors") > 0);
  check_service(array, 'b');
  MESSAGE(kSessions, " sessions, ", array.number("nbd", "protocol_errors"), " hung up on, ",
          array.number("nbd", "requests"), " requests taken, ",
          array.number("nbd", "refused_requests"), " refused");
  CHECK(array.number("nbd", "refused_requests") > 0);
}

TEST_CASE("hostile: a flood whose replies nobody reads stops, and takes no memory") {
  const ServedArray array;
  check_service(array, 'c');
  const std::uint64_t before_kib = resident_kib(array.pid_of("nbd"));
  std::vector<NbdClient> flooders;
  for (int i = 0; i < 8; ++i) {
    std::optional<NbdClient> client = NbdClient::connect(array.socket());
    REQUIRE(client.has_value());
    REQUIRE(client->enter("", i % 2 == 0));
    const int flags = fcntl(client->fd(), F_GETFL);
    REQUIRE(fcntl(client->fd(), F_SETFL, flags | O_NONBLOCK) == 0);
    flooders.push_back(std::move(*client));
  }
  // Requests for 1 MiB each, and refused ones, until the server takes no more of them.
  std::string requests;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    requests += request_text(0, 0, i, 0, 1U << 20) + request_text(0, 0, i, 1U << 30, 1);
  }
  std::uint64_t sent_bytes = 0;
  int idle_rounds = 0;
  while (idle_rounds < 3) {
    bool is_any_sent = false;
    for (NbdClient& client : flooders) {
      const ssize_t sent =
          send(client.fd(), requests.data(), requests.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent > 0) {
        sent_bytes += static_cast<std::uint64_t>(sent);
        is_any_sent = true;
      }
    }
    check_service(array, 'd');
    idle_rounds = is_any_sent ? 0 : idle_rounds + 1;
    REQUIRE_MESSAGE(sent_bytes < 64U << 20, "the flood is taken without end");
  }
  const std::uint64_t after_kib = resident_kib(array.pid_of("nbd"));
  CHECK(after_kib < before_kib + 4096);
  MESSAGE(sent_bytes, " bytes of requests taken of eight floods; resident ", before_kib, " -> ",
          after_kib, " KiB");
  flooders.clear();
  CHECK(eventually([&] { return array.number("nbd", "under_way") == 0; }, 60));
  check_service(array, 'e');
}

TEST_CASE("hostile: a client who reads late holds up nobody, and gets what it asked for") {
  const ServedArray array;
  check_service(array, 'k');
  std::optional<NbdClient> late = NbdClient::connect(array.socket());
  REQUIRE(late.has_value());
  REQUIRE(late->enter("", true));
  std::string bytes(2U << 20, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7 >> 9);
  REQUIRE(late->request(1, 0, 1, 1U << 20, 2U << 20, bytes));
  REQUIRE(late->next_reply().has_value());
  REQUIRE(late->request(0, 0, 2, 1U << 20, 2U << 20));
  // More replies for another than the ring has slots, with two deaths among them.
  std::optional<NbdClient> busy = NbdClient::connect(array.socket());
  REQUIRE(busy.has_value());
  REQUIRE(busy->enter("", true));
  constexpr std::uint64_t kReads = 2500;
  for (std::uint64_t i = 0; i < kReads; ++i) {
    REQUIRE(busy->request(0, 0, i, 0, 512));
    REQUIRE_MESSAGE(busy->next_reply().has_value(), i, " replies came");
    if (i == 700 || i == 1900) array.kill_stage("nbd");
    if (i == 1300) array.kill_stage("file");
  }
  CHECK(array.number("nbd", "replies_spilled") > 0);
  std::optional<NbdReply> reply = late->next_reply();
  REQUIRE(reply.has_value());
  std::string got;
  for (const auto& [offset, data] : reply->data) got += data;
  CHECK(reply->error == 0);
  CHECK(got == bytes);
  MESSAGE(kReads, " replies meanwhile, ", array.number("nbd", "replies_spilled"), " spilled");
}

TEST_CASE("hostile: half requests and half data hold up nobody") {
  const ServedArray array;
  std::vector<NbdClient> half;
  for (std::size_t i = 0; i < 40; ++i) {
    std::optional<NbdClient> client = NbdClient::connect(array.socket());
    REQUIRE(client.has_value());
    if (i % 4 != 0) REQUIRE(client->enter("", true));
    // Nothing more of the greeting; half a header; a header and half of 1 MiB; a byte of a write.
    const std::string write = request_text(1, 0, i, 0, 1U << 20);
    if (i % 4 == 1) REQUIRE(client->send(write.substr(0, 11)));
    if (i % 4 == 2) REQUIRE(client->send(write + std::string(500000, 'h')));
    if (i % 4 == 3) REQUIRE(client->send(write + "h"));
    half.push_back(std::move(*client));
    if (i % 8 == 0) check_service(array, 'f');
  }
  check_service(array, 'g');
  half.clear();
  CHECK(eventually([&] { return array.number("nbd", "clients") == 0; }, 60));
  CHECK(eventually([&] { return array.number("nbd", "under_way") == 0; }, 60));
  check_service(array, 'h');
}

TEST_CASE("hostile: a client is shown out from beside, and others stay") {
  const ServedArray array;
  std::optional<NbdClient> bad = NbdClient::connect(array.socket());
  REQUIRE(bad.has_value());
  REQUIRE(bad->enter("", true));
  const auto command = [&](const std::string& text) {
    return shell("SLIPRING_DIR=" + array.segments() + " " + slipring() + " oob array.nbd '" + text +
                 "' > /dev/null 2>&1");
  };
  REQUIRE(command("disconnect nobody") == 0);
  CHECK(eventually([&] { return array.log().find("no such client") != std::string::npos; }, 60));
  REQUIRE(bad->request(0, 0, 1, 0, 512));
  REQUIRE(bad->next_reply().has_value());
  REQUIRE(command("disconnect all") == 0);
  CHECK(bad->is_hung_up_on());
  check_service(array, 'j');
}

TEST_CASE("hostile: more clients than there are places are turned away, and later served") {
  const ServedArray array;
  std::vector<NbdClient> clients;
  for (int i = 0; i < 80; ++i) {
    std::optional<NbdClient> client = NbdClient::connect(array.socket());
    REQUIRE(client.has_value());
    REQUIRE(client->greet());
    clients.push_back(std::move(*client));
  }
  std::optional<NbdClient> late = NbdClient::connect(array.socket());
  REQUIRE(late.has_value());
  CHECK(late->is_hung_up_on());
  clients.clear();
  CHECK(eventually([&] { return array.number("nbd", "clients") == 0; }, 60));
  check_service(array, 'i');
}

}  // namespace
}  // namespace slipring::test
