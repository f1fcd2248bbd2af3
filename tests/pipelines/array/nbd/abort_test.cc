// Out of band: what a client has queued is dropped, each answered with an error; what comes after
// is not, nor what others have queued.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/ioctl.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "pipelines/array/nbd/nbd_protocol.h"
#include "tests/pipelines/array/nbd/nbd_client.h"
#include "tests/pipelines/array/nbd/served_array.h"

namespace slipring::test {
namespace {

constexpr std::uint32_t kBlock = 4096;
constexpr std::uint32_t kWrites = 30;  // all of them on the ring
constexpr std::uint32_t kReads = 90;   // more than pieces that one client may have
constexpr std::uint32_t kShutdown = static_cast<std::uint32_t>(array::NbdError::kShutdown);

std::uint16_t number_of(array::NbdCommand command) {
  return static_cast<std::uint16_t>(command);
}

void oob(const ServedArray& array, const std::string& lane, const std::string& words) {
  REQUIRE(shell("SLIPRING_DIR=" + array.segments() + " " + slipring() + " oob array." + lane +
                " '" + words + "' > /dev/null") == 0);
}

bool log_says(const ServedArray& array, const std::string& words, std::size_t times = 1) {
  const auto count = [&] {
    const std::string log = array.log();
    std::size_t found = 0;
    for (std::size_t at = log.find(words); at != std::string::npos; at = log.find(words, at + 1)) {
      ++found;
    }
    return found;
  };
  return eventually([&] { return count() >= times; }, 60);
}

// What is served, and the stage behind the front.
struct Kind {
  const char* pipeline;
  const char* back;
};
constexpr Kind kWhole{"array.toml", "cache"};
constexpr Kind kPlain{"plain.toml", "file"};

struct Served {
  explicit Served(const Kind& kind)
      : array(kind.pipeline, std::string_view(kind.back) == kWhole.back
                                 ? small_disks(disks)
                                 : std::vector<std::pair<std::string, std::string>>()) {}
  SocketFolder disks;
  ServedArray array;
};

NbdClient enter(const ServedArray& array) {
  std::optional<NbdClient> client = NbdClient::connect(array.socket());
  REQUIRE(client.has_value());
  REQUIRE(client->enter("", true));
  return std::move(*client);
}

// Errors by cookie, of so many replies.
std::map<std::uint64_t, std::uint32_t> replies_of(NbdClient& client, std::size_t count) {
  std::map<std::uint64_t, std::uint32_t> errors;
  for (std::size_t i = 0; i < count; ++i) {
    const std::optional<NbdReply> reply = client.next_reply();
    REQUIRE(reply.has_value());
    CHECK(errors.emplace(reply->cookie, reply->error).second);
  }
  return errors;
}

std::string read_block(NbdClient& client, std::uint64_t block) {
  REQUIRE(client.request(number_of(array::NbdCommand::kRead), 0, 7777, block * kBlock, kBlock));
  const std::optional<NbdReply> reply = client.next_reply();
  REQUIRE(reply.has_value());
  REQUIRE(reply->error == 0);
  return reply->data.empty() ? std::string() : reply->data.begin()->second;
}

// What the front calls it.
std::string name_of_only_client(const ServedArray& array) {
  REQUIRE(eventually([&] { return array.number("nbd", "clients") == 1; }, 60));
  oob(array, "nbd", "clients");
  REQUIRE(log_says(array, " pieces under way"));
  std::string log = array.log();
  log.resize(log.find(": 0 pieces under way"));
  return log.substr(log.rfind(' ') + 1);
}

void go_on(const ServedArray&, const Kind&, pid_t back) {
  REQUIRE(kill(back, SIGCONT) == 0);
}

void die(const ServedArray& array, const Kind& kind, pid_t) {
  array.kill_stage(kind.back);
}

// The client under test, and what it is told; `wakes` lets the stopped stage go on, or die.
void expect_dropped(const Kind& kind, void (*wakes)(const ServedArray&, const Kind&, pid_t)) {
  const Served served(kind);
  const ServedArray& array = served.array;
  NbdClient client = enter(array);
  const std::string old_data(kBlock, 'o');
  const std::string new_data(kBlock, 'n');
  for (std::uint32_t i = 0; i < kWrites; ++i) {
    REQUIRE(
        client.request(number_of(array::NbdCommand::kWrite), 0, i, i * kBlock, kBlock, old_data));
  }
  for (const auto& [cookie, error] : replies_of(client, kWrites)) CHECK(error == 0);
  const std::string name = name_of_only_client(array);
  NbdClient other = enter(array);
  const pid_t back = array.pid_of(kind.back);
  REQUIRE(kill(back, SIGSTOP) == 0);
  const std::uint64_t before = array.number("nbd", "requests");
  for (std::uint32_t i = 0; i < kWrites; ++i) {
    REQUIRE(
        client.request(number_of(array::NbdCommand::kWrite), 0, i, i * kBlock, kBlock, new_data));
  }
  for (std::uint32_t i = 0; i < kReads; ++i) {
    REQUIRE(client.request(number_of(array::NbdCommand::kRead), 0, 1000 + i, i * kBlock, kBlock));
  }
  for (std::uint32_t i = 0; i < 8; ++i) {
    REQUIRE(other.request(number_of(array::NbdCommand::kWrite), 0, i, (500 + i) * kBlock, kBlock,
                          new_data));
  }
  REQUIRE(eventually(
      [&] { return array.number("nbd", "requests") == before + kWrites + kReads + 8; }, 60));
  oob(array, "nbd", "abort " + name);
  REQUIRE(log_says(array, "aborted up to sequence"));
  for (std::uint32_t i = 0; i < 5; ++i) {
    REQUIRE(client.request(number_of(array::NbdCommand::kWrite), 0, 5000 + i, (600 + i) * kBlock,
                           kBlock, new_data));
  }
  wakes(array, kind, back);
  std::uint32_t dropped = 0;
  for (const auto& [cookie, error] : replies_of(client, kWrites + kReads + 5)) {
    if (error == kShutdown) ++dropped;
    CHECK_MESSAGE(error == (cookie < 5000 ? kShutdown : 0), cookie);
  }
  CHECK(dropped == kWrites + kReads);
  for (const auto& [cookie, error] : replies_of(other, 8)) CHECK(error == 0);
  for (std::uint32_t i = 0; i < kWrites; ++i) CHECK(read_block(client, i) == old_data);
  for (std::uint32_t i = 0; i < 5; ++i) CHECK(read_block(client, 600 + i) == new_data);
  for (std::uint32_t i = 0; i < 8; ++i) CHECK(read_block(client, 500 + i) == new_data);
  CHECK(array.number(kind.back, "aborted_requests") > 0);
  CHECK(array.number(kind.back, "aborted_requests") < kWrites + kReads);  // some never got there
  // Nothing is held any more: more than all buffers there are go through, several times.
  for (int round = 0; round < 20; ++round) {
    for (std::uint32_t i = 0; i < kWrites; ++i) {
      REQUIRE(
          client.request(number_of(array::NbdCommand::kWrite), 0, i, i * kBlock, kBlock, new_data));
    }
    for (const auto& [cookie, error] : replies_of(client, kWrites)) CHECK(error == 0);
  }
  CHECK(eventually([&] { return array.number("nbd", "under_way") == 0; }, 60));
}

}  // namespace

TEST_CASE("abort: what a client has queued is answered with an error, and not done") {
  expect_dropped(kWhole, go_on);
  expect_dropped(kPlain, go_on);
}

TEST_CASE("abort: a stage that dies before it hears of it has a successor that does") {
  expect_dropped(kWhole, die);
  expect_dropped(kPlain, die);
}

TEST_CASE("abort: a write whose data are still coming is not done, and answered once they are in") {
  for (const Kind& kind : {kWhole, kPlain}) {
    const Served served(kind);
    const ServedArray& array = served.array;
    NbdClient client = enter(array);
    for (const bool front_dies : {false, true}) {
      CAPTURE(kind.pipeline);
      CAPTURE(front_dies);
      constexpr std::uint32_t kLong = 1U << 20;
      constexpr std::size_t kFirst = 600'000;  // two pieces and a part of the third
      const std::string old_data(kLong, 'o');
      const std::string new_data(kLong, 'n');
      const std::uint16_t write = number_of(array::NbdCommand::kWrite);
      REQUIRE(client.request(write, 0, 1, 0, kLong, old_data));
      for (const auto& [cookie, error] : replies_of(client, 1)) CHECK(error == 0);
      const pid_t back = array.pid_of(kind.back);
      REQUIRE(kill(back, SIGSTOP) == 0);
      REQUIRE(client.request(write, 0, 2, 0, kLong, new_data.substr(0, kFirst)));
      REQUIRE(eventually([&] { return array.number("nbd", "under_way") == 3; }, 60));
      oob(array, "nbd", "abort all");
      REQUIRE(log_says(array, "aborted up to sequence", front_dies ? 2 : 1));
      REQUIRE(kill(back, SIGCONT) == 0);
      if (front_dies) array.kill_stage("nbd");
      REQUIRE(eventually([&] { return array.number("nbd", "under_way") == 0; }, 60));
      int answered_bytes = 0;
      REQUIRE(ioctl(client.fd(), FIONREAD, &answered_bytes) == 0);
      CHECK(answered_bytes == 0);
      REQUIRE(client.send(new_data.substr(kFirst)));
      REQUIRE(client.request(write, 0, 3, 2 * kLong, kBlock, new_data.substr(0, kBlock)));
      const auto errors = replies_of(client, 2);
      CHECK(errors.at(2) == kShutdown);
      CHECK(errors.at(3) == 0);
      for (const std::uint32_t at : {0U, 262'144U, 524'288U, kLong - kBlock}) {
        CHECK(read_block(client, at / kBlock) == old_data.substr(0, kBlock));
      }
      CHECK(read_block(client, 2 * kLong / kBlock) == new_data.substr(0, kBlock));
    }
  }
}

TEST_CASE("abort: fio goes on beside a client that is aborted again and again, and verifies") {
  const Served served(kWhole);
  const ServedArray& array = served.array;
  NbdClient client = enter(array);
  const std::string name = name_of_only_client(array);
  const std::string over = array.file("over");
  REQUIRE(shell("(fio --name=v --ioengine=nbd --uri='nbd+unix:///?socket=" + array.socket() +
                "' --rw=randrw --bs=4k --offset=64m --size=8m --iodepth=16 --verify=crc32c "
                "--randseed=3 > " +
                array.file("fio") + " 2>&1; echo $? > " + over + ".tmp; mv " + over + ".tmp " +
                over + ") &") == 0);
  REQUIRE(eventually([&] { return array.number("nbd", "requests") > 200; }, 60));
  std::uint32_t failed = 0;
  std::uint32_t rounds = 0;
  std::string what(kBlock, 'x');
  while (shell("test -e " + over) != 0 || rounds < 5) {
    const pid_t cache = array.pid_of("cache");
    REQUIRE(kill(cache, SIGSTOP) == 0);
    const std::uint64_t before = array.number("nbd", "requests");
    for (std::uint32_t i = 0; i < 40; ++i) {
      REQUIRE(client.request(number_of(array::NbdCommand::kWrite), 0, i, i * kBlock, kBlock, what));
    }
    // With those of fio, 16 at most, that are held up as well: some of ours are queued.
    REQUIRE(eventually([&] { return array.number("nbd", "requests") >= before + 40; }, 60));
    oob(array, "nbd", "abort " + name);
    REQUIRE(log_says(array, "aborted up to sequence", rounds + 1));
    REQUIRE(kill(cache, SIGCONT) == 0);
    for (const auto& [cookie, error] : replies_of(client, 40)) {
      CHECK((error == 0 || error == kShutdown));
      if (error != 0) ++failed;
    }
    ++rounds;
  }
  CHECK_MESSAGE(contents(over) == "0\n", contents(array.file("fio")));
  CHECK(failed > 0);
  MESSAGE(rounds, " aborts, ", failed, " requests of ", rounds * 40, " were dropped by them");
}

}  // namespace slipring::test
