#include "pipelines/wire/arrival_ledger.h"

#include <algorithm>
#include <string>
#include <utility>

namespace slipring::wire {
namespace {

std::string name_for(std::string_view link, std::optional<std::uint32_t> seat) {
  return std::string(link) + (seat ? "." + std::to_string(*seat) : std::string()) + ".wire-in";
}

}  // namespace

Result<ArrivalLedger> ArrivalLedger::open(const SegmentDirectory& directory, std::string_view link,
                                          std::optional<std::uint32_t> seat) noexcept {
  const std::string name = name_for(link, seat);
  const Status made = create_board(directory, name);
  if (!made && made.error().code != ErrorCode::kExists) return made.error();
  return find(directory, link, seat);
}

Result<ArrivalLedger> ArrivalLedger::find(const SegmentDirectory& directory, std::string_view link,
                                          std::optional<std::uint32_t> seat) noexcept {
  Result<Board> board = Board::attach(directory, name_for(link, seat));
  if (!board) return board.error();
  return ArrivalLedger(std::move(board).value());
}

ArrivalLedger::ArrivalLedger(Board board) noexcept : board_(std::move(board)) {
  ring_created_ = board_.number(".ring_created_ns", BoardKind::kGauge);
  next_parked_ = board_.number(".next_parked", BoardKind::kGauge);
  forgotten_ = board_.number(".forgotten_count", BoardKind::kCounter);
  lane_ = board_.number(".lane", BoardKind::kGauge);
  lane_incarnation_ = board_.number(".lane_incarnation", BoardKind::kGauge);
  for (std::size_t i = 0; i < entries_.size(); ++i) entries_[i] = entry("now", i);
  for (std::size_t i = 0; i < parked_.size(); ++i) parked_[i] = entry("parked", i);
}

ArrivalLedger::Entry ArrivalLedger::entry(std::string_view kind, std::size_t index) noexcept {
  const std::string prefix = "." + std::string(kind) + std::to_string(index) + "_";
  const auto number = [&](const char* word) {
    return board_.number(prefix + word, BoardKind::kGauge);
  };
  return {number("a"), number("b"), number("arrived"), number("ring_position")};
}

// Of another ring, if that is what is noted.
void ArrivalLedger::begin_anew(std::uint64_t ring_created_ns) noexcept {
  if (ring_created_.get() == ring_created_ns) return;
  ring_created_.set(0);  // a death from here on begins anew, too
  for (Entry& some : entries_) some.clear();
  for (Entry& some : parked_) some.clear();
  forgotten_.set(0);
  lane_incarnation_.set(0);
  ring_created_.set(ring_created_ns);
}

Status ArrivalLedger::bind_lane(const LinkObserver& set, std::uint64_t ring_created_ns,
                                const LinkSink::Lane& lane, std::uint64_t ring_position) noexcept {
  begin_anew(ring_created_ns);
  const auto before = static_cast<std::uint32_t>(lane_incarnation_.get());
  if (before != 0 && lane_.get() < set.lane_count()) {
    const auto at = static_cast<std::uint32_t>(lane_.get());
    const std::optional<std::uint64_t> ended = set.end_of_writer(at, before);
    // Nothing at all was noted there where the ring began.
    const bool is_known = bind(ring_created_ns, ended.value_or(UINT64_MAX)).ok();
    if (!is_known) forget_last();
    // Between lanes there is no order.
    if (ended && set.done(at) < *ended) {
      return Error{ErrorCode::kNoSpace, 0, "go on in a lane before the last one is read",
                   *ended - set.done(at)};
    }
    leave_lane();
  }
  lane_incarnation_.set(0);
  lane_.set(lane.lane);
  lane_incarnation_.set(lane.incarnation);
  return bind(ring_created_ns, ring_position);
}

// Nobody knows any more which of the two is true, nor, then, what is parked of their sessions.
void ArrivalLedger::forget_last() noexcept {
  forgotten_.add();
  for (Entry& some : parked_) {
    for (const Entry& last : entries_) {
      if (some.session() == last.session()) some.clear();
    }
  }
  for (Entry& some : entries_) some.clear();
  true_entry_.reset();
}

// What is true is parked; what is not goes first.
void ArrivalLedger::leave_lane() noexcept {
  if (true_entry_) {
    park(entries_[*true_entry_]);
    entries_[1 - *true_entry_].clear();
    entries_[*true_entry_].clear();
  } else {
    // The first was noted, and never published: the rest is parked already.
    for (Entry& some : entries_) some.clear();
  }
  true_entry_.reset();
}

bool ArrivalLedger::mentions(const SessionId& session) const noexcept {
  if (session.is_none()) return false;
  return find_parked(session) != nullptr ||
         std::any_of(entries_.begin(), entries_.end(),
                     [&](const Entry& some) { return some.session() == session; });
}

bool ArrivalLedger::is_blank() const noexcept {
  const auto is_none = [](const Entry& some) { return some.session().is_none(); };
  return std::all_of(entries_.begin(), entries_.end(), is_none) &&
         std::all_of(parked_.begin(), parked_.end(), is_none);
}

Status ArrivalLedger::bind(std::uint64_t ring_created_ns, std::uint64_t ring_position) noexcept {
  begin_anew(ring_created_ns);
  true_entry_.reset();
  std::uint64_t last = 0;
  bool is_used = false;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const std::uint64_t noted = entries_[i].ring_position.get();
    if (noted > last) last = noted;
    if (entries_[i].session().is_none() || noted == 0) continue;
    is_used = true;
    if (noted == ring_position) true_entry_ = i;
  }
  // Noted for the first time, and killed before the publication.
  const bool is_first =
      entries_[0].ring_position.get() == 0 || entries_[1].ring_position.get() == 0;
  if (true_entry_ || !is_used || (is_first && ring_position < last)) return {};
  return Error{ErrorCode::kCorruptPeer, 0,
               "find out what has arrived: somebody else has published into the link since",
               ring_position, last};
}

