// 256 MiB of requests are queued, and no longer wanted: how long from the command that says so to
// the first fresh request that has been processed.
//
// The consumer checks every word of every request, as it would work on it.  A round: the queue is
// filled, the consumer begins, and after some requests the clock starts, the command is given (by
// those that have one), and a fresh request follows what is queued.

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "core/cpu/relax.h"
#include "pipelines/link/commander.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "platform/memory/segment_directory.h"
#include "platform/wait/clock.h"
#include "tools/bench/arena.h"
#include "tools/bench/contenders.h"
#include "tools/bench/link_place.h"
#include "tools/bench/message.h"
#include "tools/bench/shared_word.h"
#include "tools/bench/sides.h"
#include "tools/bench/ticks.h"

namespace slipring::bench {
namespace {

constexpr std::size_t kRequestBytes = 4096;
constexpr std::uint64_t kQueueBytes = std::uint64_t{256} << 20;
constexpr int kPipeBytes = 1 << 20;
constexpr std::uint64_t kRequestsBefore = 64;  // processed before the command
constexpr std::uint32_t kLeastRounds = 2;
constexpr std::uint64_t kGiveUpNs = 20'000'000'000;

// What the two sides tell each other; lies in the arena.
struct AbortBoard {
  SharedWord may_begin;  // the round that the consumer may begin, from 1 on
  SharedWord processed;  // requests, in all
  SharedWord torn;       // of these
  SharedWord fresh_ns;   // when the round's fresh request had been processed; 0 before
  SharedWord is_over;
};

class Progress {
 public:
  explicit Progress(AbortBoard& board) noexcept : board_(&board) {}
  // Processes a request; true when it was the fresh one.
  bool process(std::span<const std::byte> request) noexcept {
    const std::uint64_t first = first_of(request);
    if (!bytes_are(request, first)) board_->torn.add(1);
    board_->processed.publish(++count_);
    if (first != kEndMark) return false;
    board_->fresh_ns.publish(monotonic_ns());
    return true;
  }

 private:
  AbortBoard* board_;
  std::uint64_t count_ = 0;
};

// Until the consumer may begin that round; false when there is none.
bool await(const AbortBoard& board, std::uint64_t round) {
  while (board.may_begin.look() < round) {
    if (board.is_over.look() != 0) return false;
    relax();
  }
  return true;
}

enum class Way : std::uint8_t {
  kAborts,        // commands, and the reader drops
  kPlaysOut,      // everything is read
  kDropsUpstream  // what the sender has not handed over yet is dropped by itself
};

// A link and both of its ends.
class LinkQueue {
 public:
  [[nodiscard]] bool is_there() const { return place_.is_there(); }
  void open_producer() {
    directory_.emplace(place_.directory());
    writer_.emplace(LinkWriter::attach(*directory_, LinkPlace::kName, MemoryLock::kOff).value());
    commander_.emplace(LinkCommander::attach(*directory_, LinkPlace::kName).value());
  }
  void close_producer() {}
  // Starts the clock.
  [[nodiscard]] std::uint64_t start_ns() { return monotonic_ns(); }

 protected:
  explicit LinkQueue(const LinkShape& shape) : place_(shape, false) {}

  // Round after round; `take` finishes a message, and answers whether it was the fresh one.
  template <typename Take>
  void consume_by(AbortBoard& board, Take take) {
    LinkReader reader =
        LinkReader::attach(place_.directory(), LinkPlace::kName, MemoryLock::kOff).value();
    Progress progress(board);
    for (std::uint64_t round = 1; await(board, round); ++round) {
      for (bool is_fresh = false; !is_fresh && board.is_over.look() == 0;) {
        slipring::Message message;
        if (reader.try_peek(message) != Transfer::kDone) {
          relax();
          continue;
        }
        is_fresh = take(reader, message, progress);
      }
    }
  }
  [[nodiscard]] LinkWriter& writer() { return *writer_; }
  void abort() { static_cast<void>(commander_->abort()); }

 private:
  LinkPlace place_;
  std::optional<SegmentDirectory> directory_;
  std::optional<LinkWriter> writer_;
  std::optional<LinkCommander> commander_;
};

// A record link that holds all of it.
class RingQueue : public LinkQueue {
 public:
  explicit RingQueue(Way way) : LinkQueue(shape()), way_(way) {}

