#include <span>

#include "pipelines/link/stream_link.h"
#include "pipelines/link/value_link.h"
#include "tools/bench/contenders.h"
#include "tools/bench/link_place.h"
#include "tools/bench/pieces.h"
#include "tools/bench/record_loop.h"
#include "tools/bench/spsc_cells.h"

namespace slipring::bench {
namespace {

// A value link as unrelated programs use it: doorbells, own pages writable and the other side's
// not; in a named segment with certificates, or guarded, in sealed memory.
template <typename M, std::size_t kSlots, bool kGuarded>
class LinkChannel {
 public:
  static constexpr bool kPopBlocks = false;

  explicit LinkChannel(Arena&) : place_(value_link_shape<M>(kSlots), kGuarded) {}

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
    return {ValueWriter<M>::attach(place_.directory(), LinkPlace::kName).value()};
  }
  [[nodiscard]] Consumer consumer() const {
    return {ValueReader<M>::attach(place_.directory(), LinkPlace::kName).value()};
  }

 private:
  LinkPlace place_;
};

// A named stream link of a mebibyte, as `slipring put` makes it, its bytes copied in and out.
class StreamCarrier {
 public:
  StreamCarrier(Arena&, std::size_t size_bytes)
      : place_(stream_link_shape(kRecordRingBytes), false), size_bytes_(size_bytes) {}

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
    return {WriterIo{StreamWriter::attach(place_.directory(), LinkPlace::kName).value()},
            size_bytes_};
  }
  [[nodiscard]] PieceConsumer<ReaderIo> consumer() const {
    return {ReaderIo{StreamReader::attach(place_.directory(), LinkPlace::kName).value()},
            size_bytes_, false};
  }

 private:
  LinkPlace place_;
  std::size_t size_bytes_;
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
