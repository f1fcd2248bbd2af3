// Many writers, one reader: the reading end of a lane set.
//
// Protocol.  A set is up to kMaxSetLanes record links side by side under one name, its lanes; each
// has its own writer (LinkWriter::attach() on the set's name takes one), and all have one reader.
// Nothing is shared between writers: one that is stopped, dead or hostile holds up nobody else, and
// what holds for a link's writer and reader holds for each lane: publication, recovery, hand-over,
// redelivery, abort, back-pressure, credit.
//
// Whose a message is.  A lane goes to another writer only when nobody living holds it and all of
// its messages are finished.  So whatever a reader finds in a lane was published by the lane's last
// writer, dead or alive, and each message is given out with that writer's name.  Lanes whose dead
// writer left unread messages wait for the reader, who does not need to be there yet: newcomers
// take others, and where there are none, get an error that says which lanes those are.
//
// Order.  First in, first out for each writer; a message is never mixed with another's.  Between
// lanes: at most `quantum` messages of one lane before the next lane has its turn, so that a
// message waits for at most quantum × (lanes − 1) others.
//
// Corrupt lanes.  A lane whose words no correct writer writes is answered once, with its number and
// offender, and cut off: nothing more is read from it, and the others go on.  Of a guarded set it
// comes back with the next sender: once nothing of it is held, the reader gives its writer up, and
// when that one has gone the lane is as free as a lane that was read.  What the writer had
// published and nobody was given is lost with it.  Of a named set it stays cut off.
//
// Crash.  A reader's successor takes all lanes over, each with its exact cursor.  A writer that
// dies, at whatever instruction, leaves what it published.
//
// One thread at a time.  Nothing is allocated after attach().  Ordering: as link_writer.h.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/error/result.h"
#include "core/ring/transfer.h"
#include "pipelines/link/lane_words.h"
#include "pipelines/link/link_reader.h"
#include "platform/memory/segment_directory.h"
#include "platform/wait/doorbell.h"

namespace slipring {

// The shape of a set of `lane_count` lanes of `lane_bytes` each, for create_link() and
// GuardedBroker.  Each writer may have `credit_count` messages unread; 0: as many as its lane
// holds.
[[nodiscard]] LinkShape lane_set_shape(std::uint32_t lane_count, std::uint64_t lane_bytes,
                                       std::uint64_t credit_count = 0) noexcept;

struct LanePolicy {
  std::uint32_t quantum = 16;  // messages of one lane in a turn, at least 1
};

// A message in place, and whose it is.
struct LaneMessage {
  Message message;
  std::uint32_t lane = 0;
  // Its writer.  is_known: by the kernel's word; on a guarded set that of the connection by which
  // the lane was got, on a named one that of the lane's lock.  Otherwise the writer of a named lane
  // died before anybody looked, and this is what it said itself.
  LinkPeer sender;
  // On whose behalf it writes, where it says so: a wire names the other machine, and the process
  // there that it was told of.  No more than the sender's word.
  std::optional<LaneOrigin> origin;
};

class LaneReader {
 public:
  // Takes the reading role of all lanes.  Errors: kBusy (a living reader; its pid in `found`),
  // kVersion (not a lane set), and as LinkReader::attach(); not kCorruptPeer for a lane, which is
  // then cut off.
  static Result<LaneReader> attach(const SegmentDirectory& directory, std::string_view name,
                                   MemoryLock memory_lock = MemoryLock::kTry,
                                   const LanePolicy& policy = {}) noexcept;

  // The next message of any lane; several may be held.  kBlocked when there is none.  kCorruptPeer
  // once for each lane that has to be cut off, with its number and offender in `message`.
  [[nodiscard]] Transfer try_peek(LaneMessage& message) noexcept;

  // Finishes `message` and all before it in its lane.
  void release(const LaneMessage& message) noexcept;

  // Drops all that writers have aborted.  Requires: nothing is held.
  void skip_aborted() noexcept;

  // As LinkReader::obey_commands(), of every lane.
  void obey_commands() noexcept;
  // As LinkReader::has_dropped_behind(), of any lane.
  [[nodiscard]] bool has_dropped_behind() const noexcept;

  // Finished for good: the writers learn that nobody will read on.
  void close() noexcept;

  // Whether try_peek() might not answer kBlocked.  Changes nothing.
  [[nodiscard]] bool has_message() const noexcept;
  // The same of these lanes only, one bit a lane.
  [[nodiscard]] bool has_message(std::uint32_t lanes) const noexcept;
  // Lanes that have had a writer so far: what a writer does after it has attached is seen later
  // than this is.  On a guarded set, where that takes news, all.
  [[nodiscard]] std::uint32_t lanes_with_writers() const noexcept;
  // There have been writers, all of them have closed, and everything has been looked at.
  [[nodiscard]] bool is_finished() const noexcept;
  // How many lanes have a living writer.  Asks the kernel once a lane.  Errors: kSystem.
  [[nodiscard]] Result<std::uint32_t> count_writers() const noexcept;

  // Whether this lane has one.  Requires: a lane of the set.  Errors: kSystem.
  [[nodiscard]] Result<bool> has_writer(std::uint32_t lane) const noexcept;

  // What to sleep on until a writer of any lane publishes or closes, or is replaced; valid until
  // the next call.
  [[nodiscard]] std::span<const WaitPoint> message_points() noexcept;
  // As LinkReader::look_for_news().
  void look_for_news() noexcept;
  // For whoever waits on this end.
  void count_sleep(std::uint64_t more = 1) noexcept;

  // Of a lane, and of all.
  [[nodiscard]] const LinkShape& shape() const noexcept { return shape_; }
  [[nodiscard]] std::uint32_t lane_count() const noexcept { return shape_.lane_count; }
  // Those that are cut off now, one bit a lane.
  [[nodiscard]] std::uint32_t cut_lanes() const noexcept;
  [[nodiscard]] std::uint32_t incarnation() const noexcept { return incarnation_; }

 private:
  struct Lane {
    std::optional<LinkReader> reader;  // none when the lane was corrupt from the beginning
    LinkPeer sender;                   // of what is found in it
    std::uint32_t incarnation = 0;     // of that writer, as the lane shows it
    bool is_idle = false;              // found empty, and nothing released since
    bool is_cut = false;
    bool is_answered = true;  // its being cut has been told
  };

  LaneReader(const LinkShape& shape, const LanePolicy& policy) noexcept
      : shape_(shape), policy_(policy) {}
  [[nodiscard]] static bool has_message(const Lane& lane) noexcept;
  [[nodiscard]] Transfer peek_at(Lane& lane, LaneMessage& message) noexcept;
  void rejoin(Lane& lane) noexcept;
  void name_sender(Lane& lane) noexcept;
  void end_turn() noexcept;

  LinkShape shape_;
  LanePolicy policy_;
  std::vector<Lane> lanes_;
  std::vector<WaitPoint> points_;
  std::uint32_t at_ = 0;  // whose turn it is
  std::uint32_t taken_in_turn_ = 0;
  std::uint32_t incarnation_ = 0;
};

}  // namespace slipring