  void consume(AbortBoard& board) {
    consume_by(board, [](LinkReader& reader, const slipring::Message& request, Progress& progress) {
      const bool is_fresh = progress.process(request.bytes);
      reader.release(request);
      return is_fresh;
    });
  }
  // Queues all that there is room for, before the consumer begins.
  void fill(std::uint64_t& sequence, AbortBoard&) {
    while (push(first_word(sequence))) ++sequence;
  }
  void command() {
    if (way_ == Way::kAborts) abort();
  }
  bool push(std::uint64_t first) {
    std::span<std::byte> place;
    if (writer().try_reserve(kRequestBytes, place) != Transfer::kDone) return false;
    set_bytes(place, first);
    writer().commit(kRequestBytes);
    return true;
  }

 private:
  [[nodiscard]] static LinkShape shape() {
    LinkShape shape;
    shape.kind = SegmentKind::kRecordLink;
    shape.capacity_bytes = kQueueBytes;
    return shape;
  }

  Way way_;
};

// 1,024 buffers of 256 KiB, the most that a pool has, and their handles in a ring.  A request is a
// buffer's first 4 KiB.
class PoolQueue : public LinkQueue {
 public:
  explicit PoolQueue(Way) : LinkQueue(shape()) {}

  void consume(AbortBoard& board) {
    consume_by(board, [](LinkReader& reader, const slipring::Message& message, Progress& progress) {
      BufferHandle buffer{};
      std::memcpy(&buffer, message.bytes.data(), sizeof buffer);
      const bool is_fresh = progress.process(reader.pool()->bytes(buffer).first(kRequestBytes));
      reader.give_back(buffer);
      reader.release(message);
      return is_fresh;
    });
  }
  void fill(std::uint64_t& sequence, AbortBoard&) {
    while (push(first_word(sequence))) ++sequence;
  }
  void command() { abort(); }
  bool push(std::uint64_t first) {
    std::span<std::byte> place;
    std::uint32_t slot = 0;
    if (writer().try_reserve(sizeof(BufferHandle), place) != Transfer::kDone) return false;
    PoolOwner& pool = *writer().pool();
    if (pool.try_acquire(slot) != Transfer::kDone) return false;
    set_bytes(pool.bytes(slot).first(kRequestBytes), first);
    const BufferHandle lent = pool.lend(slot);
    std::memcpy(place.data(), &lent, sizeof lent);
    writer().commit(sizeof lent);
    pool.drop(slot);
    return true;
  }

 private:
  [[nodiscard]] static LinkShape shape() {
    LinkShape shape;
    shape.kind = SegmentKind::kSlotLink;
    shape.slot_bytes = sizeof(BufferHandle);
    shape.slot_count = 2 * kMaxPoolBuffers;
    shape.pool_buffer_count = kMaxPoolBuffers;
    shape.pool_buffer_bytes = kQueueBytes / kMaxPoolBuffers;
    return shape;
  }
};

// A pipe of 1 MiB, and what is queued behind it in the sender's own memory.
class PipeQueue {
 public:
  explicit PipeQueue(Way way) : way_(way) {
    is_there_ = pipe2(ends_.data(), O_CLOEXEC) == 0 &&
                fcntl(ends_[1], F_SETPIPE_SZ, kPipeBytes) >= kPipeBytes;
  }
  PipeQueue(const PipeQueue&) = delete;
  PipeQueue& operator=(const PipeQueue&) = delete;
  ~PipeQueue() {
    for (const int end : ends_) {
      if (end >= 0) close(end);
    }
  }
  [[nodiscard]] bool is_there() const { return is_there_; }

  void consume(AbortBoard& board) {
    close(ends_[1]);
    ends_[1] = -1;
    Progress progress(board);
    std::array<std::byte, kRequestBytes> request;
    for (std::uint64_t round = 1;;) {
      if (way_ == Way::kDropsUpstream && !await(board, round)) return;
      std::size_t got = 0;
      while (got < request.size()) {
        const ssize_t count = read(ends_[0], request.data() + got, request.size() - got);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return;
        got += static_cast<std::size_t>(count);
      }
      if (progress.process(request)) ++round;
    }
  }
  void open_producer() {
    close(ends_[0]);
    ends_[0] = -1;
    upstream_.resize(kRequestBytes);
  }
  void close_producer() {
    close(ends_[1]);
    ends_[1] = -1;
  }
  // Where the rest is dropped, the pipe is full when its consumer begins.  Otherwise that one reads
  // as soon as something is there: the clock starts on the way.
  void fill(std::uint64_t& sequence, AbortBoard& board) {
    if (way_ == Way::kDropsUpstream) {
      for (std::size_t i = 0; i < kPipeBytes / kRequestBytes; ++i) {
        static_cast<void>(push(first_word(sequence++)));
      }
      return;
    }
    const std::uint64_t end = sequence + kQueueBytes / kRequestBytes;
    const std::uint64_t begin = board.processed.look();
    while (sequence != end) {
      if (clock_ns_ == 0 && board.processed.look() - begin >= kRequestsBefore) {
        clock_ns_ = monotonic_ns();
      }
      static_cast<void>(push(first_word(sequence++)));
    }
  }
  void command() {}
  bool push(std::uint64_t first) {
    set_bytes(upstream_, first);
    std::size_t put = 0;
    while (put < upstream_.size()) {
      const ssize_t count = write(ends_[1], upstream_.data() + put, upstream_.size() - put);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return true;
      put += static_cast<std::size_t>(count);
    }
    return true;
  }
  [[nodiscard]] std::uint64_t start_ns() {
    const std::uint64_t started_ns = std::exchange(clock_ns_, 0);
    return started_ns != 0 ? started_ns : monotonic_ns();
  }

