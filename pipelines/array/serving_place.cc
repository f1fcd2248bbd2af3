#include "pipelines/array/serving_place.h"

#include <algorithm>
#include <utility>

namespace slipring::array {
namespace {

// Empty where it cannot be found out: then nobody is moved.
std::vector<std::uint32_t> cpus_now() {
  Result<std::vector<std::uint32_t>> cpus = allowed_cpus();
  return cpus ? std::move(cpus).value() : std::vector<std::uint32_t>();
}

}  // namespace

void ServingChoice::heed(const BlockRequest& request) noexcept {
  if (request.under_way == 0) return;
  is_said_ = true;
  const std::uint32_t seen = std::min<std::uint32_t>(request.under_way, 1024) * kUnit;
  under_way_ = under_way_ - under_way_ / 8 + seen / 8;
  is_crowded_ = under_way_ >= (is_crowded_ ? kFew : kCrowd);
  if (cpus_.size() != kFollowingCpuCount) return;
  if (!is_crowded_) {
    place_.reset();
    return;
  }
  for (std::size_t i = 0; i < cpus_.size(); ++i) {
    if (request.processor == cpus_[i] + 1) place_ = i;
  }
}

ServingPlace::ServingPlace() : ServingPlace(cpus_now()) {}

ServingPlace::ServingPlace(std::vector<std::uint32_t> cpus) : choice_(cpus) {
  std::vector<std::vector<std::uint32_t>> places;
  for (const std::uint32_t cpu : cpus) places.push_back({cpu});
  places.push_back(cpus);
  for (const std::vector<std::uint32_t>& place : places) {
    Result<CpuSet> set = CpuSet::of(place);
    sets_.push_back(set ? *set : CpuSet());
  }
}

void ServingPlace::heed(const BlockRequest& request) noexcept {
  choice_.heed(request);
  if (choice_.place() == place_) return;
  place_ = choice_.place();
  const CpuSet& set = sets_[place_.value_or(sets_.size() - 1)];
  if (!set.is_empty()) static_cast<void>(set.pin_this_thread());
}

}  // namespace slipring::array
