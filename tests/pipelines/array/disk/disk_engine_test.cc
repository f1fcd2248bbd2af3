#include "pipelines/array/disk/disk_engine.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "pipelines/array/disk/disk_file.h"
#include "platform/process/descriptor.h"

namespace slipring::array {
namespace {

constexpr std::uint32_t kBytes = 64 * 1024;

std::string folder() {
  const char* given = getenv("TEST_TMPDIR");
  return given != nullptr ? given : "/tmp";
}

std::vector<std::unique_ptr<DiskEngine>> engines(int file, std::span<std::byte> memory) {
  std::vector<std::unique_ptr<DiskEngine>> made;
  made.push_back(make_plain_engine(file));
  Result<std::unique_ptr<DiskEngine>> uring = make_uring_engine(file, 8, memory);
  if (uring) {
    made.push_back(std::move(uring).value());
  } else {
    CHECK(uring.error().code == ErrorCode::kUnsupported);
    MESSAGE("no io_uring here: tested without");
  }
  return made;
}

int run(DiskEngine& engine, EngineTask& task) {
  engine.start(task);
  while (!task.is_done) engine.turn(true);
  return task.error;
}

EngineTask task_of(EngineOperation operation, std::uint64_t offset, std::byte* bytes,
                   std::uint32_t length) {
  EngineTask task;
  task.operation = operation;
  task.offset_bytes = offset;
  task.bytes = bytes;
  task.length_bytes = length;
  return task;
}

}  // namespace

TEST_CASE("disk_engine: what was written is read, several at once") {
  const std::string path = folder() + "/engine.img";
  Result<DiskFile> disk = DiskFile::open(path, {.create_bytes = 16 * kBytes, .is_direct = false});
  REQUIRE(disk.ok());
  CHECK(disk->size_bytes == 16 * kBytes);
  std::vector<std::byte> memory(8 * kBytes);
  for (const auto& engine : engines(disk->file.get(), memory)) {
    INFO(engine->name());
    std::vector<std::vector<std::byte>> written;
    std::vector<EngineTask> tasks(8);
    for (std::uint32_t i = 0; i < 8; ++i) {
      written.emplace_back(kBytes, static_cast<std::byte>(i + 1));
      tasks[i] = task_of(i % 2 == 0 ? EngineOperation::kWrite : EngineOperation::kWriteDurable,
                         i * kBytes, written[i].data(), kBytes);
    }
    for (EngineTask& task : tasks) engine->start(task);
    for (EngineTask& task : tasks) {
      while (!task.is_done) engine->turn(true);
      CHECK(task.error == 0);
    }
    EngineTask sync = task_of(EngineOperation::kSync, 0, nullptr, 0);
    CHECK(run(*engine, sync) == 0);
    for (std::uint32_t i = 0; i < 8; ++i) {
      EngineTask read =
          task_of(EngineOperation::kRead, i * kBytes, memory.data() + i * kBytes, kBytes);
      CHECK(run(*engine, read) == 0);
      CHECK(std::memcmp(memory.data() + i * kBytes, written[i].data(), kBytes) == 0);
    }
  }
  unlink(path.c_str());
}

TEST_CASE("disk_engine: a read that ends early, a full disk and a cut-off write are errors") {
  const std::string path = folder() + "/short.img";
  Result<DiskFile> disk = DiskFile::open(path, {.create_bytes = kBytes, .is_direct = false});
  REQUIRE(disk.ok());
  std::vector<std::byte> memory(2 * kBytes);
  for (const auto& engine : engines(disk->file.get(), memory)) {
    INFO(engine->name());
    EngineTask beyond = task_of(EngineOperation::kRead, kBytes / 2, memory.data(), kBytes);
    CHECK(run(*engine, beyond) == EIO);
  }
  const Descriptor full(open("/dev/full", O_RDWR | O_CLOEXEC));
  REQUIRE(full.is_open());
  for (const auto& engine : engines(full.get(), memory)) {
    INFO(engine->name());
    EngineTask write = task_of(EngineOperation::kWrite, 0, memory.data(), kBytes);
    CHECK(run(*engine, write) == ENOSPC);
  }
  // The kernel writes up to the limit, which is a short write, and then refuses.
  signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  const rlimit limit{kBytes + 4096, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  const auto plain = make_plain_engine(disk->file.get());
  EngineTask cut = task_of(EngineOperation::kWrite, 0, memory.data(), 2 * kBytes);
  CHECK(run(*plain, cut) == EFBIG);
  CHECK(cut.done_bytes == kBytes + 4096);
  REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
  unlink(path.c_str());
}

TEST_CASE("disk_file: a missing file is made whole or not at all") {
  const std::string path = folder() + "/made.img";
  const Result<DiskFile> missing = DiskFile::open(path, {});
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().code == ErrorCode::kNotFound);
  const Result<DiskFile> huge =
      DiskFile::open(path, {.create_bytes = std::uint64_t{1} << 60, .is_direct = false});
  CHECK_FALSE(huge.ok());
  CHECK(access(path.c_str(), F_OK) != 0);
  CHECK(access((path + ".new").c_str(), F_OK) != 0);
  const Result<DiskFile> folder_itself = DiskFile::open(folder(), {});
  CHECK_FALSE(folder_itself.ok());
}

}  // namespace slipring::array