 private:
  Way way_;
  std::array<int, 2> ends_{-1, -1};
  bool is_there_ = false;
  std::vector<std::byte> upstream_;
  std::uint64_t clock_ns_ = 0;
};

// One round; its time, or 0 when nothing comes any more.
template <typename Queue>
std::uint64_t run_round(Queue& queue, AbortBoard& board, std::uint64_t& sequence,
                        std::uint64_t round) {
  const std::uint64_t give_up_ns = monotonic_ns() + kGiveUpNs;
  board.fresh_ns.publish(0);
  const std::uint64_t begin = board.processed.look();
  queue.fill(sequence, board);
  board.may_begin.publish(round);
  while (board.processed.look() - begin < kRequestsBefore) {
    if (monotonic_ns() > give_up_ns) return 0;
    relax();
  }
  const std::uint64_t start_ns = queue.start_ns();
  queue.command();
  while (!queue.push(kEndMark)) {
    if (monotonic_ns() > give_up_ns) return 0;
    relax();
  }
  while (board.fresh_ns.look() == 0) {
    if (monotonic_ns() > give_up_ns) return 0;
    relax();
  }
  return board.fresh_ns.look() - start_ns;
}

template <typename Queue, Way kWay>
CellResult run_abort(const CellSettings& settings) {
  CellResult result;
  Arena arena(1 << 16);
  auto& board = arena.make<AbortBoard>();
  Queue queue(kWay);
  if (!queue.is_there()) {
    result.skipped = "256 MiB of shared memory, or a pipe of 1 MiB, were not to be had";
    return result;
  }
  std::vector<std::uint64_t> rounds_ns;
  std::uint64_t sequence = 0;
  run_sides(
      Sides::kProcesses, settings,
      [&] {
        queue.open_producer();
        const std::uint64_t until_ns = monotonic_ns() + settings.duration_ns;
        for (std::uint64_t round = 1; round <= kLeastRounds || monotonic_ns() < until_ns; ++round) {
          const std::uint64_t took_ns = run_round(queue, board, sequence, round);
          if (took_ns == 0) {
            result.stalled = true;
            break;
          }
          rounds_ns.push_back(took_ns);
        }
        board.is_over.publish(1);
        queue.close_producer();
      },
      [&] { queue.consume(board); });
  result.message_count = board.processed.look();
  result.faults.torn = board.torn.look();
  for (const std::uint64_t took_ns : rounds_ns) result.latency.add(ticks_of_ns(took_ns));
  if (!rounds_ns.empty()) {
    std::sort(rounds_ns.begin(), rounds_ns.end());
    result.value = static_cast<double>(rounds_ns[rounds_ns.size() / 2]);
  }
  return result;
}

const Contender kAbort{"slipring.abort", "slipring abort", Family::kOurs,
                       "the command's system calls included"};
const Contender kAbortPool{"slipring.abort-pool", "slipring abort, 1,024 buffers by handle",
                           Family::kOurs, "each queued buffer is given back"};
const Contender kPlayOut{"slipring.play-out", "the same ring, played out", Family::kRaw, ""};
const Contender kPipe{"pipe", "pipe of 1 MiB, all of it read", Family::kKernel, ""};
const Contender kPipeDropped{"pipe.dropped", "pipe of 1 MiB, the sender drops the rest",
                             Family::kKernel, "what is in the pipe has to be read"};

}  // namespace

void add_abort(Registry& registry) {
  registry.add("abort256m", kAbort, run_abort<RingQueue, Way::kAborts>);
  registry.add("abort256m", kAbortPool, run_abort<PoolQueue, Way::kAborts>);
  registry.add("abort256m", kPlayOut, run_abort<RingQueue, Way::kPlaysOut>);
  registry.add("abort256m", kPipe, run_abort<PipeQueue, Way::kPlaysOut>);
  registry.add("abort256m", kPipeDropped, run_abort<PipeQueue, Way::kDropsUpstream>);
}

}  // namespace slipring::bench
