#include <vector>

#include "tests/fuzz/targets.h"

namespace slipring::fuzz {

std::span<const TargetInfo> all_targets() {
  static const std::vector<TargetInfo> kAll = [] {
    std::vector<TargetInfo> all;
    for (const std::span<const TargetInfo> some :
         {value_targets(), slot_targets(), record_targets(), stream_targets(), lane_targets(),
          broadcast_targets(), mpmc_targets(), pool_targets(), header_targets(), guard_targets(),
          text_targets(), transport_targets(), framing_targets(), wire_targets(), http_targets(),
          nbd_targets(), message_header_targets()}) {
      all.insert(all.end(), some.begin(), some.end());
    }
    return all;
  }();
  return kAll;
}

}  // namespace slipring::fuzz
