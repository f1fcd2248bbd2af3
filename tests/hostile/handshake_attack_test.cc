// The broker of a guarded link against a process that keeps to no rule in the handshake, and
// against a crowd.  A bystander works through all of it, and the link is as good as before
// afterwards.

#include <fcntl.h>
#include <linux/memfd.h>

#include <doctest/doctest.h>

#include <cerrno>
#include <functional>
#include <string>

#include "tests/hostile/hostile_fixture.h"
#include "tests/hostile/raw_client.h"
#include "tests/pipelines/link/guarded_fixture.h"

namespace slipring::hostile {
namespace {

using test::attach_when_free;
using test::BrokerProcess;
using test::Directory;

// A guarded link with an honest pair at work beside the broker's visitors.
struct Scene {
  Scene() : broker(directory, test::records(4096)), bystander(directory) {
    descriptors = descriptor_count(broker.pid());
    address_space_kib = hostile::address_space_kib(broker.pid());
  }
  // The link is as good as new: both roles can be taken, and messages cross.
  [[nodiscard]] bool is_sound() {
    Result<LinkWriter> writer = attach_when_free<LinkWriter>(directory);
    Result<LinkReader> reader = attach_when_free<LinkReader>(directory);
    for (const Error* error :
         {writer.ok() ? nullptr : &writer.error(), reader.ok() ? nullptr : &reader.error()}) {
      if (error != nullptr)
        MESSAGE(std::string(name_of(error->code)), ": ", std::string(error->doing), ", errno ",
                error->os_errno);
    }
    if (!writer.ok() || !reader.ok() || !test::put(*writer, ++number)) return false;
    Message message;
    if (!test::peek(*reader, message) || test::number_in(message) != number) return false;
    reader->release(message);
    return bystander.work();
  }
  // The broker holds no more than before, once what was sent to it has been looked at.
  [[nodiscard]] bool is_bounded() const {
    const std::uint64_t deadline_ns = deadline_after(test::kPatienceNs);
    while (descriptor_count(broker.pid()) > descriptors + kSpare && monotonic_ns() < deadline_ns) {
    }
    return descriptor_count(broker.pid()) <= descriptors + kSpare &&
           hostile::address_space_kib(broker.pid()) <= address_space_kib + 4096;
  }

  // One visitor: its connection and process, its role's process; and what came with the last
  // packet.
  static constexpr std::size_t kSpare = 3 + kMaxPacketDescriptors;

