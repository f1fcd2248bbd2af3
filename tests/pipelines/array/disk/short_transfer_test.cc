// The kernel moves less than it was asked for, all the time: what is answered is whole all the
// same.
//
// The calls by which the engines reach the kernel are wrapped at link time, and ask for less.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "pipelines/array/disk/disk_engine.h"
#include "platform/process/descriptor.h"

namespace {

std::uint64_t shortened = 0;
bool is_shortening = false;
std::mt19937_64 lengths(11);

std::uint32_t less_than(std::uint64_t length) {
  if (!is_shortening || length < 2) return static_cast<std::uint32_t>(length);
  ++shortened;
  return static_cast<std::uint32_t>(1 + lengths() % (length - 1));
}

}  // namespace

extern "C" {
ssize_t __real_preadv(int file, const iovec* parts, int count, off_t offset);
ssize_t __real_pwritev2(int file, const iovec* parts, int count, off_t offset, int flags);
int __real_io_uring_submit(io_uring* ring);

ssize_t __wrap_preadv(int file, const iovec* parts, int, off_t offset) {
  const iovec part{parts->iov_base, less_than(parts->iov_len)};
  return __real_preadv(file, &part, 1, offset);
}
ssize_t __wrap_pwritev2(int file, const iovec* parts, int, off_t offset, int flags) {
  const iovec part{parts->iov_base, less_than(parts->iov_len)};
  return __real_pwritev2(file, &part, 1, offset, flags);
}
int __wrap_io_uring_submit(io_uring* ring) {
  for (unsigned at = ring->sq.sqe_head; at != ring->sq.sqe_tail; ++at) {
    io_uring_sqe& entry = ring->sq.sqes[at & *ring->sq.kring_mask];
    if (entry.opcode != IORING_OP_FSYNC) entry.len = less_than(entry.len);
  }
  return __real_io_uring_submit(ring);
}
}

namespace slipring::array {
namespace {

constexpr std::uint32_t kBytes = 64 * 1024;
constexpr std::uint32_t kTasks = 8;

void expect_whole(DiskEngine& engine, std::span<std::byte> memory, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::byte> written(kTasks * kBytes);
  for (std::byte& byte : written) byte = static_cast<std::byte>(random());
  const auto all = [&](EngineOperation operation, std::byte* bytes) {
    std::vector<EngineTask> tasks(kTasks);
    for (std::uint32_t i = 0; i < kTasks; ++i) {
      tasks[i].operation = operation;
      tasks[i].offset_bytes = i * kBytes;
      tasks[i].bytes = bytes + i * kBytes;
      tasks[i].length_bytes = kBytes;
    }
    for (EngineTask& task : tasks) engine.start(task);
    for (EngineTask& task : tasks) {
      while (!task.is_done) engine.turn(true);
      CHECK(task.error == 0);
      CHECK(task.done_bytes == kBytes);
    }
  };
  const std::uint64_t before = shortened;
  all(seed % 2 == 0 ? EngineOperation::kWrite : EngineOperation::kWriteDurable, written.data());
  CHECK(shortened > before + kTasks);
  const std::uint64_t between = shortened;
  all(EngineOperation::kRead, memory.data());
  CHECK(shortened > between + kTasks);
  CHECK(std::memcmp(memory.data(), written.data(), written.size()) == 0);
}

}  // namespace

TEST_CASE("short transfers: both engines go on until all is moved") {
  const char* given = getenv("TEST_TMPDIR");
  const std::string path = std::string(given != nullptr ? given : "/tmp") + "/short_transfers.img";
  const Descriptor file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  REQUIRE(file.is_open());
  std::vector<std::byte> memory(kTasks * kBytes);
  is_shortening = true;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    expect_whole(*make_plain_engine(file.get()), memory, seed);
    Result<std::unique_ptr<DiskEngine>> uring = make_uring_engine(file.get(), kTasks, memory);
    if (uring) expect_whole(**uring, memory, seed + 100);
  }
  MESSAGE(shortened, " transfers were made shorter");
  unlink(path.c_str());
}

}  // namespace slipring::array
