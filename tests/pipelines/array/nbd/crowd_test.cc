// Hostile clients by the hundred and the thousand: gone in the middle of every answer, every field
// at its extremes, floods of options, crowds that hold what they have half said.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/pipelines/array/nbd/hostile_fixture.h"
#include "tests/pipelines/array/nbd/nbd_client.h"

namespace slipring::test {
namespace {

// What the front may hold more than before, whoever has come meanwhile.
constexpr std::uint64_t kMoreKib = 4096;

// What the front holds before and after; the client that looks comes first, so that what is made
// once is there.
class Holdings {
 public:
  explicit Holdings(const ServedArray& array) : array_(array) {
    check_service(array, 'a');
    check_nothing_left(array, 'b');
    kib_ = resident_kib(array.pid_of("nbd"));
    descriptors_ = descriptor_count(array.pid_of("nbd"));
    REQUIRE(kib_ > 0);
    REQUIRE(descriptors_ > 0);
  }
  void check_memory() const { CHECK(resident_kib(array_.pid_of("nbd")) < kib_ + kMoreKib); }
  // Everybody has gone.
  void check_all() const {
    check_nothing_left(array_, 'z');
    check_memory();
    const auto are_given_back = [this] {
      return descriptor_count(array_.pid_of("nbd")) <= descriptors_;
    };
    CHECK_MESSAGE(eventually(are_given_back, 60), descriptor_count(array_.pid_of("nbd")),
                  " descriptors, and before ", descriptors_);
    MESSAGE(kib_, " KiB before, ", resident_kib(array_.pid_of("nbd")), " after; ", descriptors_,
            " descriptors");
  }