  Directory folder;
  SegmentDirectory directory = folder.open();
  BrokerProcess broker;
  Bystander bystander;
  std::size_t descriptors = 0;
  std::uint64_t address_space_kib = 0;
  std::uint64_t number = 0;
};

TEST_CASE("hostile process: every field of every packet lies") {
  Scene scene;
  Matrix matrix("lies in the handshake");
  const std::vector<std::byte> sound =
      RawClient::packet(GuardKind::kAsk, guard_bytes(GuardAsk{1, 0}));
  std::size_t refused_count = 0;
  std::size_t granted_count = 0;
  const auto count = [&](int heard) {
    if (heard == static_cast<int>(GuardKind::kGrant)) ++granted_count;
    if (heard == 0 || heard == static_cast<int>(GuardKind::kRefuse)) ++refused_count;
  };
  for (std::size_t bit = 0; bit < sound.size() * 8; ++bit) {
    std::vector<std::byte> packet = sound;
    packet[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    RawClient client(scene.directory);
    client.send(packet);
    count(client.hear());
  }
  // Of the 64 bits of the body: the reserved word is nobody's, and role 0 looks on.
  matrix.add("guarded", "each of 192 bits of a request flipped",
             refused_count + granted_count == 192 && granted_count <= 33 && scene.is_sound() &&
                 scene.is_bounded(),
             std::to_string(refused_count) + " refused or closed, " +
                 std::to_string(granted_count) + " were requests");

  refused_count = granted_count = 0;
  std::vector<std::byte> lengthy = sound;
  lengthy.resize(300);
  for (std::size_t size = 0; size <= lengthy.size(); ++size) {
    RawClient client(scene.directory);
    client.send(std::span(lengthy).first(size));
    // A packet of no bytes says nothing, as the end of a connection does.
    if (size == 0) continue;
    count(client.hear());
  }
  matrix.add("guarded", "a request cut or drawn out to 1 to 300 bytes",
             refused_count == 299 && granted_count == 1 && scene.is_sound() && scene.is_bounded(),
             std::to_string(refused_count) + " closed");

  refused_count = granted_count = 0;
  int obeyed_count = 0;
  for (std::uint32_t kind = 0; kind < 64; ++kind) {
    if (kind == static_cast<std::uint32_t>(GuardKind::kAsk)) continue;
    for (const std::size_t body : {0U, 4U, 8U, 24U, 104U, 240U}) {
      RawClient client(scene.directory);
      const std::vector<std::byte> bytes(body, std::byte{1});
      client.send(RawClient::packet(static_cast<GuardKind>(kind), bytes));
      // The broker's user may command (GuardOptions::commander), and has.
      if (kind == static_cast<std::uint32_t>(GuardKind::kAbort) && body == 0) {
        obeyed_count += client.hear() == static_cast<int>(GuardKind::kAborted);
        continue;
      }
      // Who has no role is not answered to kGot and kBye.
      if (kind == static_cast<std::uint32_t>(GuardKind::kGot)) continue;
      count(client.hear());
    }
  }
  matrix.add("guarded", "each other kind first, with 6 sizes of body",
             granted_count == 0 && refused_count == 62 * 6 - 1 && obeyed_count == 1 &&
                 scene.is_sound() && scene.is_bounded(),
             std::to_string(refused_count) + " closed, an abort obeyed");
}

TEST_CASE("hostile process: descriptors that should not be there, and none where one should be") {
  Scene scene;
  Matrix matrix("descriptors in the handshake");
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  REQUIRE(null >= 0);
  for (const std::size_t fds : {1U, 2U, 4U, 5U, 64U, 253U}) {
    for (const std::size_t announced : {std::size_t{0}, fds}) {
      const std::vector<int> descriptors(fds, null);
      RawClient client(scene.directory);
      const bool was_sent = client.send(
          RawClient::packet(GuardKind::kAsk, guard_bytes(GuardAsk{1, 0}), announced), descriptors);
      const int heard = was_sent ? client.hear() : 0;
      // As announced and few enough: taken, and closed again.
      const bool may_be_granted = announced == fds && fds <= kMaxPacketDescriptors;
      matrix.add("guarded",
                 std::to_string(fds) + " descriptors, " + std::to_string(announced) + " announced",
                 (heard == 0 || (may_be_granted && heard == static_cast<int>(GuardKind::kGrant))) &&
                     scene.is_bounded(),
                 heard == 0 ? "connection closed" : "passed over and closed");
    }
  }
  ::close(null);
  CHECK(scene.is_sound());
}

struct Forgery {
  const char* name;
  std::function<int(std::uint64_t)> make;  // -1: this kernel has none
};

[[nodiscard]] int memory_file(std::uint64_t size_bytes, unsigned seals, unsigned flags = 0) {
  const int fd = ::memfd_create("hostile", MFD_ALLOW_SEALING | MFD_CLOEXEC | flags);
  if (fd < 0) return -1;
  if (::ftruncate(fd, static_cast<off_t>(size_bytes)) != 0) std::abort();
  if (seals != 0 && ::fcntl(fd, F_ADD_SEALS, seals) != 0) std::abort();
  return fd;
}

[[nodiscard]] std::vector<Forgery> forgeries() {
  constexpr unsigned kAll = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE;
  return {
      {"a pipe",
       [](std::uint64_t) {
         int ends[2];
         if (::pipe2(ends, O_CLOEXEC) != 0) std::abort();
         ::close(ends[1]);
         return ends[0];
       }},
      {"a directory",
       [](std::uint64_t) { return ::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC); }},
      {"a file on tmpfs",
       [](std::uint64_t size) {
         const int fd = ::open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
         if (fd >= 0 && ::ftruncate(fd, static_cast<off_t>(size)) != 0) std::abort();
         return fd;
       }},
      {"/dev/zero", [](std::uint64_t) { return ::open("/dev/zero", O_RDWR | O_CLOEXEC); }},
      {"memory to be truncated later", [](std::uint64_t size) { return memory_file(size, 0); }},
      {"memory open to later writers",
       [](std::uint64_t size) {
         return memory_file(size, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW);
       }},
      {"memory whose seals may be added to",
       [](std::uint64_t size) {
         return memory_file(size, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE);
       }},
      {"memory a page too small",
       [](std::uint64_t size) { return memory_file(size - 4096, kAll); }},
      {"memory a page too large",
       [](std::uint64_t size) { return memory_file(size + 4096, kAll); }},
      {"memory of no size", [](std::uint64_t) { return memory_file(0, kAll); }},
      {"memory of another user",
       [](std::uint64_t size) {
         const int fd = memory_file(size, kAll);
         if (::fchown(fd, kNobody, kNobody) != 0) std::abort();
         return fd;
       }},
      {"memory of huge pages",
       [](std::uint64_t) { return memory_file(2 << 20, kAll, MFD_HUGETLB); }},
  };
}

TEST_CASE("hostile process: memory that is handed in and is not what it should be") {
  Scene scene;
  Matrix matrix("forged memory");
  const std::uint64_t size = parts_of(test::records(4096), page_size_bytes()).writer_bytes;
  for (const Forgery& forgery : forgeries()) {
    RawClient client(scene.directory);
    REQUIRE(client.ask(Role::kWriter));
    for (const int fd : client.descriptors()) ::close(fd);
    const std::uint32_t generation = client.body<GuardGrant>().next_generation;
    const int fd = forgery.make(size);
    if (fd < 0) {
      MESSAGE("this kernel has no ", std::string(forgery.name));
      continue;
    }
    client.say(GuardKind::kRegion, GuardGeneration{1, generation}, std::span(&fd, 1));
    const int heard = client.hear();
    const bool is_refused = heard == static_cast<int>(GuardKind::kRefuse);
    ::close(fd);
    matrix.add("guarded", std::string("handed in: ") + forgery.name,
               is_refused && scene.is_sound() && scene.is_bounded(),
               is_refused ? std::string("refused: ") +
                                name_of(static_cast<ErrorCode>(client.body<GuardRefuse>().code))
                          : "answer " + std::to_string(heard));
  }
  for (const auto& [role, step, fds, name] :
       {std::tuple{1U, 1U, 1U, "another generation"}, std::tuple{1U, 0U, 0U, "no descriptor"},
        std::tuple{1U, 0U, 2U, "two descriptors"}}) {
    RawClient client(scene.directory);
    REQUIRE(client.ask(Role::kWriter));
    const int fd =
        memory_file(size, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE);
    const std::vector<int> descriptors(fds, fd);
    client.say(GuardKind::kRegion,
               GuardGeneration{role, client.body<GuardGrant>().next_generation + step},
               descriptors);
    for (const int got : client.descriptors()) ::close(got);
    const int heard = client.hear();
    ::close(fd);
    matrix.add("guarded", std::string("handed in: ") + name,
               heard == 0 && scene.is_sound() && scene.is_bounded(), "connection closed");
  }
}

TEST_CASE("hostile process: a thousand connections that say nothing") {
  Scene scene;
  Matrix matrix("a crowd");
  Told<std::size_t> connected;
  OtherProcess crowd([&](Line line) {
    std::vector<std::unique_ptr<RawClient>> clients;
    for (int i = 0; i < 1000; ++i) {
      clients.push_back(std::make_unique<RawClient>(scene.directory));
      if (clients.back()->is_connected()) ++*connected;
    }
    line.say('y');
    line.hear();
    return 0;
  });
  CHECK(scene.bystander.work());
  REQUIRE(crowd.line().hear() == 'y');
  const std::size_t at_most = scene.descriptors + 2 * 64 + 4;
  const std::size_t held = descriptor_count(scene.broker.pid());
  matrix.add("guarded", "1000 silent connections", held <= at_most && scene.is_sound(),
             std::to_string(*connected) + " connected, the broker held " + std::to_string(held) +
                 " descriptors, at most " + std::to_string(at_most));
  crowd.kill_now();
  crowd.wait();
  const bool is_as_before = scene.is_sound() && scene.is_bounded();
  matrix.add("guarded", "after them", is_as_before,
             std::to_string(descriptor_count(scene.broker.pid())) + " descriptors, before " +
                 std::to_string(scene.descriptors) + "; KiB of addresses " +
                 std::to_string(address_space_kib(scene.broker.pid())) + ", before " +
                 std::to_string(scene.address_space_kib));

  OtherProcess stranger([&](Line line) {
    if (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) return 1;
    RawClient client(scene.directory);
    line.say(client.is_connected() ? 'c' : 'n');
    return 0;
  });
  matrix.add("guarded, uid 65534", "connect", stranger.line().hear() == 'n', "EACCES");
}

}  // namespace
}  // namespace slipring::hostile
