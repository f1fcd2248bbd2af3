// Small changes to the code under test, made while it runs: each must be noticed by some scene.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/model/site.h"

namespace slipring::model {

enum class Access : std::uint8_t { kLoad, kStore, kExchange, kCompareExchange, kFence };

// A place in the code, and what it does there.
struct SiteUse {
  Site site;
  Access access;
  std::memory_order order;   // of a compare-and-swap: when it is done
  std::memory_order failed;  // of a compare-and-swap alone
  bool operator==(const SiteUse& other) const {
    return site == other.site && access == other.access && order == other.order &&
           failed == other.failed;
  }
};
using SiteList = std::vector<SiteUse>;

enum class Change : std::uint8_t {
  kOrder,        // the order is `order`
  kFailedOrder,  // of a compare-and-swap that fails
  kSplit,        // a read-modify-write becomes a load and a store
  kLeftOut,      // a store or a fence does nothing
};

struct Mutation {
  SiteUse use;
  Change change;
  std::memory_order order = std::memory_order_relaxed;
};

// Every way to make this use weaker.
[[nodiscard]] std::vector<Mutation> mutations_of(const SiteUse& use);
[[nodiscard]] const char* name_of(std::memory_order order);
// "spsc_ring.h try_push store release -> relaxed": what stays when lines move.
[[nodiscard]] std::string name_of(const Mutation& mutation);

}  // namespace slipring::model