const ArrivalLedger::Entry* ArrivalLedger::find_parked(const SessionId& session) const noexcept {
  for (const Entry& some : parked_) {
    if (some.session() == session) return &some;
  }
  return nullptr;
}

std::optional<std::uint64_t> ArrivalLedger::arrived(const SessionId& session) const noexcept {
  if (session.is_none()) return std::nullopt;
  if (true_entry_ && entries_[*true_entry_].session() == session) {
    return entries_[*true_entry_].arrived.get();
  }
  const Entry* parked = find_parked(session);
  return parked != nullptr ? std::optional(parked->arrived.get()) : std::nullopt;
}

SessionId ArrivalLedger::session() const noexcept {
  return true_entry_ ? entries_[*true_entry_].session() : SessionId{};
}

void ArrivalLedger::park(const SessionId& session, std::uint64_t arrived) noexcept {
  for (Entry& some : parked_) {
    if (some.session() != session) continue;
    some.arrived.set(arrived);
    return;
  }
  Entry& place = parked_[next_parked_.get() % parked_.size()];
  next_parked_.add();
  if (!place.session().is_none()) forgotten_.add();
  place.a.set(0);
  place.b.set(0);
  place.arrived.set(arrived);
  place.a.set(session.a);
  place.b.set(session.b);
}

void ArrivalLedger::note(const SessionId& session, std::uint64_t arrived_after,
                         std::uint64_t ring_position_after) noexcept {
  const std::size_t next = true_entry_ ? 1 - *true_entry_ : 0;
  if (true_entry_ && entries_[*true_entry_].session() != session) park(entries_[*true_entry_]);
  Entry& place = entries_[next];
  place.a.set(session.a);
  place.b.set(session.b);
  place.arrived.set(arrived_after);
  place.ring_position.set(ring_position_after);
  true_entry_ = next;
}

}  // namespace slipring::wire
