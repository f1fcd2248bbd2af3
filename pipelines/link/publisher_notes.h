// Who wrote a broadcast link's messages: the last writers, by incarnation, in the writer's region.
//
// A message names its writer's incarnation (broadcast_shape.h); by it a reader finds the process,
// though another writes by now.  Each is its own word, for people, and never an identity.
//
// Ordering.  A writer notes itself before it publishes anything: who has its message sees its note.
// It overwrites that of the writer eight lives before, whose readers find the incarnation changed.
// Specified in core/LAYOUT.md; change both or neither.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>

namespace slipring {

struct PublisherNote {
  std::atomic<std::uint32_t> incarnation;  // 0: none, or being written
  std::atomic<std::uint32_t> process_id;
  std::atomic<std::uint32_t> user;
  std::atomic<std::uint32_t> group;
};
static_assert(sizeof(PublisherNote) == 16 && std::is_standard_layout_v<PublisherNote>);

inline constexpr std::uint32_t kPublisherNoteCount = 8;

struct Publisher {
  std::uint32_t incarnation = 0;
  std::uint32_t process_id = 0;
  std::uint32_t user = 0;
  std::uint32_t group = 0;
};

// Requires: kPublisherNoteCount of them; one writer.
inline void note_publisher(std::span<PublisherNote> notes, const Publisher& publisher) noexcept {
  PublisherNote& note = notes[publisher.incarnation % kPublisherNoteCount];
  // relaxed: whoever sees one of the next three sees this before it.
  note.incarnation.store(0, std::memory_order_relaxed);
  note.process_id.store(publisher.process_id,
                        std::memory_order_release);            // notes.B pairs with notes.D
  note.user.store(publisher.user, std::memory_order_release);  // notes.B pairs with notes.D
  note.group.store(publisher.group,
                   std::memory_order_release);  // notes.B pairs with notes.D
  note.incarnation.store(publisher.incarnation,
                         std::memory_order_release);  // notes.A pairs with notes.C
}

// Nothing: it was forgotten, or never was.
[[nodiscard]] inline std::optional<Publisher> find_publisher(std::span<const PublisherNote> notes,
                                                             std::uint32_t incarnation) noexcept {
  const PublisherNote& note = notes[incarnation % kPublisherNoteCount];
  const std::uint32_t noted =
      note.incarnation.load(std::memory_order_acquire);  // notes.C pairs with notes.A
  if (incarnation == 0 || noted != incarnation) return std::nullopt;
  Publisher found;
  found.incarnation = incarnation;
  found.process_id = note.process_id.load(std::memory_order_acquire);  // notes.D pairs with notes.B
  found.user = note.user.load(std::memory_order_acquire);              // notes.D pairs with notes.B
  found.group = note.group.load(std::memory_order_acquire);            // notes.D pairs with notes.B
  // relaxed: the loads before it order it.
  if (note.incarnation.load(std::memory_order_relaxed) != incarnation) return std::nullopt;
  return found;
}

}  // namespace slipring
