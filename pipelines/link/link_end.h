// What both ends of every kind of link have in common: the hold on the segment, the doorbell for
// the other side, and the states and counters that they show.
//
// One thread at a time.
//
// Ordering.  link.A -> link.B  close: who sees the other end closed sees all that it did before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "core/ring/transfer.h"
#include "pipelines/link/control_lane.h"
#include "pipelines/link/drop_words.h"
#include "pipelines/link/link_layout.h"
#include "pipelines/link/link_segment.h"
#include "platform/wait/doorbell.h"

namespace slipring {

class LinkEnd {
 public:
  explicit LinkEnd(LinkHold hold, BellOrder order = BellOrder::kMembarrier) noexcept
      : hold_(std::move(hold)),
        doorbell_(own().bell, peer().arm, order),
        control_(hold_.control_page()) {}

  [[nodiscard]] EndPage& own() noexcept { return end_page(hold_.own); }
  [[nodiscard]] const EndPage& own() const noexcept { return end_page(hold_.own); }
  [[nodiscard]] const EndPage& peer() const noexcept { return end_page(hold_.peer); }
  // The regions, from their first byte.
  [[nodiscard]] std::byte* own_bytes() noexcept { return hold_.own.writable_bytes().data(); }
  [[nodiscard]] const std::byte* peer_bytes() const noexcept { return hold_.peer.bytes().data(); }

  // The other end was replaced, and its successor's memory waits to be shown.  Only where an end
  // has nothing else to do: no message's path comes by here.
  [[nodiscard]] bool has_news() const noexcept { return hold_.guard && hold_.guard->has_news(); }
  // Shows it, if there is any; whether it did, so that looking again is worth it.
  [[gnu::noinline]] bool take_news() noexcept {
    if (!hold_.guard || !hold_.guard->is_behind() || !hold_.guard->take_news(hold_.peer)) {
      return false;
    }
    // relaxed: it tells a sleeper that our rings reach it from now on, and the ring follows.
    own().peer_generation.store(hold_.guard->peer().incarnation, std::memory_order_relaxed);
    own().is_locked.store(is_locked() ? 1 : 0, std::memory_order_relaxed);  // relaxed: to show
    // What we did before was rung for a predecessor.
    doorbell_.ring_always();
    return true;
  }
  // Who is at the other end, as the kernel said once; unknown on a named link.
  [[nodiscard]] LinkPeer peer_identity() const noexcept {
    return hold_.guard ? hold_.guard->peer() : LinkPeer{};
  }
  // Who holds the other end's role, or held it last.  On a named link the lock's holder, if that is
  // the process which the end says it is; otherwise what it said, and `is_known` is false.  Asks
  // the kernel.
  [[nodiscard]] LinkPeer look_at_peer() const noexcept;
  // Whether a living process holds the other end's role, as far as the kernel, or a guarded link's
  // broker, has noticed.  Errors: as LockFile::probe().
  [[nodiscard]] Result<bool> is_peer_held() const noexcept;
  // Of a guarded link: its broker is gone, and nobody new can come to the other end.
  [[nodiscard]] bool is_orphaned() const noexcept {
    return hold_.guard && hold_.guard->is_orphaned();
  }
  [[nodiscard]] std::uint32_t lane() const noexcept { return hold_.lane; }
  [[nodiscard]] ProtectionLevel protection() const noexcept {
    return hold_.guard ? hold_.guard->protection() : ProtectionLevel::kNone;
  }

  [[nodiscard]] const LinkShape& shape() const noexcept { return hold_.shape; }
  [[nodiscard]] const LinkParts& parts() const noexcept { return hold_.parts; }
  [[nodiscard]] bool is_locked() const noexcept {
    // The zeros that stand for a peer that nobody has been yet need no locking.
    const bool is_nobodys = hold_.guard && !hold_.guard->peer().is_known;
    return hold_.own.is_locked() && (hold_.peer.is_locked() || is_nobodys) &&
           (hold_.guard || hold_.control.is_locked());
  }
  // 1 for a fresh link, one more with every successor.
  [[nodiscard]] std::uint32_t incarnation() const noexcept {
    return own().incarnation.load(std::memory_order_relaxed);  // relaxed: our own word
  }

  // The same, by the broker's word where there is one.
  [[nodiscard]] std::uint32_t attachment() const noexcept {
    return hold_.guard ? hold_.guard->generation() : incarnation();
  }

  // As the other end says itself.
  [[nodiscard]] std::uint32_t peer_incarnation() const noexcept {
    return peer().incarnation.load(std::memory_order_relaxed);  // relaxed: nothing hangs on it
  }

  // A predecessor may have died between publishing and ringing: whoever sleeps is woken to look,
  // and does not find it by the bound of its sleep.
  void open() noexcept {
    open_end(own(), is_locked());
    ring();
  }
  // Finished for good.
  void close() noexcept {
    own().state.store(static_cast<std::uint32_t>(EndState::kClosed),
                      std::memory_order_release);  // link.A pairs with link.B
    doorbell_.ring_always();
  }
  [[nodiscard]] bool is_peer_closed() const noexcept {
    return peer().state.load(std::memory_order_acquire) ==  // link.B pairs with link.A
           static_cast<std::uint32_t>(EndState::kClosed);
  }

