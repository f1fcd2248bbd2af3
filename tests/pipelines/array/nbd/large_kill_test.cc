// Stages are killed in the middle of one large trim or zeroing, as mke2fs asks for: the answer
// comes, what was zeroed reads as zero, and what lies beside it is as it was.
//
// SLIPRING_KILLS=10000 makes a campaign of it; SLIPRING_SEED another one.

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "pipelines/array/nbd/nbd_protocol.h"
#include "tests/pipelines/array/nbd/nbd_client.h"
#include "tests/pipelines/array/nbd/served_array.h"

namespace slipring::test {
namespace {

using array::NbdCommand;

constexpr std::uint32_t kPageBytes = 4096;
constexpr std::uint32_t kMiB = 1 << 20;
constexpr std::uint32_t kLengths[] = {96 * kMiB, 32 * kMiB, 4 * kMiB, kMiB, 64 * 1024, 1024};

// Somewhere in the middle of what is under way; nothing depends on where.
void let_go_on(std::uint32_t microseconds) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(microseconds);
  while (std::chrono::steady_clock::now() < until) {
  }
}

class Asker {
 public:
  explicit Asker(const ServedArray& array) : array_(array) {
    client_ = NbdClient::connect(array.socket());
    REQUIRE(client_.has_value());
    REQUIRE(client_->enter("", true));
  }

  [[nodiscard]] std::uint64_t bytes() const { return client_->export_bytes(); }
  void ask(NbdCommand command, std::uint64_t offset, std::uint32_t length,
           std::string_view payload = {}) {
    REQUIRE(client_->request(static_cast<std::uint16_t>(command), 0, ++cookie_, offset, length,
                             payload));
  }
  [[nodiscard]] NbdReply answer() {
    std::optional<NbdReply> reply = client_->next_reply();
    REQUIRE_MESSAGE(reply.has_value(), "no answer comes: " << array_.log());
    REQUIRE(reply->cookie == cookie_);
    REQUIRE_MESSAGE(reply->error == 0, "error " << reply->error << ": " << array_.log());
    return std::move(*reply);
  }
  [[nodiscard]] std::string page(std::uint64_t offset) {
    ask(NbdCommand::kRead, offset, kPageBytes);
    const NbdReply reply = answer();
    std::string bytes(kPageBytes, '\0');
    for (const auto& [at, piece] : reply.data) bytes.replace(at - offset, piece.size(), piece);
    return bytes;
  }

 private:
  const ServedArray& array_;
  std::optional<NbdClient> client_;
  std::uint64_t cookie_ = 0;
};

}  // namespace

TEST_CASE("array: a stage killed in a large trim or zeroing costs a pause, and nothing beside it") {
  const std::uint32_t kills = setting("SLIPRING_KILLS", 25);
  std::mt19937 random(setting("SLIPRING_SEED", 11));
  const SocketFolder folder;
  ServedArray array("array.toml", small_disks(folder));
  Asker client(array);
  static const char* const kStages[] = {"nbd", "cache", "raid", "disk0", "disk1", "disk2", "disk3"};
  std::map<std::string, std::uint32_t> killed;
  std::uint32_t compared = 0;
  for (std::uint32_t i = 0; i < kills; ++i) {
    const std::uint64_t length =
        std::min<std::uint64_t>(kLengths[random() % std::size(kLengths)], client.bytes());
    const std::uint64_t offset =
        random() % ((client.bytes() - length) / kPageBytes + 1) * kPageBytes;
    // Data at both ends of the extent, and beside it.
    std::map<std::uint64_t, std::string> beside;
    const std::uint64_t last = (offset + length + kPageBytes - 1) / kPageBytes * kPageBytes;
    std::vector<std::uint64_t> pages = {offset, last - kPageBytes};
    if (offset >= kPageBytes) pages.push_back(offset - kPageBytes);
    if (last + kPageBytes <= client.bytes()) pages.push_back(last);
    for (const std::uint64_t page : pages) {
      const std::string text(kPageBytes, static_cast<char>('a' + random() % 26));
      client.ask(NbdCommand::kWrite, page, kPageBytes, text);
      static_cast<void>(client.answer());
      if (page < offset || page >= offset + length) beside[page] = text;
    }
    const bool is_trim = random() % 2 == 0;
    client.ask(is_trim ? NbdCommand::kTrim : NbdCommand::kWriteZeroes, offset,
               static_cast<std::uint32_t>(length));
    let_go_on(static_cast<std::uint32_t>(random() % 4000));
    const std::string stage = kStages[random() % std::size(kStages)];
    array.kill_stage(stage);
    ++killed[stage];
    static_cast<void>(client.answer());
    for (const auto& [page, text] : beside) {
      CHECK(client.page(page) == text);
      ++compared;
    }
    // What a trim leaves is not promised.
    if (is_trim) continue;
    CHECK(client.page(offset).substr(0, std::min<std::uint64_t>(length, kPageBytes)) ==
          std::string(std::min<std::uint64_t>(length, kPageBytes), '\0'));
    ++compared;
  }
  std::string kills_text;
  for (const auto& [stage, count] : killed) {
    kills_text += " " + std::to_string(count) + " of " + stage;
  }
  MESSAGE("kills:", kills_text, "; ", compared, " pages compared");
  CHECK(compared > 0);
  CHECK(array.stop() == 0);
}

}  // namespace slipring::test
