#include "pipelines/link/value_link.h"
#include "tools/bench/contenders.h"
#include "tools/bench/link_place.h"
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

template <typename M, std::size_t kSlots>
using NamedChannel = LinkChannel<M, kSlots, false>;
template <typename M, std::size_t kSlots>
using GuardedChannel = LinkChannel<M, kSlots, true>;

const Contender kValueLink{"slipring.link", "slipring value link, named segment", Family::kOurs,
                           "doorbells and certificates included"};
const Contender kGuardedLink{"slipring.guarded", "slipring value link, guarded", Family::kOurs,
                             "the same ring and doorbells in sealed memory, ends authenticated"};

}  // namespace

void add_slipring_links(Registry& registry) {
  add_processes<NamedChannel>(registry, kValueLink);
  add_processes<GuardedChannel>(registry, kGuardedLink);
}

}  // namespace slipring::bench
