// NBD_CMD_FLAG_FAST_ZERO: done where zeroes are holes, refused at once and with nothing changed
// where they would be written; as nbdkit says it, whose memory plug-in is always fast, and under
// its cache filter never.

#include <doctest/doctest.h>

#include <map>
#include <string>

#include "pipelines/array/nbd/nbd_protocol.h"
#include "tests/pipelines/array/clients/golden_servers.h"
#include "tests/pipelines/array/nbd/nbd_client.h"
#include "tests/pipelines/array/nbd/served_array.h"

namespace slipring::test {
namespace {

constexpr std::uint16_t kWrite = static_cast<std::uint16_t>(array::NbdCommand::kWrite);
constexpr std::uint16_t kRead = static_cast<std::uint16_t>(array::NbdCommand::kRead);
constexpr std::uint16_t kZeroes = static_cast<std::uint16_t>(array::NbdCommand::kWriteZeroes);
constexpr std::uint16_t kFast = array::kFlagFastZero;
constexpr std::uint64_t kStripe = 192 * 1024;  // of array.toml

struct Zeroes {
  std::uint64_t offset;
  std::uint32_t length;
  std::uint16_t flags;
  bool is_fast_in_array;  // a whole stripe is in it, and may become a hole
};

const std::map<std::string, Zeroes>& cases() {
  static const std::map<std::string, Zeroes> kCases = {
      {"of a stripe", {2 * kStripe, kStripe, kFast, true}},
      {"of a stripe, with FUA", {2 * kStripe, kStripe, kFast | array::kFlagFua, true}},
      {"of a stripe and more", {2 * kStripe - 700, kStripe + 1400, kFast, true}},
      {"of 8 MiB", {kStripe + 512, 8U << 20, kFast, true}},
      {"of a stripe but a byte", {2 * kStripe, kStripe - 1, kFast, false}},
      {"of parts of two stripes", {kStripe + 1, 2 * kStripe - 2, kFast, false}},
      {"of 100 bytes", {70'000, 100, kFast, false}},
      {"of 8 MiB that stay allocated", {0, 8U << 20, kFast | array::kFlagNoHole, false}},
  };
  return kCases;
}

std::string answer_of(NbdClient& client, std::uint16_t command, const Zeroes& what,
                      std::uint16_t flags, std::string& data, std::string_view payload = {}) {
  if (!client.request(command, flags, 7, what.offset, what.length, payload)) return "hang-up";
  const std::optional<NbdReply> reply = client.next_reply();
  if (!reply) return "hang-up";
  data.clear();
  for (const auto& [offset, bytes] : reply->data) data += bytes;
  return reply->error == 0 ? "ok" : "error " + std::to_string(reply->error);
}

// What a server makes of it, over bytes that are none of them zero.
std::string say(const std::string& socket, const Zeroes& what) {
  std::optional<NbdClient> client = NbdClient::connect(socket);
  REQUIRE(client.has_value());
  REQUIRE(client->enter("", false));
  CHECK((client->export_flags() & array::kSendFastZero) != 0);
  const std::string before(what.length, 'p');
  std::string data;
  REQUIRE(answer_of(*client, kWrite, what, 0, data, before) == "ok");
  const std::string answer = answer_of(*client, kZeroes, what, what.flags, data);
  REQUIRE(answer_of(*client, kRead, what, 0, data) == "ok");
  return answer + (data == before                           ? ", unchanged"
                   : data == std::string(what.length, '\0') ? ", zeroes"
                                                            : ", neither");
}

class Nbdkit {
 public:
  explicit Nbdkit(std::vector<std::string> how)
      : run_(words(folder_, std::move(how)), folder_.file("log"), {}) {}
  [[nodiscard]] std::string socket() const { return folder_.socket(); }

 private:
  static std::vector<std::string> words(const SocketFolder& folder, std::vector<std::string> how) {
    std::vector<std::string> words = {"/usr/bin/env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                                      "nbdkit",       "-f",
                                      "-U",           folder.socket()};
    words.insert(words.end(), how.begin(), how.end());
    return words;
  }
  SocketFolder folder_;
  Process run_;
};

TEST_CASE("fast zero: done where zeroes are holes, else refused, as nbdkit says it") {
  const SocketFolder disks;
  const ServedArray array("array.toml", small_disks(disks));
  const ServedArray plain;
  const Nbdkit fast({"memory", "32M"});
  const Nbdkit slow({"--filter=cache", "memory", "32M"});
  std::size_t refused = 0;
  for (const auto& [name, what] : cases()) {
    const std::string done = say(fast.socket(), what);
    const std::string not_done = say(slow.socket(), what);
    CHECK_MESSAGE(done == "ok, zeroes", name, ": nbdkit: ", done);
    CHECK_MESSAGE(not_done == "error 95, unchanged", name, ": nbdkit: ", not_done);
    const std::string by_file = say(plain.socket(), what);
    CHECK_MESSAGE(by_file == done, name, ": the file: ", by_file);
    const std::string by_array = say(array.socket(), what);
    CHECK_MESSAGE(by_array == (what.is_fast_in_array ? done : not_done), name,
                  ": the array: ", by_array);
    refused += by_array == not_done ? 1U : 0U;
  }
  CHECK(refused == 4);
  MESSAGE(cases().size(), " kinds of fast zeroes, ", refused, " refused by the array");
}

}  // namespace
}  // namespace slipring::test
