#include "tests/model/mutation.h"

#include <algorithm>

namespace slipring::model {
namespace {

// One step weaker; each order stands before those that it may become.
std::vector<std::memory_order> weaker(Access access, std::memory_order order) {
  const bool reads = access != Access::kStore;
  const bool writes = access != Access::kLoad;
  switch (order) {
    case std::memory_order_seq_cst:
      if (reads && writes) return {std::memory_order_acq_rel};
      return {reads ? std::memory_order_acquire : std::memory_order_release};
    case std::memory_order_acq_rel:
      return {std::memory_order_acquire, std::memory_order_release};
    case std::memory_order_acquire:
    case std::memory_order_release:
      // A fence without either is none, and that it may be left out is asked anyway.
      if (access == Access::kFence) return {};
      return {std::memory_order_relaxed};
    default:
      return {};
  }
}

const char* name_of(Access access) {
  switch (access) {
    case Access::kLoad:
      return "load";
    case Access::kStore:
      return "store";
    case Access::kExchange:
      return "exchange";
    case Access::kCompareExchange:
      return "compare_exchange";
    case Access::kFence:
      return "fence";
  }
  return "?";
}

}  // namespace

const char* name_of(std::memory_order order) {
  switch (order) {
    case std::memory_order_relaxed:
      return "relaxed";
    case std::memory_order_acquire:
      return "acquire";
    case std::memory_order_release:
      return "release";
    case std::memory_order_acq_rel:
      return "acq_rel";
    case std::memory_order_seq_cst:
      return "seq_cst";
    default:
      return "?";
  }
}

std::vector<Mutation> mutations_of(const SiteUse& use) {
  std::vector<Mutation> all;
  for (const std::memory_order order : weaker(use.access, use.order)) {
    all.push_back({use, Change::kOrder, order});
  }
  if (use.access == Access::kCompareExchange) {
    for (const std::memory_order order : weaker(Access::kLoad, use.failed)) {
      all.push_back({use, Change::kFailedOrder, order});
    }
  }
  if (use.access == Access::kCompareExchange || use.access == Access::kExchange) {
    all.push_back({use, Change::kSplit});
  }
  if (use.access == Access::kStore || use.access == Access::kFence) {
    all.push_back({use, Change::kLeftOut});
  }
  return all;
}

std::string name_of(const Mutation& mutation) {
  const SiteUse& use = mutation.use;
  const std::string path = use.site.file;
  std::string function = use.site.function;
  function.resize(std::min(function.size(), function.find('<')));  // whatever it is a template on
  const std::string text =
      path.substr(path.find_last_of('/') + 1) + ' ' + function + ' ' + name_of(use.access) + ' ';
  switch (mutation.change) {
    case Change::kOrder:
      return text + name_of(use.order) + " -> " + name_of(mutation.order);
    case Change::kFailedOrder:
      return text + "failed " + name_of(use.failed) + " -> " + name_of(mutation.order);
    case Change::kSplit:
      return text + name_of(use.order) + " -> load, then store";
    case Change::kLeftOut:
      return text + name_of(use.order) + " left out";
  }
  return text;
}

}  // namespace slipring::model
