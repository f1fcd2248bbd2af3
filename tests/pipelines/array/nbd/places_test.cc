// Who has a place when all are taken: those who have an export open keep it, those who are choosing
// or have said half of a request give way, and whoever is kept out is told why.

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <deque>
#include <string>
#include <vector>

#include "tests/pipelines/array/nbd/hostile_fixture.h"
#include "tests/pipelines/array/nbd/nbd_client.h"

namespace slipring::test {
namespace {

// As much of it as the front takes.
void send_half(NbdClient& client, std::size_t number) {
  const std::string half = half_of(number);
  never_wait(client);
  static_cast<void>(send(client.fd(), half.data(), half.size(), MSG_NOSIGNAL));
}

// It is told what there is, and why it may not have it.
void check_kept_out(NbdClient& client, const std::string& why) {
  REQUIRE(client.greet());
  REQUIRE(client.send(option_text(3, "") + option_text(7, go_data(""))));
  std::optional<OptionReplyText> answer = client.option_reply();
  REQUIRE(answer.has_value());
  CHECK(answer->kind == 2);  // an export's name
  answer = client.option_reply();
  REQUIRE(answer.has_value());
  CHECK(answer->kind == 1);
  answer = client.option_reply();
  REQUIRE(answer.has_value());
  CHECK(answer->kind == (1U << 31) + 2);
  CHECK(answer->data == why);
}

// It asks again, now that there is a place.
void check_let_in(NbdClient& client) {
  REQUIRE(client.send(option_text(7, go_data(""))));
  std::optional<OptionReplyText> answer = client.option_reply();
  REQUIRE(answer.has_value());
  CHECK(answer->kind == 3);
  answer = client.option_reply();
  REQUIRE(answer.has_value());
  CHECK(answer->kind == 1);
}

TEST_CASE(
    "places: who trickles through the choice of an export gives way; who has one open stays") {
  const ServedArray array("plain.toml", {{"nbd.stalled_ms", "0"}});
  constexpr std::size_t kLiving = 64;
  constexpr std::size_t kTrickling = 16;
  constexpr std::size_t kNewcomers = 100;
  std::vector<NbdClient> living;
  for (std::size_t i = 0; i < kLiving; ++i) {
    living.push_back(connect_to(array));
    REQUIRE(living.back().enter("", i % 2 == 0));
  }
  const std::string says = Wire().u32(3).bytes() + option_text(6, go_data("disk"));
  std::deque<NbdClient> trickling;
  std::deque<std::size_t> said;
  const auto join = [&] {
    trickling.push_back(connect_to(array));
    REQUIRE_MESSAGE(trickling.back().receive(18).has_value(), array.log());
    said.push_back(0);
  };
  for (std::size_t i = 0; i < kTrickling; ++i) join();
  REQUIRE(eventually([&] { return array.number("nbd", "clients") == 80; }, 60));
  for (std::size_t i = 0; i < kNewcomers; ++i) {
    // The one that came first has also spoken last.
    for (std::size_t one = trickling.size(); one-- > 0;) {
      REQUIRE_MESSAGE(trickling[one].send(says.substr(said[one]++, 1)), i, ": ", array.log());
    }
    join();
    CHECK_MESSAGE(trickling.front().is_hung_up_on(), i, ": ", array.log());
    trickling.pop_front();
    said.pop_front();
  }
  CHECK(array.number("nbd", "gave_way") == kNewcomers);
  CHECK(array.number("nbd", "turned_away") == 0);
  NbdClient late = connect_to(array);
  check_kept_out(late, "64 clients have an export open, as many as may; try again later");
  for (NbdClient& client : living) {
    REQUIRE(client.request(1, 0, 1, 0, 3000, std::string(3000, 'l')));
    const std::optional<NbdReply> reply = client.next_reply();
    REQUIRE(reply.has_value());
    CHECK(reply->error == 0);
  }
}

// From an address of this machine's own network.
NbdClient connect_from(const char* address, std::uint16_t port) {
  Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in own{};
  own.sin_family = AF_INET;
  REQUIRE(inet_pton(AF_INET, address, &own.sin_addr) == 1);
  REQUIRE(bind(socket.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) == 0);
  sockaddr_in server{};
  server.sin_family = AF_INET;
  server.sin_port = htons(port);
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(connect(socket.get(), reinterpret_cast<const sockaddr*>(&server), sizeof server) == 0);
  return NbdClient(std::move(socket));
}

TEST_CASE("places: an address has no more than its share of the places") {
  const ServedArray array("plain.toml",
                          {{"nbd.tcp", "127.0.0.1:0"}, {"nbd.clients_an_address", "3"}});
  const std::string words = "listening on TCP port ";
  REQUIRE(eventually([&] { return array.log().find(words) != std::string::npos; }, 60));
  const std::string log = array.log();
  const auto port =
      static_cast<std::uint16_t>(std::stoi(log.substr(log.find(words) + words.size())));
  std::vector<NbdClient> greedy;
  for (int i = 0; i < 3; ++i) {
    greedy.push_back(connect_from("127.0.0.2", port));
    REQUIRE(greedy.back().enter("", true));
  }
  NbdClient fourth = connect_from("127.0.0.2", port);
  check_kept_out(fourth,
                 "your address has 3 connections with an export open, as many as one may have; "
                 "close one");
  CHECK(connect_from("127.0.0.3", port).enter("", true));
  for (int i = 0; i < 5; ++i) check_service(array, 's');  // of no address
  // The front's successor knows whose they are.
  array.kill_stage("nbd");
  NbdClient fifth = connect_from("127.0.0.2", port);
  check_kept_out(fifth,
                 "your address has 3 connections with an export open, as many as one may have; "
                 "close one");
  CHECK(array.number("nbd", "kept_out") == 2);
}

TEST_CASE(
    "places: when all places are taken, whoever holds half of something the longest gives way") {
  const ServedArray array("plain.toml", {{"nbd.stalled_ms", "0"}});
  constexpr std::size_t kLiving = 8;
  constexpr std::size_t kHalf = 55;
  constexpr std::size_t kNewcomers = 150;
  const std::string bytes(3000, 'l');
  const auto write = [&](NbdClient& client) {
    REQUIRE(client.request(1, 0, 1, 0, 3000, bytes));
    const std::optional<NbdReply> reply = client.next_reply();
    REQUIRE(reply.has_value());
    CHECK(reply->error == 0);
  };
  // Who owes nothing, however long he says nothing.
  std::vector<NbdClient> living;
  for (std::size_t i = 0; i < kLiving; ++i) {
    living.push_back(connect_to(array));
    REQUIRE(living.back().enter("", i % 2 == 0));
    write(living.back());
  }
  // Who says little, but goes on.
  NbdClient slow = connect_to(array);
  REQUIRE(slow.enter("", true));
  REQUIRE(slow.request(1, 0, 2, 8192, 3000, ""));
  std::vector<NbdClient> crowd;
  for (std::size_t i = 0; i < kHalf; ++i) {
    crowd.push_back(connect_to(array));
    REQUIRE(crowd.back().enter("", true));
    send_half(crowd.back(), i);
  }
  REQUIRE(eventually([&] { return array.number("nbd", "clients") == 64; }, 60));
  for (std::size_t i = 0; i < kNewcomers; ++i) {
    REQUIRE(slow.send("s"));
    crowd.push_back(connect_to(array));
    REQUIRE_MESSAGE(crowd.back().enter("", true), i, ": ", array.log());
    send_half(crowd.back(), i);
    if (i == 0) CHECK(crowd.front().is_hung_up_on());
  }
  CHECK(array.number("nbd", "gave_way") == kNewcomers);
  CHECK(array.number("nbd", "turned_away") == 0);
  CHECK(array.number("nbd", "clients") == 64);
  REQUIRE(slow.send(std::string(3000 - kNewcomers, 's')));
  const std::optional<NbdReply> reply = slow.next_reply();
  REQUIRE(reply.has_value());
  CHECK(reply->error == 0);
  for (NbdClient& client : living) write(client);
  // With all places those of the living, it is the newcomer who goes.
  crowd.clear();
  REQUIRE(eventually([&] { return array.number("nbd", "clients") == kLiving + 1; }, 60));
  while (living.size() < 63) {
    living.push_back(connect_to(array));
    REQUIRE(living.back().enter("", true));
  }
  {
    NbdClient late = connect_to(array);
    check_kept_out(late, "64 clients have an export open, as many as may; try again later");
    // Who asks in the old way can be told nothing.
    NbdClient old = connect_to(array);
    CHECK((old.greet() && old.send(option_text(1, "")) && old.is_hung_up_on()));
    CHECK(array.number("nbd", "kept_out") == 2);
    for (NbdClient& client : living) write(client);
    living.pop_back();
    REQUIRE(eventually([&] { return array.number("nbd", "clients") == 64; }, 60));
    check_let_in(late);
  }
  CHECK(array.number("nbd", "turned_away") == 0);
  for (NbdClient& client : living) write(client);
  CHECK(array.number("nbd", "gave_way") == kNewcomers);
  MESSAGE(kNewcomers, " newcomers, each in the place of who was silent longest");
}

TEST_CASE(
    "places: a newcomer waits for the places of those who have gone with something under way") {
  const ServedArray array;
  check_service(array, 'v');
  check_nothing_left(array, 'v');
  REQUIRE(eventually([&] { return array.number("nbd", "clients") == 0; }, 60));
  const pid_t back = array.pid_of("file");
  REQUIRE(kill(back, SIGSTOP) == 0);
  {
    std::deque<NbdClient> leaving;
    for (std::uint32_t i = 0; i < 80; ++i) {
      leaving.push_back(connect_to(array));
      REQUIRE(leaving.back().enter("", true));
      REQUIRE(leaving.back().request(0, 0, 1, 0, 512));
      REQUIRE(eventually([&] { return array.number("nbd", "under_way") == i + 1; }, 60));
      if (leaving.size() < 60) continue;
      leaving.pop_front();
      REQUIRE(eventually([&] { return array.number("nbd", "clients") < 60; }, 60));
    }
  }
  REQUIRE(eventually([&] { return array.number("nbd", "clients") == 0; }, 60));
  NbdClient waiting = connect_to(array);
  REQUIRE(eventually([&] { return array.number("nbd", "waiting_clients") == 1; }, 60));
  REQUIRE(kill(back, SIGCONT) == 0);
  CHECK(waiting.receive(18).has_value());
  check_service(array, 'w');
  CHECK(array.number("nbd", "turned_away") == 0);
}

}  // namespace
}  // namespace slipring::test
