#include "pipelines/link/guarded_places.h"

#include <algorithm>
#include <utility>

namespace slipring {

const GuardedPlaces::Place* GuardedPlaces::find(Id id) const noexcept {
  const auto found = std::find_if(places_.begin(), places_.end(), [&](const Place& place) {
    return place.stage != Stage::kFree && place.id == id;
  });
  return found == places_.end() ? nullptr : &*found;
}

bool GuardedPlaces::join(Id id, const GuardOwner& owner, Descriptor memory) noexcept {
  const auto place = std::find_if(places_.begin(), places_.end(),
                                  [](const Place& one) { return one.stage == Stage::kFree; });
  if (place == places_.end()) {
    had_too_many_ = true;
    return false;
  }
  const std::uint32_t generation = place->owner.generation + 1;
  place->stage = Stage::kUntold;
  place->id = id;
  place->owner = owner;
  place->owner.generation = generation == 0 ? 1 : generation;
  place->memory = std::move(memory);
  return true;
}

// The writer goes on looking at its page, which does no harm, until the place is another's.
void GuardedPlaces::leave(Id id) noexcept {
  for (Place& place : places_) {
    if (place.stage == Stage::kFree || place.id != id) continue;
    place.stage = Stage::kFree;
    place.memory.reset();
  }
}

void GuardedPlaces::forget_told() noexcept {
  for (Place& place : places_) {
    if (place.stage != Stage::kFree) place.stage = Stage::kUntold;
  }
}

std::optional<GuardedPlaces::News> GuardedPlaces::next_news() const noexcept {
  for (std::uint32_t i = 0; i < places_.size(); ++i) {
    const Place& place = places_[i];
    if (place.stage != Stage::kUntold) continue;
    return News{{kSubscriberRole + i, 0, place.owner}, place.memory.get()};
  }
  return std::nullopt;
}

void GuardedPlaces::told(const GuardNews& news) noexcept {
  places_[news.role - kSubscriberRole].stage = Stage::kTold;
}

void GuardedPlaces::seen(const GuardGeneration& got) noexcept {
  const std::uint32_t at = got.role - kSubscriberRole;
  if (at >= places_.size()) return;
  Place& place = places_[at];
  // Not what was said of an earlier holder.
  if (place.stage == Stage::kTold && place.owner.generation == got.generation) {
    place.stage = Stage::kSeen;
  }
}

bool GuardedPlaces::must_ring() const noexcept {
  return had_too_many_ || std::any_of(places_.begin(), places_.end(), [](const Place& place) {
           return place.stage == Stage::kUntold || place.stage == Stage::kTold;
         });
}

}  // namespace slipring
