// From a pipe into a ring and out of the ring into a pipe: by read and write, which is what `put`
// and `get` do, and by splice and vmsplice.
//
// One iteration writes size bytes into the first pipe, moves them, and reads them out of the second
// one; the two outer copies are the same for all.  One thread: what is compared is the work.
//
//   ReadWrite      readv into the ring, writev out of it: two copies
//   SpliceIn       splice from the pipe into the ring's file (its memory as a file; a mapping
//   cannot
//                  be a target), writev out: the kernel copies into the page cache, as read does
//   VmspliceOut    readv in, vmsplice out of the mapping: the pipe refers to the ring's pages
//   SpliceOut      readv in, splice from the ring's file: likewise
//   NoRing         splice from pipe to pipe, with nothing in between: what pages alone cost
//
// VmspliceOut and SpliceOut are measured and not used: pages that a pipe refers to are read when
// its reader comes, however much later, and the ring's writer has overwritten them by then.
// BM_VmspliceOut_ShowsOverwriting counts the bytes that arrive changed.

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "core/error/check.h"

namespace slipring {
namespace {

constexpr std::size_t kRingBytes = 1U << 20;

struct Pipe {
  Pipe() {
    check(pipe2(fds.data(), O_CLOEXEC) == 0, "a pipe");
    check(fcntl(fds[1], F_SETPIPE_SZ, static_cast<int>(kRingBytes)) > 0, "a pipe of 1 MiB");
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    close(fds[0]);
    close(fds[1]);
  }
  [[nodiscard]] int read_fd() const { return fds[0]; }
  [[nodiscard]] int write_fd() const { return fds[1]; }
  std::array<int, 2> fds{};
};

// A ring's memory, as a mapping and as a file.
struct RingMemory {
  RingMemory() : fd(memfd_create("ring", MFD_CLOEXEC)) {
    check(ftruncate(fd, static_cast<off_t>(kRingBytes)) == 0, "memory for a ring");
    void* const at =
        mmap(nullptr, kRingBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    check(at != MAP_FAILED, "a mapping of a ring");
    bytes = {static_cast<std::byte*>(at), kRingBytes};
  }
  RingMemory(const RingMemory&) = delete;
  RingMemory& operator=(const RingMemory&) = delete;
  ~RingMemory() {
    munmap(bytes.data(), bytes.size());
    close(fd);
  }
  int fd;
  std::span<std::byte> bytes;
};

using Step = ssize_t (*)(const Pipe& pipe, RingMemory& ring, std::size_t at, std::size_t size);

ssize_t read_in(const Pipe& pipe, RingMemory& ring, std::size_t at, std::size_t size) {
  const iovec place{ring.bytes.data() + at, size};
  return readv(pipe.read_fd(), &place, 1);
}
ssize_t splice_in(const Pipe& pipe, RingMemory& ring, std::size_t at, std::size_t size) {
  loff_t offset = static_cast<loff_t>(at);
  return splice(pipe.read_fd(), nullptr, ring.fd, &offset, size, 0);
}
ssize_t write_out(const Pipe& pipe, RingMemory& ring, std::size_t at, std::size_t size) {
  const iovec place{ring.bytes.data() + at, size};
  return writev(pipe.write_fd(), &place, 1);
}
ssize_t vmsplice_out(const Pipe& pipe, RingMemory& ring, std::size_t at, std::size_t size) {
  const iovec place{ring.bytes.data() + at, size};
  return vmsplice(pipe.write_fd(), &place, 1, 0);
}
ssize_t splice_out(const Pipe& pipe, RingMemory& ring, std::size_t at, std::size_t size) {
  loff_t offset = static_cast<loff_t>(at);
  return splice(ring.fd, &offset, pipe.write_fd(), nullptr, size, 0);
}

// Moves all of it; false on a failure.
bool move(Step step, const Pipe& pipe, RingMemory& ring, std::size_t at, std::size_t size) {
  while (size != 0) {
    const ssize_t moved = step(pipe, ring, at, size);
    if (moved <= 0) return false;
    at += static_cast<std::size_t>(moved);
    size -= static_cast<std::size_t>(moved);
  }
  return true;
}

bool write_all(int fd, std::span<const std::byte> bytes) {
  return write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
}
bool read_all(int fd, std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t got = read(fd, bytes.data(), bytes.size());
    if (got <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
  return true;
}

void through_ring(benchmark::State& state, Step in, Step out) {
  const auto size = static_cast<std::size_t>(state.range(0));
  const Pipe first;
  const Pipe second;
  RingMemory ring;
  std::vector<std::byte> sent(size);
  std::vector<std::byte> received(size);
  std::size_t at = 0;
  std::uint64_t number = 0;
  for (auto _ : state) {
    std::memcpy(sent.data(), &++number, sizeof number);
    if (!write_all(first.write_fd(), sent) || !move(in, first, ring, at, size) ||
        !move(out, second, ring, at, size) || !read_all(second.read_fd(), received) ||
        std::memcmp(sent.data(), received.data(), sizeof number) != 0) {
      return state.SkipWithError("bytes were lost, changed, or not moved");
    }
    at = (at + size) % kRingBytes;
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

void BM_PipeRingPipe_ReadWrite(benchmark::State& state) {
  through_ring(state, read_in, write_out);
}
void BM_PipeRingPipe_SpliceIn(benchmark::State& state) {
  through_ring(state, splice_in, write_out);
}
void BM_PipeRingPipe_VmspliceOut(benchmark::State& state) {
  through_ring(state, read_in, vmsplice_out);
}
void BM_PipeRingPipe_SpliceOut(benchmark::State& state) {
  through_ring(state, read_in, splice_out);
}

void BM_PipePipe_NoRing(benchmark::State& state) {
  const auto size = static_cast<std::size_t>(state.range(0));
  const Pipe first;
  const Pipe second;
  std::vector<std::byte> bytes(size);
  for (auto _ : state) {
    if (!write_all(first.write_fd(), bytes)) return state.SkipWithError("a write failed");
    for (std::size_t left = size; left != 0;) {
      const ssize_t moved =
          splice(first.read_fd(), nullptr, second.write_fd(), nullptr, left, SPLICE_F_MOVE);
      if (moved <= 0) return state.SkipWithError("a splice failed");
      left -= static_cast<std::size_t>(moved);
    }
    if (!read_all(second.read_fd(), bytes)) return state.SkipWithError("a read failed");
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

// What the ring's writer stores after the bytes have gone into the pipe is what the pipe's reader
// gets.
void BM_VmspliceOut_ShowsOverwriting(benchmark::State& state) {
  const auto size = static_cast<std::size_t>(state.range(0));
  const Pipe pipe;
  RingMemory ring;
  std::vector<std::byte> received(size);
  std::int64_t changed = 0;
  for (auto _ : state) {
    std::fill_n(ring.bytes.begin(), size, std::byte{1});
    if (!move(vmsplice_out, pipe, ring, 0, size)) return state.SkipWithError("vmsplice failed");
    std::fill_n(ring.bytes.begin(), size, std::byte{2});  // the next lap
    if (!read_all(pipe.read_fd(), received)) return state.SkipWithError("a read failed");
    changed += std::count(received.begin(), received.end(), std::byte{2});
  }
  state.counters["changed_bytes"] =
      benchmark::Counter(static_cast<double>(changed) / static_cast<double>(state.iterations()));
}

BENCHMARK(BM_PipeRingPipe_ReadWrite)->Arg(4096)->Arg(65536)->Arg(1 << 20);
BENCHMARK(BM_PipeRingPipe_SpliceIn)->Arg(4096)->Arg(65536)->Arg(1 << 20);
BENCHMARK(BM_PipeRingPipe_VmspliceOut)->Arg(4096)->Arg(65536)->Arg(1 << 20);
BENCHMARK(BM_PipeRingPipe_SpliceOut)->Arg(4096)->Arg(65536)->Arg(1 << 20);
BENCHMARK(BM_PipePipe_NoRing)->Arg(4096)->Arg(65536)->Arg(1 << 20);
BENCHMARK(BM_VmspliceOut_ShowsOverwriting)->Arg(4096);

}  // namespace
}  // namespace slipring

BENCHMARK_MAIN();
