// Zeroes that go past the cache, over blocks that are dirty in it: what was written before must not
// come to the disks after them, however the cache is pressed to write.

#include <doctest/doctest.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pipelines/array/nbd/nbd_protocol.h"
#include "tests/pipelines/array/clients/golden_servers.h"
#include "tests/pipelines/array/nbd/nbd_client.h"
#include "tests/pipelines/array/nbd/served_array.h"

namespace slipring::test {
namespace {

constexpr std::uint32_t kDirtyBytes = 6U << 20;
constexpr std::uint32_t kZeroBytes = 5U << 20;  // more than the cache takes upon itself
constexpr std::uint64_t kZeroOffset = 300'000;

// Errors are failures here.
std::string answered(NbdClient& client, array::NbdCommand command, std::uint64_t offset,
                     std::uint32_t length, std::string_view payload = {}) {
  REQUIRE(client.request(static_cast<std::uint16_t>(command), 0, 1, offset, length, payload));
  const std::optional<NbdReply> reply = client.next_reply();
  REQUIRE(reply.has_value());
  REQUIRE(reply->error == 0);
  return reply->data.empty() ? std::string() : reply->data.begin()->second;
}

// An array whose blocks are dirty when the zeroes come: nothing is written of its own accord.
struct Scene {
  explicit Scene(const std::string& planted)
      : array("array.toml", settings(disks, planted)), client(NbdClient::connect(array.socket())) {
    REQUIRE(client.has_value());
    REQUIRE(client->enter("", false));
  }
  static std::vector<std::pair<std::string, std::string>> settings(const SocketFolder& folder,
                                                                   const std::string& planted) {
    auto all = small_disks(folder);
    all.insert(all.end(), {{"cache.idle_write_ms", "3600000"},
                           {"cache.dirty_start_percent", "74"},
                           {"cache.planted", planted}});
    return all;
  }
  void write() {
    answered(*client, array::NbdCommand::kWrite, 0, kDirtyBytes, std::string(kDirtyBytes, 'd'));
  }
  // Bytes that were written before the zeroes, and are there after them.
  [[nodiscard]] std::uint64_t stale_bytes() {
    answered(*client, array::NbdCommand::kFlush, 0, 0);
    const std::string data = answered(*client, array::NbdCommand::kRead, 0, kDirtyBytes);
    CHECK(std::count(data.begin(), data.end(), 'd') >= kDirtyBytes - kZeroBytes);
    const auto zeroed = data.begin() + static_cast<std::ptrdiff_t>(kZeroOffset);
    return kZeroBytes - static_cast<std::uint64_t>(std::count(zeroed, zeroed + kZeroBytes, '\0'));
  }

  SocketFolder disks;
  ServedArray array;
  std::optional<NbdClient> client;
};

TEST_CASE("direct zeroes: nothing that was dirty before them is there after them") {
  Scene scene("none");
  for (int round = 0; round < 3; ++round) {
    scene.write();
    answered(*scene.client, array::NbdCommand::kWriteZeroes, kZeroOffset, kZeroBytes);
    CHECK(scene.stale_bytes() == 0);
  }
  CHECK(scene.array.number("raid", "zeroed_rows") > 0);
  CHECK(scene.array.life_of("cache") == 1);
}

// It dies of blocks that are on their way and must not be, or old data come back.
TEST_CASE("planted: dirty blocks that are written while zeroes go past the cache are seen") {
  Scene scene("write-during-zeroes");
  scene.write();
  REQUIRE(scene.client->request(static_cast<std::uint16_t>(array::NbdCommand::kWriteZeroes), 0, 1,
                                kZeroOffset, kZeroBytes));
  const auto has_died = [&] { return scene.array.life_of("cache") > 1; };
  const auto is_answered = [&] {
    int count = 0;
    REQUIRE(ioctl(scene.client->fd(), FIONREAD, &count) == 0);
    return count > 0;
  };
  REQUIRE(eventually([&] { return has_died() || is_answered(); }, 60));
  if (has_died()) {
    MESSAGE("seen: the cache died of it");
    return;
  }
  REQUIRE(scene.client->next_reply().has_value());
  const std::uint64_t stale_bytes = scene.stale_bytes();
  CHECK(stale_bytes != 0);
  MESSAGE("seen: ", stale_bytes, " stale bytes");
}

}  // namespace
}  // namespace slipring::test
