#include "tests/pipelines/array/nbd/hostile_fixture.h"

#include <doctest/doctest.h>
#include <fcntl.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>
namespace slipring::test {

std::uint64_t resident_kib(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmRSS:", 0) == 0) return std::stoull(line.substr(6));
  }
  return 0;
}

std::uint64_t descriptor_count(pid_t pid) {
  std::error_code error;
  const std::filesystem::directory_iterator all("/proc/" + std::to_string(pid) + "/fd", error);
  return error ? 0 : static_cast<std::uint64_t>(std::distance(begin(all), end(all)));
}

void check_service(const ServedArray& array, char letter) {
  std::optional<NbdClient> client = NbdClient::connect(array.socket());
  REQUIRE(client.has_value());
  REQUIRE_MESSAGE(client->enter("", true), array.log());
  const std::string bytes(70000, letter);
  REQUIRE(client->request(1, 0, 1, 12345, 70000, bytes));
  std::optional<NbdReply> written = client->next_reply();
  REQUIRE(written.has_value());
  CHECK(written->error == 0);
  REQUIRE(client->request(0, 4, 2, 12345, 70000));
  std::optional<NbdReply> read = client->next_reply();
  REQUIRE(read.has_value());
  CHECK(read->data.begin()->second == bytes);
}

void check_nothing_left(const ServedArray& array, char letter) {
  CHECK(eventually([&] { return array.number("nbd", "clients") == 0; }, 120));
  CHECK(eventually([&] { return array.number("nbd", "under_way") == 0; }, 120));
  CHECK(array.life_of("nbd") == 1);
  check_service(array, letter);
}

NbdClient connect_to(const ServedArray& array) {
  std::optional<NbdClient> client = NbdClient::connect(array.socket());
  REQUIRE(client.has_value());
  return std::move(*client);
}

void never_wait(const NbdClient& client) {
  REQUIRE(fcntl(client.fd(), F_SETFL, fcntl(client.fd(), F_GETFL) | O_NONBLOCK) == 0);
}

std::string half_of(std::size_t number) {
  const std::string write = request_text(1, 0, number, 0, 1U << 20);
  switch (number % 5) {
    case 0:
      return request_text(0, 0, number, 0, 512).substr(0, 27);
    case 1:
      return write;
    case 2:
      return write + "h";
    case 3:
      return write + std::string(300'000, 'h');
    default:
      return request_text(1, 0, number, 4096, 1) + "h" + write.substr(0, 1);
  }
}

std::string good_session() {
  std::string all = Wire().u32(3).bytes() + option_text(3, "");
  all += option_text(8, "") + option_text(10, context_data("disk", {"base:allocation"}));
  all += option_text(7, go_data("disk", {0, 3}));
  all += request_text(1, 0, 1, 100, 300) + std::string(300, 'w');
  all += request_text(0, 0, 2, 0, 512) + request_text(7, 0, 3, 0, 4096);
  all += request_text(1, 1, 4, 1, 17) + std::string(17, 'v');
  all += request_text(1, 0, 5, 1U << 30, 9) + std::string(9, 'u');
  return all + request_text(3, 0, 6, 0, 0) + request_text(2, 0, 7, 0, 0);
}

}  // namespace slipring::test
