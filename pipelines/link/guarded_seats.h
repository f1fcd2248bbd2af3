// The roles of a guarded link, or of each lane of a guarded lane set, as its broker keeps them: who
// holds each, and which memory is the role's now.
//
// Everybody maps one page that says so (guard_protocol.h), a pair of seats a lane.  Until a role
// has had a holder its memory is of generation 0: zeros, which nobody can write, the same for all
// lanes.
//
// One thread, that of the broker.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/error/result.h"
#include "pipelines/link/guard_protocol.h"
#include "pipelines/link/guard_shape.h"
#include "pipelines/link/guarded_end.h"
#include "platform/memory/sealed_memory.h"
#include "platform/process/descriptor.h"
#include "platform/process/peer.h"

namespace slipring {

// A role of a lane; a link of one writer has lane 0 only.
struct SeatPlace {
  std::uint32_t lane = 0;
  Role role = Role::kWriter;
};

enum class SeatHold : std::uint8_t {
  kFree,
  kCopying,   // granted; the holder has not handed its memory in
  kAttached,  // its memory is the role's
};

struct BrokerSeat {
  SeatHold hold = SeatHold::kFree;
  std::uint64_t holder_id = 0;  // of its connection, which may be gone
  std::optional<Peer> process;  // of the holder
  GuardOwner holder{};          // who it is; generation: of the memory that it is to hand in
  GuardOwner owner{};           // of the memory below
  std::shared_ptr<const Descriptor> memory;
  ProtectionLevel protection = ProtectionLevel::kSealed;
  bool has_news = false;            // about the other role, not told yet
  std::uint32_t untaken_count = 0;  // told, and not acknowledged
  std::uint64_t begins_at = 0;      // of a lane's writer: what its reader had finished by then
};

class GuardedSeats {
 public:
  // Nobody holds anything.  Errors: as make_sealed_memory(); kSystem where the kernel protects
  // memory less than it says it can.
  static Result<GuardedSeats> make(const GuardShape& shape, const std::string& shown_name) noexcept;

  [[nodiscard]] const GuardShape& shape() const noexcept { return shape_; }
  [[nodiscard]] std::uint32_t lane_count() const noexcept {
    return static_cast<std::uint32_t>(lanes_.size());
  }
  [[nodiscard]] BrokerSeat& at(const SeatPlace& place) noexcept {
    return lanes_[place.lane][seat_of(place.role)];
  }
  [[nodiscard]] const BrokerSeat& at(const SeatPlace& place) const noexcept {
    return lanes_[place.lane][seat_of(place.role)];
  }
  // What everybody sees of it.
  [[nodiscard]] GuardSeat& shown(const SeatPlace& place) noexcept;
  // Whose connection it is.
  [[nodiscard]] std::optional<SeatPlace> find(std::uint64_t holder_id) const noexcept;

  // The holder is known to have stored for the last time.
  void free(const SeatPlace& place) noexcept;
  // The kernel says that the seat's holder has ended.
  [[nodiscard]] bool has_died(const SeatPlace& place) const noexcept;
  // What the lane's reader has finished.  Errors: as Mapping::map().
  [[nodiscard]] Result<std::uint64_t> done(std::uint32_t lane) const noexcept;
  // The memory that a holder handed in is the role's from now on.
  void accept(const SeatPlace& place, Descriptor memory, ProtectionLevel protection) noexcept;
  // The reader will read nothing more of the lane's last writer, whose memory made no sense to it.
  // Errors: as Mapping::map().
  [[nodiscard]] Result<bool> is_given_up(std::uint32_t lane) const noexcept;
  // All that the lane's last writer published has been finished by the reader, or given up.
  // Requires: nobody holds the lane's writing role.  Errors: as Mapping::map().
  [[nodiscard]] Result<bool> is_read(std::uint32_t lane) const noexcept;

  // Tells the lane's reader to drop what is published now.  Where to cut is nobody's to say but the
  // writer's page: a position inside a record would be taken for one.  Errors: as Mapping::map().
  [[nodiscard]] Status command(std::uint32_t lane, std::uint32_t process_id) noexcept;

  // The shape and the owners of a lane's memory.
  [[nodiscard]] GuardGrant grant(std::uint32_t lane) const noexcept;
  // The page, and both roles' memory (a board's one); valid until the next change.
  struct Descriptors {
    std::array<int, 3> fds{};
    std::size_t count = 0;
    [[nodiscard]] std::span<const int> all() const noexcept { return {fds.data(), count}; }
  };
  [[nodiscard]] Descriptors descriptors(std::uint32_t lane) const noexcept;
  [[nodiscard]] int page_fd() const noexcept { return page_.descriptor.get(); }

 private:
  GuardedSeats(const GuardShape& shape, SealedMemory page) noexcept;

  GuardShape shape_;
  std::uint64_t created_ns_ = 0;
  SealedMemory page_;
  std::vector<std::array<BrokerSeat, 2>> lanes_;  // the writer's seat, the reader's
};

}  // namespace slipring
