// Out of band: what a client has queued is dropped, each answered with an error; what comes after
// is not, nor what others have queued.
#include <doctest/doctest.h>
#include <signal.h>

#include <map>
#include <string>

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

NbdClient enter(const ServedArray& array) {
  std::optional<NbdClient> client = NbdClient::connect(array.socket());
  REQUIRE(client.has_value());
  REQUIRE(client->enter("array", true));
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

// The client under test, and what it is told; `wakes` lets the stopped cache go on, or dies.
void expect_dropped(void (*wakes)(const ServedArray&, pid_t)) {
  const ServedArray array("array.toml");
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
  const pid_t cache = array.pid_of("cache");
  REQUIRE(kill(cache, SIGSTOP) == 0);
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
  wakes(array, cache);
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
  CHECK(array.number("cache", "aborted_requests") > 0);
  CHECK(array.number("cache", "aborted_requests") < kWrites + kReads);  // some never got there
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
  expect_dropped([](const ServedArray&, pid_t cache) { REQUIRE(kill(cache, SIGCONT) == 0); });
}

TEST_CASE("abort: a cache that dies before it hears of it has a successor that does") {
  expect_dropped([](const ServedArray& array, pid_t cache) {
    array.kill_stage("cache");
    static_cast<void>(cache);
  });
}

TEST_CASE("abort: fio goes on beside a client that is aborted again and again, and verifies") {
  const ServedArray array("array.toml");
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
