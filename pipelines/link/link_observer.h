// Looks at a link without taking part: for stat, the live view, and the runner.
//
// Everything is mapped read-only, nothing is locked, and no end notices.  The numbers are read one
// by one while the ends go on, so they belong to slightly different instants.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "core/error/result.h"
#include "pipelines/link/guarded_end.h"
#include "pipelines/link/link_segment.h"

namespace slipring {

struct EndReport {
  // Certified by the kernel at the time of asking; kAnother also where it could not be asked.
  Holder holder = Holder::kNobody;
  pid_t process_id = 0;  // of the holder, or as the last one wrote it
  EndState state = EndState::kNever;
  std::uint32_t incarnation = 0;
  bool is_locked = false;
  bool is_asleep = false;
  std::uint64_t message_count = 0;
  std::uint64_t payload_bytes = 0;
  std::uint64_t blocked_count = 0;
  std::uint64_t sleep_count = 0;
  std::uint64_t abort_count = 0;
  std::uint64_t redelivered_count = 0;
  std::uint64_t recovered_count = 0;
  std::uint64_t corrupt_count = 0;
  // Who wrote the first of them, meaningful when there was one.
  pid_t offender_process_id = 0;  // 0: not visible to the end
  uid_t offender_user = 0;
  ProtectionLevel protection = ProtectionLevel::kNone;  // of the end's memory
};

struct LinkReport {
  LinkShape shape;
  std::uint64_t total_bytes = 0;
  std::uint64_t created_ns = 0;  // CLOCK_REALTIME
  std::uint64_t tail = 0;        // bytes, or slots
  std::uint64_t done = 0;
  std::uint64_t fill = 0;      // what lies between; at most capacity
  std::uint64_t capacity = 0;  // bytes, or slots
  std::uint32_t pool_lent_count = 0;
  DropReport drops;  // by the reader
  bool is_guarded = false;
  // Of a lane set: of all lanes together, the counts added; the process is one of theirs.
  EndReport writer;
  EndReport reader;
  // Of a lane set: each writer's own.
  struct Lane {
    EndReport writer;
    std::uint64_t fill = 0;  // bytes
  };
  std::vector<Lane> lanes;
  // Of a broadcast link: each reader's own; `reader` is all of them together.
  struct Place {
    EndReport reader;
    bool is_member = false;
    std::uint64_t lag = 0;   // messages behind the writer
    std::uint64_t lost = 0;  // by all that had the place
  };
  std::vector<Place> places;
};

// What an end's page says; who holds its role is left to be asked.
[[nodiscard]] EndReport report_of(const EndPage& page) noexcept;
// Adds what another end of the same role counts, and whether it is there.
void add_end(const EndReport& end, EndReport& all) noexcept;

// Looks on, and takes no role: any number of them, and nobody notices.  One thread; what it reads
// of different words need not be of one moment.
class LinkObserver {
 public:
  // Errors: kNotFound, kPermission, kVersion, kCorruptPeer, kSystem.
  static Result<LinkObserver> attach(const SegmentDirectory& directory,
                                     std::string_view name) noexcept;

  [[nodiscard]] LinkReport report() const noexcept;
  // A link of one writer is one lane.
  [[nodiscard]] std::uint32_t lane_count() const noexcept {
    return static_cast<std::uint32_t>(lanes_.size());
  }
  // What the writer's page says is published now.
  [[nodiscard]] LinkBoundary boundary(std::uint32_t lane = 0) const noexcept {
    return published_boundary(shape_, lanes_[lane].region(Role::kWriter).bytes());
  }
  // Of a lane: where its writer of that LinkWriter::attachment() has stopped for good, or stands
  // now if nobody has come since.  Nothing if that is forgotten.
  [[nodiscard]] std::optional<std::uint64_t> end_of_writer(
      std::uint32_t lane, std::uint32_t attachment) const noexcept;
  // What the reader has finished.
  [[nodiscard]] std::uint64_t done(std::uint32_t lane) const noexcept;
  // What the reader has dropped, alone.
  [[nodiscard]] DropReport drops(std::uint32_t lane = 0) const noexcept;
  [[nodiscard]] const LinkShape& shape() const noexcept { return shape_; }

  // Looks at these views: of a link of one writer one, of a lane set one a lane.  Those that a
  // broker made the caller keeps up to date.  Requires: of a link.
  static LinkObserver of(std::vector<std::unique_ptr<GuardedView>> views) noexcept;
  static LinkObserver of(std::unique_ptr<GuardedView> view) noexcept;
  // Of a guarded link of one writer, to be kept up to date; nullptr on a named one.
  [[nodiscard]] GuardedView* view() noexcept { return lanes_.front().view.get(); }
  [[nodiscard]] const GuardedView* view(std::uint32_t lane) const noexcept {
    return lanes_[lane].view.get();
  }

 private:
  // What is seen of one writer and the reader; a link of one writer is one lane.
  struct Lane {
    std::unique_ptr<GuardedView> view;  // of a guarded link
    Mapping writer;  // of a named one, the region up to the ring only: no frame is mapped
    Mapping reader;
    [[nodiscard]] const Mapping& region(Role role) const noexcept;
  };

  LinkObserver(const LinkShape& shape, std::uint64_t total_bytes, std::uint64_t created_ns) noexcept
      : shape_(shape), total_bytes_(total_bytes), created_ns_(created_ns) {}
  static Result<LinkObserver> attach_named(const SegmentDirectory& directory,
                                           std::string_view name) noexcept;
  Status add_lane(const SegmentHeader& header, const LinkParts& parts, std::uint32_t lane) noexcept;
  [[nodiscard]] LinkReport report_lane(std::uint32_t lane) const noexcept;
  [[nodiscard]] EndReport report_end(std::uint32_t lane, Role role) const noexcept;

  std::optional<SegmentFile> file_;  // of a named link
  LinkShape shape_;
  std::uint64_t total_bytes_ = 0;
  std::uint64_t created_ns_ = 0;
  std::vector<Lane> lanes_;
};

}  // namespace slipring
