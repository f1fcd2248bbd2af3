// Where the subscribers of a guarded broadcast link say that they sleep, as its broker keeps it.
//
// Protocol.  GUARD.md.  A subscriber hands in a page of its own, which only it can write, and has a
// place for as long as its connection lasts; the writer is given the page, and looks at it instead
// of ringing with every message.  Until the writer has acknowledged every page, and from the moment
// on when there were more subscribers than places, it has to ring always: must_ring() says so.  A
// place's memory is replaced with its holder, never reused.
//
// One thread, that of the broker.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "pipelines/link/guard_protocol.h"
#include "platform/process/descriptor.h"

namespace slipring {

class GuardedPlaces {
 public:
  using Id = std::uint64_t;  // of a connection

  [[nodiscard]] bool has(Id id) const noexcept { return find(id) != nullptr; }
  // A place for who has none; false when there is none left.
  bool join(Id id, const GuardOwner& owner, Descriptor memory) noexcept;
  void leave(Id id) noexcept;

  // The writer has been replaced, and has seen nothing.
  void forget_told() noexcept;
  // What the writer has not been told, if there is such; told() when it has.
  struct News {
    GuardNews body;
    int memory;
  };
  [[nodiscard]] std::optional<News> next_news() const noexcept;
  void told(const GuardNews& news) noexcept;
  // The writer looks at the memory that it was told of.
  void seen(const GuardGeneration& got) noexcept;

  // Somebody may sleep whom the writer does not look at.
  [[nodiscard]] bool must_ring() const noexcept;

 private:
  enum class Stage : std::uint8_t { kFree, kUntold, kTold, kSeen };
  struct Place {
    Stage stage = Stage::kFree;
    Id id = 0;
    GuardOwner owner{};
    Descriptor memory;
  };

  [[nodiscard]] const Place* find(Id id) const noexcept;

  std::array<Place, kSubscriberPlaces> places_;
  bool had_too_many_ = false;  // those without a place come and go unseen
};

}  // namespace slipring
