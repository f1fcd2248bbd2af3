// The programs at the ends of a wire, whatever kind of messages their links carry: each message is
// a text.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pipelines/link/drop_words.h"
#include "pipelines/link/link_layout.h"
#include "platform/memory/segment_directory.h"

namespace slipring::wire {

// What a value link carries here.
struct TextValue {
  static constexpr std::uint64_t kValueMark = 0x7465'7874;
  std::array<char, 24> text;
};

// How what a sender into a lane set begins that is on that set's machine.
inline constexpr std::string_view kLocalText = "local ";

inline constexpr std::uint32_t kPooledSlotBytes = 24;  // a handle, and 16 bytes of the text
inline constexpr std::uint64_t kPooledBufferBytes = 64;

[[nodiscard]] LinkShape text_values(std::uint64_t value_count);
[[nodiscard]] LinkShape pooled_slots(std::uint64_t slot_count, std::uint32_t buffer_count);

// One writes here, one reads there.
class MessagePrograms {
 public:
  // Of a link called `name` of that shape, here and there; not of a stream.
  static std::unique_ptr<MessagePrograms> start(const SegmentDirectory& here,
                                                const SegmentDirectory& there,
                                                std::string_view name, const LinkShape& shape);
  virtual ~MessagePrograms() = default;

  // How long the message of that number is, if it would be `bytes`.
  [[nodiscard]] virtual std::size_t length(std::uint64_t number, std::size_t bytes) const = 0;
  // False if there is no room.
  [[nodiscard]] virtual bool push(std::string_view text) = 0;
  // Everything that is there; what is aborted is left out, as a program would.
  virtual std::vector<std::string> pop_all() = 0;
  virtual void abort() = 0;
  virtual void close() = 0;
  [[nodiscard]] virtual bool is_finished() const = 0;
  // What was dropped of the writer's ring.
  [[nodiscard]] virtual DropCounts drops() const = 0;
  // What has arrived has to be read before a successor carries on.
  [[nodiscard]] virtual bool is_read_between() const { return false; }
  // Of a pool, here and there: buffers that somebody may still look at.
  [[nodiscard]] virtual std::uint32_t lent_here() const { return 0; }
};

}  // namespace slipring::wire
