// What several processes did, in one order: what disks began and ended, what a client asked and was
// answered.  A file that everybody maps; places in it are taken with one atomic addition.
//
// Order.  What caused something else is before it in the file, as long as each notes the begin of a
// thing before it begins, and its end once it has ended and before anybody hears of it.  So what
// lies below any position is what had happened at some instant, and a power cut may come there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace slipring::array::test {

enum class EventKind : std::uint32_t {
  kWriteBegins = 1,
  kDurableWriteBegins = 2,
  kZeroBegins = 3,
  kSyncBegins = 4,
  kEnds = 5,  // of what began at `begin`
  kAsked = 6,
  kAnswered = 7,  // of the client's request of that number
};

struct PowerEvent {
  EventKind kind = EventKind::kEnds;
  std::uint32_t member = 0;
  std::uint32_t length_bytes = 0;
  std::uint32_t error = 0;
  std::uint64_t offset_bytes = 0;
  std::uint64_t begin = 0;  // kEnds: position of the begin; kAsked, kAnswered: the request's number
  std::uint64_t position = 0;  // of this event
};
static_assert(sizeof(PowerEvent) == 40);

// One process's view.  Ends the process with words on stderr when the file cannot be had, or is
// full.
class PowerRecord {
 public:
  static constexpr std::uint64_t kFileBytes = std::uint64_t{1} << 30;  // sparse

  explicit PowerRecord(const std::string& path);
  PowerRecord(const PowerRecord&) = delete;
  PowerRecord& operator=(const PowerRecord&) = delete;
  ~PowerRecord();

  // Its position.
  std::uint64_t note(PowerEvent event, const std::byte* data = nullptr);
  std::uint64_t asked(std::uint64_t number);
  std::uint64_t answered(std::uint64_t number);

  // All of it, once nobody writes any more.
  [[nodiscard]] std::vector<PowerEvent> events() const;
  // What the write that began with the event was to write.
  [[nodiscard]] const std::byte* data_of(const PowerEvent& event) const;

 private:
  std::byte* bytes_ = nullptr;
};

}  // namespace slipring::array::test
