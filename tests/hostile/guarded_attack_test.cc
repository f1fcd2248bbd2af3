// A guarded link and its broker against a process that keeps to no rule: with the descriptors that
// it is given, in the handshake, and as a crowd.  A bystander works through all of it, and the
// link is as good as before afterwards.
#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <doctest/doctest.h>

#include <cerrno>
#include <functional>
#include <string>

#include "pipelines/link/guarded_broker.h"
#include "platform/memory/sealed_memory.h"
#include "platform/process/inspection.h"
#include "tests/hostile/hostile_fixture.h"
#include "tests/hostile/raw_client.h"
#include "tests/pipelines/link/guarded_fixture.h"

namespace slipring::hostile {
namespace {

using test::attach_when_free;
using test::BrokerProcess;
using test::Directory;
using test::must;

constexpr std::size_t kMostAttacks = 64;

// What became of each attack, told by the process that tried it.
struct Outcomes {
  struct One {
    char name[48] = {};
    bool is_contained = false;
    int os_errno = 0;
  };
  std::size_t count = 0;
  One all[kMostAttacks];

  void add(const std::string& name, bool is_contained, int os_errno) {
    if (count == kMostAttacks) std::abort();
    One& one = all[count++];
    name.copy(one.name, sizeof one.name - 1);
    one.is_contained = is_contained;
    one.os_errno = os_errno;
  }
  // An attack that a system call must refuse.
  void refused(const std::string& name, long result) {
    add(name, result < 0, result < 0 ? errno : 0);
  }
};

// Tries everything that could change sealed memory behind a descriptor.
void attack_memory(int fd, const std::string& prefix, Outcomes& outcomes) {
  struct stat facts {};
  if (::fstat(fd, &facts) != 0) std::abort();
  const auto size = static_cast<std::size_t>(facts.st_size);
  const auto refused = [&](const char* name, long result) {
    outcomes.refused(prefix + name, result);
  };
  refused("truncate", ::ftruncate(fd, 0));
  refused("grow", ::ftruncate(fd, facts.st_size * 2));
  refused("punch a hole",
          ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, facts.st_size));
  refused("zero a range", ::fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, facts.st_size));
  refused("fallocate beyond", ::fallocate(fd, 0, 0, facts.st_size * 2));
  refused("pwrite", ::pwrite(fd, "x", 1, 0));
  refused("more seals", ::fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
  void* writable = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  refused("map writable", writable == MAP_FAILED ? -1 : 0);
  void* mapped = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) std::abort();
  refused("mprotect up", ::mprotect(mapped, size, PROT_READ | PROT_WRITE));
  refused("madvise remove", ::madvise(mapped, size, MADV_REMOVE));
  refused("read(2) into it", ::pread(fd, mapped, 1, 0));
  const iovec from{outcomes.all[0].name, 1};
  const iovec to{mapped, 1};
  refused("process_vm_writev", ::process_vm_writev(::getpid(), &from, 1, &to, 1, 0));
  const int memory = ::open("/proc/self/mem", O_RDWR | O_CLOEXEC);
  refused("/proc/self/mem", ::pwrite(memory, "x", 1, reinterpret_cast<off_t>(mapped)));
  ::close(memory);
  void* moved = ::mremap(mapped, size, 2 * size, MREMAP_MAYMOVE);
  catch_faults();
  if (moved != MAP_FAILED) mapped = moved;
  outcomes.add(prefix + "store after mremap",
               !may_store(static_cast<volatile unsigned char*>(mapped)), EFAULT);
  static_cast<void>(::fchmod(fd, 0777));
  const int again = ::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDWR | O_CLOEXEC);
  if (again < 0) {
    refused("reopen for writing", -1);
  } else {
    refused("reopen, then pwrite", ::pwrite(again, "x", 1, 0));
    refused("reopen, then truncate", ::ftruncate(again, 0));
    writable = ::mmap(nullptr, size, PROT_WRITE, MAP_SHARED, again, 0);
    refused("reopen, then map writable", writable == MAP_FAILED ? -1 : 0);
  }
  // Its own view is its own: others see nothing of it.
  void* over =
      ::mmap(mapped, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (over == MAP_FAILED) std::abort();
  std::memset(over, 0xff, size);
  outcomes.add(prefix + "remap MAP_FIXED, scribble", true, 0);
}

[[nodiscard]] std::uint64_t hash_of_own_memory() {
  std::uint64_t hash = 0xcbf2'9ce4'8422'2325;
  for (const SharedRange& range : shared_ranges()) {
    if (!range.is_writable) continue;
    for (const unsigned char* at = range.begin; at != range.end; ++at) {
      hash = (hash ^ *at) * 0x100'0000'01b3;
    }
  }
  return hash;
}

