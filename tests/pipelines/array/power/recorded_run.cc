#include "tests/pipelines/array/power/recorded_run.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "tests/pipelines/array/nbd/nbd_client.h"
#include "tests/pipelines/array/raid/block_pattern.h"

namespace slipring::array::test {
namespace {

using slipring::test::NbdClient;
using slipring::test::NbdReply;
using slipring::test::ServedArray;
using slipring::test::SocketFolder;

constexpr std::uint16_t kWriteCommand = 1;
constexpr std::uint16_t kFlushCommand = 3;
constexpr std::uint16_t kTrimCommand = 4;
constexpr std::uint16_t kZeroesCommand = 6;
constexpr std::uint16_t kFuaFlag = 1;
constexpr std::size_t kDepth = 6;

bool overlaps(const ClientRequest& one, const ClientRequest& other) {
  return one.first_sector < other.first_sector + other.sector_count &&
         other.first_sector < one.first_sector + one.sector_count;
}

bool send(NbdClient& client, std::uint64_t number, const ClientRequest& request) {
  if (request.kind == ClientRequest::Kind::kFlush) {
    return client.request(kFlushCommand, 0, number, 0, 0);
  }
  const auto length = static_cast<std::uint32_t>(request.sector_count * kSectorBytes);
  const std::uint16_t flags = request.is_durable ? kFuaFlag : 0;
  const std::uint64_t offset = request.first_sector * kSectorBytes;
  if (request.kind == ClientRequest::Kind::kZeroes) {
    return client.request(kZeroesCommand, flags, number, offset, length);
  }
  if (request.kind == ClientRequest::Kind::kTrim) {
    return client.request(kTrimCommand, flags, number, offset, length);
  }
  std::string bytes(length, '\0');
  for (std::uint64_t i = 0; i < request.sector_count; ++i) {
    fill_sector(reinterpret_cast<std::byte*>(bytes.data()) + i * kSectorBytes,
                request.first_sector + i, number + 1);
  }
  return client.request(kWriteCommand, flags, number, offset, length, bytes);
}

}  // namespace

void fill_sector(std::byte* bytes, std::uint64_t sector, std::uint64_t version) {
  std::uint64_t words[kSectorBytes / 8] = {};
  if (version != 0) {
    words[0] = version;
    words[1] = sector;
    for (std::size_t i = 2; i < std::size(words); ++i)
      words[i] = mixed(version * 65536 + sector + i);
  }
  std::memcpy(bytes, words, sizeof words);
}

std::vector<std::pair<std::string, std::string>> RecordedRun::settings(
    const SocketFolder& disks) const {
  std::vector<std::pair<std::string, std::string>> all = {
      {"raid.level", std::to_string(options_.level)},
      {"raid.chunk_kib", std::to_string(kChunkKib)},
      {"raid.log_mib", std::to_string(kLogMib)},
      {"cache.memory_mib", "4"},
      {"cache.stripe_kib", std::to_string(kChunkKib * (options_.level == 5 ? 3 : 2))},
      {"cache.idle_write_ms", "5"},
      {"cache.dirty_start_percent", std::to_string(options_.seed % 3 * 10)}};
  for (std::uint32_t i = 0; i < kDisks; ++i) {
    const std::string disk = "disk" + std::to_string(i);
    all.emplace_back(disk + ".path", disks.file(disk));
    all.emplace_back(disk + ".engine", options_.engine);
  }
  return all;
}

RecordedRun::RecordedRun(const RecordedRunOptions& options)
    : options_(options), record_(folder_.file("record")) {
  auto recorded = settings(folder_);
  recorded.emplace_back("cache.planted", options.cache_fault);
  recorded.emplace_back("raid.planted", options.raid_fault);
  for (std::uint32_t i = 0; i < kDisks; ++i) {
    const std::string disk = "disk" + std::to_string(i);
    recorded.emplace_back(disk + ".create_mib", std::to_string(options.disk_mib));
    recorded.emplace_back(disk + ".record", folder_.file("record"));
    recorded.emplace_back(disk + ".member", std::to_string(i));
  }
  ServedArray array("array.toml", recorded, slipring::test::data("tests/pipelines/array/power"));
  ask_all(array);
  CHECK_MESSAGE(array.stop() == 0, array.log());
}

ClientRequest RecordedRun::draw(std::mt19937_64& random) const {
  ClientRequest request;
  const std::uint64_t dice = random() % 100;
  if (dice < 8) return request;
  request.kind = dice < 16   ? ClientRequest::Kind::kZeroes
                 : dice < 22 ? ClientRequest::Kind::kTrim
                             : ClientRequest::Kind::kWrite;
  request.is_durable = random() % 8 == 0;
  const std::uint64_t stripe = kChunkKib * 1024 * (options_.level == 5 ? 3 : 2) / kSectorBytes;
  const std::uint64_t sizes[] = {8, 8, 16, 32, stripe, 2 * stripe, 1 + random() % 20};
  request.sector_count = sizes[random() % std::size(sizes)];
  const std::uint64_t sectors = size_bytes_ / kSectorBytes;
  // Half of them in few places, so that blocks are written again and again.
  const std::uint64_t area = random() % 2 == 0 ? 6 * stripe : sectors;
  request.first_sector = random() % (area - request.sector_count);
  if (request.sector_count % 8 == 0) request.first_sector -= request.first_sector % 8;
  return request;
}

void RecordedRun::ask_all(const ServedArray& array) {
  std::optional<NbdClient> client = NbdClient::connect(array.socket());
  REQUIRE(client.has_value());
  REQUIRE(client->enter("", true));
  size_bytes_ = client->export_bytes();
  std::mt19937_64 random(options_.seed);
  std::map<std::uint64_t, ClientRequest> under_way;
  const auto hear = [&] {
    const std::optional<NbdReply> reply = client->next_reply();
    REQUIRE(reply.has_value());
    REQUIRE_MESSAGE(reply->error == 0, "request " << reply->cookie << ": error " << reply->error
                                                  << "\n"
                                                  << array.log());
    record_.answered(reply->cookie);
    under_way.erase(reply->cookie);
  };
  for (std::uint64_t number = 0; number < options_.requests; ++number) {
    const ClientRequest request = draw(random);
    const auto is_in_the_way = [&] {
      return std::any_of(under_way.begin(), under_way.end(),
                         [&](const auto& one) { return overlaps(one.second, request); });
    };
    while (under_way.size() == kDepth || is_in_the_way()) hear();
    requests_.push_back(request);
    under_way.emplace(number, request);
    record_.asked(number);
    REQUIRE(send(*client, number, request));
  }
  while (!under_way.empty()) hear();
}

}  // namespace slipring::array::test
