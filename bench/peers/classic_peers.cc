#include "bench/peers/both_ends.h"
#include "bench/peers/cached_index_queue.h"
#include "bench/peers/peers.h"
#include "bench/peers/vyukov_queue.h"
#include "tools/bench/alone_loop.h"
#include "tools/bench/carriers.h"
#include "tools/bench/many_loop.h"
#include "tools/bench/record_loop.h"
#include "tools/bench/spsc_cells.h"
#include "tools/bench/stopped_loop.h"

namespace slipring::bench {
namespace {

template <typename M, std::size_t kSlots>
class CachedIndexPeer : public peers::CachedIndexQueue<M, kSlots> {
 public:
  static constexpr bool kPopBlocks = false;
  explicit CachedIndexPeer(Arena&) {}
};
template <typename M, std::size_t kSlots>
class VyukovPeer : public peers::VyukovQueue<M> {
 public:
  static constexpr bool kPopBlocks = false;
  explicit VyukovPeer(Arena&) : peers::VyukovQueue<M>(kSlots) {}
};

template <typename M, std::size_t kSlots>
using CachedIndex = BothEnds<CachedIndexPeer<M, kSlots>>;
template <typename M, std::size_t kSlots>
using Vyukov = BothEnds<VyukovPeer<M, kSlots>>;
template <typename M>
using ManyVyukov = BothEnds<VyukovPeer<M, 1024>>;

constexpr Contender kCachedIndex{"cached-index", "cached-index ring", Family::kPeer,
                                 "written for this page, as in folly and rigtorp"};
constexpr Contender kVyukov{"vyukov", "Vyukov's bounded MPMC queue", Family::kPeer,
                            "written for this page; a stopped participant stalls it"};

// Slots as large as the record, a megabyte of them.
template <std::size_t kBytes>
void add_sized(Registry& registry, const char* workload) {
  using Large = Message<kBytes>;
  using Queue = CachedIndex<Large, kRecordRingBytes / kBytes>;
  registry.add(workload, kCachedIndex,
               run_records<AsCarrier<Queue, Large>, kBytes, Sides::kThreads>);
}

}  // namespace

void add_classics(Registry& registry) {
  add_streams<CachedIndex>(registry, kCachedIndex);
  add_batches<CachedIndex>(registry, kCachedIndex);
  add_trips<CachedIndex>(registry, kCachedIndex);
  add_processes<CachedIndex>(registry, kCachedIndex);
  add_alone<CachedIndex>(registry, kCachedIndex);
  add_sized<16>(registry, "record16");
  add_sized<64>(registry, "record64");
  add_sized<256>(registry, "record256");
  add_sized<1024>(registry, "record1k");
  add_sized<4096>(registry, "record4k");
  add_sized<65536>(registry, "record64k");
  add_streams<Vyukov>(registry, kVyukov);
  add_trips<Vyukov>(registry, kVyukov);
  add_alone<Vyukov>(registry, kVyukov);
  add_many<ManyVyukov>(registry, kVyukov);
  add_many_large<ManyVyukov>(registry, kVyukov);
  add_stopped<ManyVyukov>(registry, kVyukov);
}

}  // namespace slipring::bench