TEST_CASE("hostile process: the memory behind the descriptors of a guarded link stays as it is") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  Matrix matrix("guarded memory against who has its descriptor");
  BrokerProcess broker(directory, test::records(4096));
  LinkWriter writer = must(LinkWriter::attach(directory, "t.link"));
  for (std::uint64_t i = 0; i < 20; ++i) REQUIRE(test::put(writer, i));
  const std::uint64_t hash = hash_of_own_memory();
  for (const bool is_another_user : {false, true}) {
    Told<Outcomes> outcomes;
    OtherProcess hostile([&](Line line) {
      RawClient client(directory);
      if (!client.ask(Role::kReader) || client.descriptors().size() != 2) return 1;
      if (is_another_user && (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0)) return 2;
      attack_memory(client.descriptors()[0], "page: ", *outcomes);
      attack_memory(client.descriptors()[1], "ring: ", *outcomes);
      line.say('y');
      line.hear();
      return 0;
    });
    REQUIRE(hostile.line().hear() == 'y');
    for (std::size_t i = 0; i < outcomes->count; ++i) {
      const Outcomes::One& one = outcomes->all[i];
      matrix.add(is_another_user ? "guarded, uid 65534" : "guarded, same uid", one.name,
                 one.is_contained && hash_of_own_memory() == hash,
                 ::strerrorname_np(one.os_errno) != nullptr && one.os_errno != 0
                     ? ::strerrorname_np(one.os_errno)
                     : "its own view only");
    }
  }
  LinkReader reader = must(attach_when_free<LinkReader>(directory));
  for (std::uint64_t i = 0; i < 20; ++i) {
    Message message;
    REQUIRE(test::peek(reader, message));
    CHECK(test::number_in(message) == i);
    reader.release(message);
  }
  CHECK(matrix.row_count() >= 64);
}

// What a same-user process can do to another, and what dumpable 0 ends.
void attack_process(pid_t victim, void* place, int its_fd, const std::string& prefix,
                    Outcomes& outcomes) {
  const auto refused = [&](const char* name, long result) {
    outcomes.refused(prefix + name, result);
  };
  char byte = 'x';
  const iovec from{&byte, 1};
  const iovec to{place, 1};
  refused("process_vm_writev", ::process_vm_writev(victim, &from, 1, &to, 1, 0));
  refused("process_vm_readv", ::process_vm_readv(victim, &from, 1, &to, 1, 0));
  const std::string proc = "/proc/" + std::to_string(victim);
  refused("/proc/PID/mem", ::open((proc + "/mem").c_str(), O_RDWR | O_CLOEXEC));
  refused("/proc/PID/fd theft",
          ::open((proc + "/fd/" + std::to_string(its_fd)).c_str(), O_RDONLY | O_CLOEXEC));
  const auto pidfd = static_cast<int>(::syscall(SYS_pidfd_open, victim, 0));
  refused("pidfd_getfd theft", ::syscall(SYS_pidfd_getfd, pidfd, its_fd, 0));
  const long attached = ::ptrace(PTRACE_ATTACH, victim, nullptr, nullptr);
  refused("ptrace attach", attached);
  if (attached == 0) ::ptrace(PTRACE_DETACH, victim, nullptr, nullptr);
}

TEST_CASE("hostile process: ptrace and its kin, of the same user and of another") {
  Matrix matrix("a process against a process");
  struct Case {
    bool forbids;
    uid_t attacker;
    const char* name;
  };
  for (const Case& now :
       {Case{true, kNobody, "same uid, dumpable 0"},
        Case{true, kNobody - 1, "other uid, dumpable 0"}, Case{false, kNobody - 1, "other uid"},
        Case{false, kNobody, "same uid"}}) {
    Told<std::array<std::uint64_t, 2>> told;
    OtherProcess victim([&](Line line) {
      if (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) return 1;
      Result<SealedMemory> memory = make_sealed_memory(4096, MemoryLock::kOff);
      if (!memory) return 2;
      // Changing users forbids inspection too; here as if it had been started so.
      ::prctl(PR_SET_DUMPABLE, 1);
      if (now.forbids && !forbid_inspection().ok()) return 2;
      (*told)[0] = reinterpret_cast<std::uint64_t>(memory->own.writable_bytes().data());
      (*told)[1] = static_cast<std::uint64_t>(memory->descriptor.get());
      line.say('y');
      line.hear();
      return memory->own.bytes()[0] == std::byte{0} ? 0 : 3;
    });
    REQUIRE(victim.line().hear() == 'y');
    Told<Outcomes> outcomes;
    OtherProcess attacker([&](Line line) {
      if (::setgid(now.attacker) != 0 || ::setuid(now.attacker) != 0) return 1;
      attack_process(victim.pid(), reinterpret_cast<void*>((*told)[0]),
                     static_cast<int>((*told)[1]), "", *outcomes);
      line.say('y');
      return 0;
    });
    REQUIRE(attacker.line().hear() == 'y');
    std::size_t contained_count = 0;
    for (std::size_t i = 0; i < outcomes->count; ++i) {
      const Outcomes::One& one = outcomes->all[i];
      if (one.is_contained) ++contained_count;
      const bool is_expected_through = !now.forbids && now.attacker == kNobody;
      if (is_expected_through) continue;
      matrix.add(now.name, one.name, one.is_contained, ::strerrorname_np(one.os_errno));
    }
    // GUARD.md says so: without dumpable 0 a process is open to its user.  And so these attacks are
    // seen to work where nothing stops them.
    if (!now.forbids && now.attacker == kNobody) CHECK(contained_count == 0);
  }
  CHECK(matrix.row_count() == 18);
}

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
  matrix.add(
      "guarded", "each other kind first, with 6 sizes of body",
      granted_count == 0 && refused_count == 62 * 6 - 1 && obeyed_count == 1 && scene.is_sound() &&
          scene.is_bounded(),
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
