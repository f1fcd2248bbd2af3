// What core/THREATS.md says of named segments: their owner can cut one short while it is mapped,
// and then whoever touches what is gone gets SIGBUS.  Nobody else does, and who attaches next is
// told.
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include <doctest/doctest.h>

#include "pipelines/link/link_observer.h"
#include "tests/pipelines/link/link_fixture.h"
#include "tests/platform/other_process.h"

namespace slipring {
namespace {

using test::Directory;
using test::must;
using test::put;

// Attaches to both links, says so, and sends on the one that the parent names.
int send_on(const SegmentDirectory& directory, MemoryLock memory_lock, Line line) {
  Result<LinkWriter> cut = LinkWriter::attach(directory, "cut", memory_lock);
  Result<LinkWriter> whole = LinkWriter::attach(directory, "whole", memory_lock);
  if (!cut.ok() || !whole.ok()) return 1;
  line.say('a');
  for (;;) {
    const char word = line.hear();
    if (word == '\0') return 0;
    const bool is_sent = put(word == 'c' ? *cut : *whole, 7);
    line.say(is_sent ? 'y' : 'n');
  }
}

}  // namespace

TEST_CASE("truncated segment: the one that touches it gets SIGBUS, locked or not") {
  for (const MemoryLock memory_lock : {MemoryLock::kOff, MemoryLock::kTry}) {
    const Directory folder;
    const SegmentDirectory directory = folder.open();
    for (const char* name : {"cut", "whole"}) {
      REQUIRE(create_link(directory, name, test::records(4096)).ok());
    }
    OtherProcess child([&](Line line) { return send_on(directory, memory_lock, line); });
    REQUIRE(child.line().hear() == 'a');
    LinkReader reader = must(LinkReader::attach(directory, "whole"));
    REQUIRE(::truncate((folder.path() + "/cut").c_str(), 4096) == 0);
    // Other links of the process go on.
    child.line().say('w');
    CHECK(child.line().hear() == 'y');
    Message message;
    CHECK(reader.try_peek(message) == Transfer::kDone);
    // Who attaches is told, and does not fault.
    Result<LinkReader> late = LinkReader::attach(directory, "cut");
    REQUIRE_FALSE(late.ok());
    CHECK(late.error().code == ErrorCode::kCorruptPeer);
    CHECK(late.error().found == 4096);
    CHECK(late.error().wanted > 4096);
    Result<LinkObserver> observer = LinkObserver::attach(directory, "cut");
    CHECK_FALSE(observer.ok());
    child.line().say('c');
    CHECK(child.wait() == -SIGBUS);
  }
}

namespace {

// The guard that a program may install: memory of its own where the file's was.
void* guarded_address = nullptr;
std::size_t guarded_bytes = 0;
volatile sig_atomic_t fault_count = 0;

void repair(int, siginfo_t* info, void*) {
  auto* begin = static_cast<char*>(guarded_address);
  auto* at = static_cast<char*>(info->si_addr);
  if (at < begin || at >= begin + guarded_bytes) ::_exit(2);
  fault_count = fault_count + 1;
  // Whole, since a page of a new file and a page of an old one are no segment together.
  if (::mmap(guarded_address, guarded_bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) {
    ::_exit(3);
  }
}

}  // namespace

TEST_CASE("truncated segment: what a SIGBUS guard needs") {
  const Directory folder;
  const SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, "cut", test::records(4096)).ok());
  OtherProcess child([&](Line) {
    LinkWriter writer = must(LinkWriter::attach(directory, "cut"));
    std::span<std::byte> place;
    if (writer.try_reserve(8, place) != Transfer::kDone) return 4;
    // The ring's page: where the reserved bytes lie.
    const auto page = reinterpret_cast<std::uintptr_t>(place.data()) & ~std::uintptr_t{4095};
    guarded_address = reinterpret_cast<void*>(page);
    guarded_bytes = 4096;
    struct sigaction action = {};
    action.sa_sigaction = repair;
    action.sa_flags = SA_SIGINFO;
    ::sigaction(SIGBUS, &action, nullptr);
    if (::truncate((folder.path() + "/cut").c_str(), 3 * 4096) != 0) return 5;
    place[0] = std::byte{1};
    return fault_count == 1 || place[0] == std::byte{1} ? 0 : 6;
  });
  CHECK(child.wait() == 0);
}

}  // namespace slipring