  // After whatever the other side may be waiting for.
  void ring() noexcept { doorbell_.ring_if_armed(); }
  void ring_always() noexcept { doorbell_.ring_always(); }
  // The other end's eventfd, signalled with every ring from now on; borrowed.
  void attach_event(int event_fd) noexcept { doorbell_.attach_event(event_fd); }
  // What to sleep on until the other side rings.
  [[nodiscard]] WaitPoint wait_point() noexcept {
    WaitPoint point = WaitPoint::of(peer().bell, own().arm);
    // relaxed: until it looks at our memory, its rings miss us, and the sleep is a short one.
    point.is_deaf =
        hold_.guard && hold_.guard->peer().is_known &&
        peer().peer_generation.load(std::memory_order_relaxed) != hold_.guard->generation();
    return point;
  }
  // To sleep on as well, where the other end may be replaced meanwhile; nothing on a named link.
  // Without it, news are found when the sleep ends by its bound.
  [[nodiscard]] std::optional<WaitPoint> news_point() noexcept {
    if (!hold_.guard) return std::nullopt;
    return hold_.guard->news_point();
  }
  void count_sleep(std::uint64_t more) noexcept { count(own().counters.sleep_count, more); }

  // After an answer of the ring other than kDone: a replaced peer's memory is shown and tried at
  // once, so that "blocked" is true of the newest.  Out of line: the fast path has none of it.
  template <typename Try>
  [[gnu::noinline, nodiscard]] Transfer settle(Transfer answer, Try&& try_it) noexcept {
    if (answer == Transfer::kBlocked && take_news()) answer = try_it();
    if (answer != Transfer::kDone) note(answer);
    return answer;
  }

  // What somebody beside the two ends has told the reader.
  [[nodiscard]] ControlLane& control() noexcept { return control_; }
  [[nodiscard]] const ControlLane& control() const noexcept { return control_; }
  [[nodiscard]] ControlWatch control_watch() const noexcept {
    return {&control_.count(), &own().drops.obeyed};
  }
  // The newest command, with the memory shown that it is about: the broker tells of a writer's
  // memory before it cuts there.
  [[nodiscard]] std::optional<AbortCommand> take_command() noexcept {
    const std::optional<AbortCommand> command = control_.newest();
    if (command) static_cast<void>(take_news());
    return command;
  }
  // The reader, once nothing that the command is about will be handed out any more.
  void note_obeyed(const AbortCommand& command, bool is_possible) noexcept {
    // relaxed: only this end writes it.
    std::atomic<std::uint32_t>& refused = own().drops.refused;
    if (!is_possible) {
      refused.store(refused.load(std::memory_order_relaxed) + 1,  // relaxed: as above
                    std::memory_order_relaxed);
    }
    control_.mark_seen(command);
    own().drops.obeyed.store(command.count, std::memory_order_release);  // drop.C pairs with drop.D
  }
  // The first position that the writer at the other end still wants.
  [[nodiscard]] std::uint64_t peer_abort_before() const noexcept {
    return reinterpret_cast<const ProducerPage*>(peer_bytes())
        ->abort_before.load(std::memory_order_acquire);  // cursor.F pairs with cursor.E
  }
  // What the reader at the other end has dropped.
  [[nodiscard]] DropReport peer_drops() const noexcept {
    return read_drops(peer().drops, reinterpret_cast<const ConsumerPage*>(peer_bytes())->done);
  }

  // The reader, when it has finished what it will ever read of the writer that is shown.
  void give_up_peer() noexcept {
    own().given_up.store(hold_.guard->peer().incarnation,
                         std::memory_order_release);  // guard.C pairs with guard.D
  }
  // It has done so, or its predecessor has.
  [[nodiscard]] bool is_peer_given_up() const noexcept {
    // relaxed: our own word.
    return hold_.guard && hold_.guard->peer().is_known &&
           own().given_up.load(std::memory_order_relaxed) == hold_.guard->peer().incarnation;
  }
  [[nodiscard]] bool is_guarded() const noexcept { return hold_.guard != nullptr; }
  // There is news, or some that could not be shown yet.
  [[nodiscard]] bool is_behind() const noexcept { return hold_.guard && hold_.guard->is_behind(); }
  // What the next one may be accused of is its own.
  void forget_offender() noexcept { offender_.reset(); }

  // Counts an answer of the ring other than kDone.  Out of line: the fast path has none of it.
  [[gnu::noinline]] void note(Transfer answer) noexcept {
    if (answer == Transfer::kBlocked) {
      count(own().counters.blocked_count);
    } else if (answer == Transfer::kCorruptPeer) {
      if (!offender_) accuse();
      count(own().counters.corrupt_count);
    }
  }
  // Who wrote the first impossible value that this end met; nothing before it.  The kernel names
  // the process: on a named link as the role's present holder, for people only.
  [[nodiscard]] const std::optional<LinkPeer>& offender() const noexcept { return offender_; }

 private:
  void accuse() noexcept;

  LinkHold hold_;
  Doorbell doorbell_;
  ControlLane control_;
  std::optional<LinkPeer> offender_;
};

}  // namespace slipring
