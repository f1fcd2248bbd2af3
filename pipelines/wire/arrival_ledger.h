// How far each session has been published into a link, exact over a death at any instruction of the
// process that publishes.
//
// Protocol.  A board beside the link, NAME.wire-in, keeps two entries, each of them a session, a
// position of that session, and a position of the link's ring: "once the ring stands here, so much
// of the session has arrived".  Before each publication the older entry is overwritten with what
// will be true after it; the publication itself is the ring's one store.  So at any time exactly
// one entry bears the ring's position, and that one is true:
//
//   ring at p, entries (x, p) (w, o)      x has arrived
//   overwrite the second with (y, q)      the ring is still at p: x, however much is written of it
//   publish                               the ring is at q: y
//
// Ring positions only grow, so no two entries ever bear the same.
// A session begins when it is taken up, before the sender hears of it.  Of sessions that do not
// publish now the last eight are parked in entries of their own, and come back exact; of one beyond
// that nothing is known, and one that says that it resumes is refused rather than believed.
//
// Lanes.  A sender into a lane set has a seat, with a ledger of its own, and gets whichever lane is
// free.  Where its predecessor's publishing ended in the lane that it had is told by that lane
// (pipelines/link/lane_words.h), whoever has written there since.  What that proves is parked; then
// the entries are emptied, the true one last; then the new lane is noted.  Where the lane has had
// so many writers since that nobody knows, the sessions of the two entries are forgotten.
//
// Crash.  As above.  Parking writes a place that counts only when its session is no entry's.  A
// link that is made anew under the name has another time of creation: then the ledger begins anew.
//
// Ordering.  All words are one process's at a time and relaxed; a successor holds the board's
// certificate, which orders it behind its predecessor.  That the stores of one process die in the
// order in which they were made needs only the compiler: note() is a call into another translation
// unit, and so is what publishes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/error/result.h"
#include "pipelines/link/board.h"
#include "pipelines/link/link_observer.h"
#include "pipelines/wire/frame.h"
#include "pipelines/wire/link_sink.h"
#include "platform/memory/segment_directory.h"

namespace slipring::wire {

inline constexpr std::size_t kParkedSessions = 8;

// One thread at a time.
class ArrivalLedger {
 public:
  // Makes the board if there is none, and takes it.
  // Errors: as create_board(), Board::attach().
  // `seat`: of a lane set, whose senders have a ledger each, NAME.SEAT.wire-in.
  static Result<ArrivalLedger> open(const SegmentDirectory& directory, std::string_view link,
                                    std::optional<std::uint32_t> seat = std::nullopt) noexcept;

  // One that is there.  Errors: as Board::attach().
  static Result<ArrivalLedger> find(const SegmentDirectory& directory, std::string_view link,
                                    std::optional<std::uint32_t> seat) noexcept;

  // Finds what is true.  Requires: the caller holds the link's writing role, and the link was made
  // at `ring_created_ns` and stands at `ring_position`.
  // Errors: kCorruptPeer (somebody else has published into the link since).
  Status bind(std::uint64_t ring_created_ns, std::uint64_t ring_position) noexcept;

  // The same of a set, whose lanes may have changed hands since: looks where what was noted last
  // went, and goes on in `lane`, which is ours now and stands at `ring_position`.
  // Errors: kNoSpace (what it published in the lane before is not read: it would be overtaken).
  Status bind_lane(const LinkObserver& set, std::uint64_t ring_created_ns,
                   const LinkSink::Lane& lane, std::uint64_t ring_position) noexcept;
  // Whether anything is noted of the session, bound or not.
  [[nodiscard]] bool mentions(const SessionId& session) const noexcept;
  // Nothing is noted of any.
  [[nodiscard]] bool is_blank() const noexcept;

  // How far the session has arrived; nothing if it is unknown here.
  [[nodiscard]] std::optional<std::uint64_t> arrived(const SessionId& session) const noexcept;
  // An unknown session may have been here, and be forgotten.
  [[nodiscard]] bool has_forgotten() const noexcept { return forgotten_.get() != 0; }
  // Of the last one that published; none at first.
  [[nodiscard]] SessionId session() const noexcept;

  // Takes up one that is unknown, before it is welcomed.
  void begin(const SessionId& session, std::uint64_t arrived) noexcept { park(session, arrived); }
  // Before each publication: what it makes true.
  void note(const SessionId& session, std::uint64_t arrived_after,
            std::uint64_t ring_position_after) noexcept;

 private:
  struct Entry {
    Board::Number a;
    Board::Number b;
    Board::Number arrived;
    Board::Number ring_position;

    [[nodiscard]] SessionId session() const noexcept { return {a.get(), b.get()}; }
    // The position first: without it nothing of the entry counts.
    void clear() noexcept {
      for (Board::Number* word : {&ring_position, &a, &b, &arrived}) word->set(0);
    }
  };
  explicit ArrivalLedger(Board board) noexcept;
  [[nodiscard]] Entry entry(std::string_view kind, std::size_t index) noexcept;
  [[nodiscard]] const Entry* find_parked(const SessionId& session) const noexcept;
  void park(const Entry& last) noexcept { park(last.session(), last.arrived.get()); }
  void park(const SessionId& session, std::uint64_t arrived) noexcept;
  void begin_anew(std::uint64_t ring_created_ns) noexcept;
  void leave_lane() noexcept;
  void forget_last() noexcept;

  Board board_;
  Board::Number ring_created_;
  Board::Number next_parked_;
  Board::Number forgotten_;
  Board::Number lane_;              // of a set: where the entries' positions are,
  Board::Number lane_incarnation_;  // and as whose writer; 0: nowhere yet
  std::array<Entry, 2> entries_;
  std::array<Entry, kParkedSessions> parked_;
  std::optional<std::size_t> true_entry_;
};

}  // namespace slipring::wire