 private:
  const ServedArray& array_;
  std::uint64_t kib_ = 0;
  std::uint64_t descriptors_ = 0;
};

// All that has come by now and does not stop coming; nothing is taken.
std::size_t waiting_bytes(const NbdClient& client) {
  std::size_t seen = 0;
  const auto is_still = [&] {
    int now = 0;
    REQUIRE(ioctl(client.fd(), FIONREAD, &now) == 0);
    const bool is_same = now > 0 && static_cast<std::size_t>(now) == seen;
    seen = static_cast<std::size_t>(now);
    return is_same;
  };
  REQUIRE(eventually(is_still, 60));
  return seen;
}

TEST_CASE("crowd: a client gone at every byte of what it is answered leaves nothing behind") {
  const ServedArray array;
  const Holdings before(array);
  // All but the farewell, so that everything is answered.
  constexpr std::size_t kRequestBytes = 28;
  const std::string whole = good_session();
  const std::string says = whole.substr(0, whole.size() - kRequestBytes);
  const std::uint64_t requests_before = array.number("nbd", "requests");
  std::size_t answer_bytes = 0;
  {
    NbdClient client = connect_to(array);
    REQUIRE(client.send(says));
    REQUIRE(eventually(
        [&] {
          return array.number("nbd", "requests") > requests_before + 4 &&
                 array.number("nbd", "under_way") == 0;
        },
        60));
    answer_bytes = waiting_bytes(client);
  }
  REQUIRE(answer_bytes > 800);
  // Each byte of the options' answers and of replies' heads; fewer of the data.
  std::size_t places = 0;
  for (std::size_t end = 0; end < answer_bytes; end += end < 600 ? 1 : 7) {
    NbdClient client = connect_to(array);
    REQUIRE(client.send(says));
    REQUIRE(client.receive(end).has_value());
    // Not a farewell but a reset, where the transport knows one.
    const linger none{1, 0};
    REQUIRE(setsockopt(client.fd(), SOL_SOCKET, SO_LINGER, &none, sizeof none) == 0);
    // Those before may not have been seen to go yet, and there are only so many places.
    REQUIRE(eventually([&] { return array.number("nbd", "clients") < 32; }, 60));
    ++places;
  }
  before.check_all();
  MESSAGE(places, " places in ", answer_bytes, " bytes of answers");
}

TEST_CASE("crowd: every field of a session at its extremes is answered, or hung up on") {
  const ServedArray array;
  const Holdings before(array);
  const std::string says = good_session();
  std::size_t sessions = 0;
  for (std::size_t at = 0; at + 8 <= says.size(); at += 4) {
    for (const std::uint64_t value : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{0x7fffffff},
                                      std::uint64_t{0x80000000}, UINT64_MAX}) {
      std::string text = says;
      const std::string field = value == UINT64_MAX
                                    ? Wire().u64(value).bytes()
                                    : Wire().u32(static_cast<std::uint32_t>(value)).bytes();
      text.replace(at, field.size(), field);
      NbdClient client = connect_to(array);
      static_cast<void>(client.send(text));
      shutdown(client.fd(), SHUT_WR);
      // A reply that never ends would be a finding.
      static_cast<void>(client.receive_to_the_end());
      ++sessions;
    }
  }
  CHECK(array.number("nbd", "protocol_errors") > 0);
  before.check_all();
  MESSAGE(sessions, " sessions, ", array.number("nbd", "protocol_errors"), " hung up on");
}

TEST_CASE("crowd: floods of options that nobody reads the answers of stop, and take no memory") {
  const ServedArray array;
  const Holdings before(array);
  std::string options;
  for (std::uint32_t i = 0; i < 300; ++i) {
    options += option_text(3, "") + option_text(77 + i, std::string(i, 'x')) +
               option_text(6, go_data("disk", {0, 1, 2, 3})) + option_text(8, "") +
               option_text(9, context_data("disk", {"base:", "x:"}));
  }
  std::vector<NbdClient> flooders;
  for (int i = 0; i < 32; ++i) {
    flooders.push_back(connect_to(array));
    REQUIRE(flooders.back().greet());
    never_wait(flooders.back());
  }
  std::vector<std::size_t> at(flooders.size(), 0);
  std::uint64_t taken_bytes = 0;
  for (int idle_rounds = 0; idle_rounds < 3;) {
    bool is_any_taken = false;
    for (std::size_t i = 0; i < flooders.size(); ++i) {
      const ssize_t sent = send(flooders[i].fd(), options.data() + at[i], options.size() - at[i],
                                MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent <= 0) continue;
      at[i] = (at[i] + static_cast<std::size_t>(sent)) % options.size();
      taken_bytes += static_cast<std::uint64_t>(sent);
      is_any_taken = true;
    }
    check_service(array, 'f');
    before.check_memory();
    idle_rounds = is_any_taken ? 0 : idle_rounds + 1;
    REQUIRE_MESSAGE(taken_bytes < 128U << 20, "the flood is taken without end");
  }
  flooders.clear();
  before.check_all();
  MESSAGE(taken_bytes, " bytes of options taken of 32 floods");
}

TEST_CASE("crowd: hundreds of connections that hold half requests hold up nobody") {
  // None of them is taken for one that will say no more.
  const ServedArray array("plain.toml", {{"nbd.stalled_ms", "3600000"}});
  const Holdings before(array);
  // More than all the buffers' bytes would be asked for; a place is left for who means well.
  constexpr std::size_t kPlaces = 80;
  constexpr std::size_t kHalf = 60;
  constexpr std::size_t kTurnedAway = 240;
  std::vector<NbdClient> crowd;
  for (std::size_t i = 0; i < kHalf; ++i) {
    crowd.push_back(connect_to(array));
    if (i % 6 == 5) {
      // In the middle of an option.
      REQUIRE(crowd.back().greet());
      REQUIRE(crowd.back().send(option_text(6, go_data("disk")).substr(0, 17 + i % 5)));
      continue;
    }
    REQUIRE(crowd.back().enter("", i % 2 == 0));
    never_wait(crowd.back());
    const std::string half = half_of(i);
    static_cast<void>(send(crowd.back().fd(), half.data(), half.size(), MSG_NOSIGNAL));
  }
  check_service(array, 'c');
  std::vector<NbdClient> others;
  for (std::size_t i = kHalf; i < kPlaces; ++i) {
    others.push_back(connect_to(array));
    REQUIRE(others.back().greet());
  }
  for (std::size_t i = 0; i < kTurnedAway; ++i) CHECK(connect_to(array).is_hung_up_on());
  before.check_memory();
  others.clear();
  CHECK(eventually([&] { return array.number("nbd", "clients") <= kHalf; }, 60));
  check_service(array, 'd');
  // They stay what they were while stages die.
  array.kill_stage("nbd");
  check_service(array, 'e');
  CHECK(array.number("nbd", "clients") >= kHalf);
  crowd.clear();
  CHECK(eventually([&] { return array.number("nbd", "clients") == 0; }, 60));
  CHECK(eventually([&] { return array.number("nbd", "under_way") == 0; }, 60));
  before.check_memory();
  check_service(array, 'g');
  CHECK(array.number("nbd", "gave_way") == 0);
  CHECK(array.number("nbd", "turned_away") == kTurnedAway);
  MESSAGE(kHalf, " hold half requests, ", kTurnedAway, " turned away");
}

}  // namespace
}  // namespace slipring::test
