#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>

#include "pipelines/link/guarded_broker.h"
#include "pipelines/link/stream_link.h"
#include "pipelines/link/value_link.h"
#include "tools/bench/contenders.h"
#include "tools/bench/pieces.h"
#include "tools/bench/record_loop.h"
#include "tools/bench/spsc_cells.h"

namespace slipring::bench {
namespace {

// A process of its own that turns a guarded link's broker until it is killed.
pid_t start_broker(const SegmentDirectory& folder, const char* name, const LinkShape& shape) {
  int ends[2] = {-1, -1};
  check(pipe(ends) == 0, "a pipe");
  const pid_t pid = fork();
  check(pid >= 0, "a process for the broker");
  if (pid != 0) {
    close(ends[1]);
    char word = 0;
    check(read(ends[0], &word, 1) == 1, "a guarded link in /dev/shm");
    close(ends[0]);
    return pid;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  close(ends[0]);
  Result<GuardedBroker> broker = GuardedBroker::create(folder, name, shape);
  if (!broker || write(ends[1], ".", 1) != 1) _exit(1);
  close(ends[1]);
  for (;;) {
    pollfd watched{broker->poll_fd(), POLLIN, 0};
    poll(&watched, 1, -1);
    broker->turn();
  }
}

// A value link as unrelated programs use it: doorbells, own pages writable and the other side's
// not; in a named segment with certificates, or guarded, in sealed memory.
template <typename M, std::size_t kSlots, bool kGuarded>
class LinkChannel {
 public:
  static constexpr bool kPopBlocks = false;

  explicit LinkChannel(Arena&) {
    char path[] = "/dev/shm/slipring-bench-XXXXXX";
    check(mkdtemp(path) != nullptr, "a directory in /dev/shm");
    path_ = path;
    maker_ = getpid();
    const SegmentDirectory folder = directory();
    if constexpr (kGuarded) {
      broker_ = start_broker(folder, kName, value_link_shape<M>(kSlots));
    } else {
      check(create_link(folder, kName, value_link_shape<M>(kSlots)).ok(), "a link in /dev/shm");
    }
  }
  LinkChannel(const LinkChannel&) = delete;
  LinkChannel& operator=(const LinkChannel&) = delete;
  ~LinkChannel() {
    std::error_code ignored;  // what stays behind is a few kilobytes of tmpfs
    if (getpid() != maker_) return;
    if (broker_ != 0) {
      kill(broker_, SIGKILL);
      waitpid(broker_, nullptr, 0);
    }
    std::filesystem::remove_all(path_, ignored);
  }

  struct Producer {
    ValueWriter<M> end;
    [[nodiscard]] bool try_push(const M& message) noexcept {
      return end.try_push(message) == Transfer::kDone;
    }
  };
  struct Consumer {
    ValueReader<M> end;
    [[nodiscard]] bool try_pop(M& message) noexcept {
      return end.try_pop(message) == Transfer::kDone;
    }
  };
  [[nodiscard]] Producer producer() const {
    const SegmentDirectory folder = directory();
    return {ValueWriter<M>::attach(folder, kName).value()};
  }
  [[nodiscard]] Consumer consumer() const {
    const SegmentDirectory folder = directory();
    return {ValueReader<M>::attach(folder, kName).value()};
  }

 private:
  static constexpr const char* kName = "bench.values";

  [[nodiscard]] SegmentDirectory directory() const {
    return SegmentDirectory::open_at(path_).value();
  }

  std::string path_;
  pid_t maker_ = 0;
  pid_t broker_ = 0;
};

// A named stream link of a mebibyte, as `slipring put` makes it, its bytes copied in and out.
class StreamCarrier {
 public:
  StreamCarrier(Arena&, std::size_t size_bytes) : size_bytes_(size_bytes), maker_(getpid()) {
    char path[] = "/dev/shm/slipring-bench-XXXXXX";
    check(mkdtemp(path) != nullptr, "a directory in /dev/shm");
    path_ = path;
    check(create_link(directory(), kName, stream_link_shape(kRecordRingBytes)).ok(),
          "a link in /dev/shm");
  }
  StreamCarrier(const StreamCarrier&) = delete;
  StreamCarrier& operator=(const StreamCarrier&) = delete;
  ~StreamCarrier() {
    std::error_code ignored;  // what stays behind is a mebibyte of tmpfs
    if (getpid() == maker_) std::filesystem::remove_all(path_, ignored);
  }

  struct WriterIo {
    StreamWriter end;
    [[nodiscard]] std::size_t write_some(std::span<const std::byte> bytes) {
      std::size_t count = 0;
      return end.try_write(bytes, count) == Transfer::kDone ? count : 0;
    }
  };
  struct ReaderIo {
    StreamReader end;
    [[nodiscard]] std::size_t read_some(std::span<std::byte> bytes) {
      std::size_t count = 0;
      return end.try_read(bytes, count) == Transfer::kDone ? count : 0;
    }
  };
  [[nodiscard]] PieceProducer<WriterIo> producer() const {
    return {WriterIo{StreamWriter::attach(directory(), kName).value()}, size_bytes_};
  }
  [[nodiscard]] PieceConsumer<ReaderIo> consumer() const {
    return {ReaderIo{StreamReader::attach(directory(), kName).value()}, size_bytes_, false};
  }

 private:
  static constexpr const char* kName = "bench.stream";

  [[nodiscard]] SegmentDirectory directory() const {
    return SegmentDirectory::open_at(path_).value();
  }

  std::size_t size_bytes_;
  std::string path_;
  pid_t maker_;
};

template <typename M, std::size_t kSlots>
using NamedChannel = LinkChannel<M, kSlots, false>;
template <typename M, std::size_t kSlots>
using GuardedChannel = LinkChannel<M, kSlots, true>;

const Contender kValueLink{"slipring.link", "slipring value link, named segment", Family::kOurs,
                           "doorbells and certificates included"};
const Contender kGuardedLink{"slipring.guarded", "slipring value link, guarded", Family::kOurs,
                             "the same ring and doorbells in sealed memory, ends authenticated"};
const Contender kStreamLink{"slipring.stream", "slipring stream link, named segment", Family::kOurs,
                            "1 MiB, doorbells and certificates included"};

}  // namespace

void add_slipring_links(Registry& registry) {
  registry.add("stream4k", kStreamLink, run_records<StreamCarrier, 4096, Sides::kProcesses>);
  registry.add("stream64k", kStreamLink, run_records<StreamCarrier, 65536, Sides::kProcesses>);
  registry.add("stream1m", kStreamLink, run_records<StreamCarrier, 1U << 20, Sides::kProcesses>);
  add_processes<NamedChannel>(registry, kValueLink);
  add_processes<GuardedChannel>(registry, kGuardedLink);
}

}  // namespace slipring::bench
