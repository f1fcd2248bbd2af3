#include "pipelines/array/cache/block_cache.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <random>
#include <vector>

#include "tests/pipelines/array/raid/block_pattern.h"

namespace slipring::array::test {
namespace {

constexpr std::uint64_t kSlots = 32;

// A cache's memory, shared with children.
class Memory {
 public:
  Memory() {
    bytes_ = static_cast<std::byte*>(mmap(nullptr, cache_bytes(kSlots), PROT_READ | PROT_WRITE,
                                          MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    REQUIRE(static_cast<void*>(bytes_) != MAP_FAILED);
    format_cache(bytes(), kSlots);
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() { munmap(bytes_, cache_bytes(kSlots)); }
  [[nodiscard]] std::span<std::byte> bytes() const { return {bytes_, cache_bytes(kSlots)}; }

 private:
  std::byte* bytes_;
};

void put(BlockCache& cache, std::uint64_t block, std::uint64_t version, BlockState state) {
  fill_block(cache.begin(), block, version);
  cache.show(block, version, state);
}

// The version that the cache holds of a block; 0 when it is not there, nothing when it is damaged.
std::optional<std::uint64_t> held(const BlockCache& cache, std::uint64_t block) {
  const std::uint32_t slot = cache.peek(block);
  if (slot == kNoSlot) return 0;
  if (!cache.is_intact(slot)) return std::nullopt;
  return version_in(cache.bytes(slot), block);
}

void write_out(BlockCache& cache) {
  while (const auto block = cache.oldest_dirty()) {
    const auto writing = cache.start_writing(*block);
    REQUIRE(writing);
    cache.finish_writing(*writing, true);
  }
}

}  // namespace

TEST_CASE("block_cache: what was put is there, also for a successor") {
  const Memory memory;
  CacheRebuild rebuild;
  std::mt19937_64 random(1);
  std::map<std::uint64_t, std::uint64_t> versions;
  BlockCache cache(memory.bytes(), rebuild);
  for (std::uint64_t version = 1; version < 500; ++version) {
    if (cache.dirty_count() > kSlots / 2) write_out(cache);
    const std::uint64_t block = random() % 20;
    put(cache, block, version, BlockState::kDirty);
    cache.set_applied(version);
    versions[block] = version;
    CacheRebuild again;
    const BlockCache successor(memory.bytes(), again);
    CHECK(again.damaged_count == 0);
    CHECK(again.superseded_count == 0);
    CHECK(again.dirty_count == cache.dirty_count());
    CHECK(again.clean_count == cache.clean_count());
    CHECK(successor.applied_sequence() == version);
    for (const auto& [held_block, held_version] : versions) {
      CHECK(held(successor, held_block) == held_version);
    }
  }
}

TEST_CASE("block_cache: clean blocks make room, dirty ones stay") {
  const Memory memory;
  CacheRebuild rebuild;
  BlockCache cache(memory.bytes(), rebuild);
  for (std::uint64_t block = 0; block < kSlots; ++block) {
    put(cache, block, block + 1, block < 10 ? BlockState::kDirty : BlockState::kClean);
  }
  CHECK(cache.has_room(kSlots - 10));
  CHECK_FALSE(cache.has_room(kSlots - 9));
  static_cast<void>(cache.find(20));
  for (std::uint64_t block = 100; block < 110; ++block) put(cache, block, 0, BlockState::kClean);
  CHECK(cache.evicted_count() == 10);
  CHECK(cache.peek(20) != kNoSlot);  // used since the hand came by
  for (std::uint64_t block = 0; block < 10; ++block) CHECK(held(cache, block) == block + 1);
}

TEST_CASE("block_cache: a flush waits for what was dirty when it came, and not for more") {
  const Memory memory;
  CacheRebuild rebuild;
  BlockCache cache(memory.bytes(), rebuild);
  put(cache, 1, 1, BlockState::kDirty);
  put(cache, 2, 2, BlockState::kDirty);
  const std::uint64_t flush = cache.next_number();
  put(cache, 1, 3, BlockState::kDirty);  // before it is on its way: the flush waits for this one
  put(cache, 3, 4, BlockState::kDirty);
  const auto one = cache.start_writing(1);
  const auto two = cache.start_writing(2);
  REQUIRE(one);
  REQUIRE(two);
  CHECK(one->version == 3);
  put(cache, 1, 5, BlockState::kDirty);  // while it is on its way: a matter of the next flush
  CHECK_FALSE(cache.start_writing(1));
  cache.finish_writing(*two, true);
  CHECK(cache.lowest_number() < flush);
  cache.finish_writing(*one, true);
  CHECK(cache.lowest_number() >= flush);
  CHECK(cache.dirty_count() == 2);
  CHECK(cache.oldest_dirty() == 3);
  const auto again = cache.start_writing(1);
  REQUIRE(again);
  CHECK(again->version == 5);
  // The array cannot take it: what was promised stays promised, of the newer one if there is one.
  const std::uint64_t later = cache.next_number();
  put(cache, 1, 6, BlockState::kDirty);
  cache.finish_writing(*again, false);
  CHECK(cache.lowest_number() < later);
  write_out(cache);
  CHECK(cache.lowest_number() == cache.next_number());
  CHECK(held(cache, 1) == 6);
}

// Each instruction of a write, a write-back and an eviction: what a kill there leaves is what the
// shared memory holds then.
TEST_CASE("block_cache: a kill at any instruction leaves every block whole") {
  const Memory memory;
  {
    CacheRebuild rebuild;
    BlockCache cache(memory.bytes(), rebuild);
    for (std::uint64_t block = 0; block < kSlots; ++block) {
      put(cache, block, block + 1, block < 8 ? BlockState::kDirty : BlockState::kClean);
    }
    cache.set_applied(100);
  }
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    CacheRebuild rebuild;
    BlockCache cache(memory.bytes(), rebuild);
    alignas(64) std::byte block[kBlockBytes];
    fill_block(block, 3, 101);
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    raise(SIGSTOP);
    std::memcpy(cache.begin(), block, sizeof block);
    cache.show(3, 101, BlockState::kDirty);  // evicts, and replaces a dirty block
    cache.set_applied(101);
    const auto writing = cache.start_writing(3);
    if (writing) cache.finish_writing(*writing, true);
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  std::uint64_t instructions = 0;
  std::uint64_t states = 0;
  std::uint64_t both = 0;
  std::vector<std::byte> before;
  while (true) {
    REQUIRE(ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) == 0);
    REQUIRE(waitpid(child, &status, 0) == child);
    if (!WIFSTOPPED(status)) break;
    ++instructions;
    std::vector<std::byte> now(memory.bytes().begin(), memory.bytes().end());
    if (now == before) continue;
    before = now;
    ++states;
    CacheRebuild rebuild;
    const BlockCache successor(now, rebuild);
    if (rebuild.damaged_count != 0) FAIL_CHECK("a damaged block after " << instructions);
    both += rebuild.superseded_count;
    const bool is_applied = successor.applied_sequence() == 101;
    for (std::uint64_t block = 0; block < 8; ++block) {
      const auto version = held(successor, block);
      const bool is_right = version == block + 1 || (block == 3 && version == 101);
      if (!is_right || (block == 3 && is_applied && version != 101)) {
        FAIL_CHECK("block " << block << " is wrong after " << instructions);
      }
    }
  }
  CHECK(WIFEXITED(status));
  MESSAGE(instructions << " instructions, " << states << " states of the memory, " << both
                       << " with two slots of one block: 0 damaged or lost");
  CHECK(states > 8);
  CHECK(both > 0);
}

TEST_CASE("block_cache: memory that is no cache's is refused") {
  const Memory memory;
  std::vector<std::byte> bytes(memory.bytes().begin(), memory.bytes().end());
  CHECK(validate_cache(bytes).ok());
  CHECK_FALSE(validate_cache(std::span(bytes).first(100)).ok());
  CHECK_FALSE(validate_cache(std::span(bytes).first(bytes.size() - 1)).ok());
  bytes[0] ^= std::byte{1};
  CHECK(validate_cache(bytes).error().code == ErrorCode::kVersion);
  bytes[0] ^= std::byte{1};
  bytes[12] = std::byte{1};
  CHECK(validate_cache(bytes).error().code == ErrorCode::kCorruptPeer);
}

}  // namespace slipring::array::test
