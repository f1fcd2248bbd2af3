// What a receiver does once its session is open: data into the link in place, and words about how
// far it is.
//
// Protocol.  The place of a message is opened in the ring with its first fragment, and it is
// published with the last, once every fragment's check has matched: a connection cut in the middle
// leaves nothing.  Before each publication the ledger is told; after it, and never before, the
// position is acknowledged.
//
// Credit.  A limit counts the cost (cost_of()) of all messages since the connection began.  It
// never promises more than finds room, so an honest sender's bytes never wait in the socket, and an
// abort behind them is heard at once.  A sender that does not keep to it is left waiting.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "pipelines/wire/arrival_ledger.h"
#include "pipelines/wire/frame.h"
#include "pipelines/wire/link_sink.h"

namespace slipring::wire {

class ReceivingSide {
 public:
  ReceivingSide(LinkSink& sink, ArrivalLedger& ledger) noexcept : sink_(sink), ledger_(ledger) {}
  ReceivingSide(const ReceivingSide&) = delete;
  ReceivingSide& operator=(const ReceivingSide&) = delete;
  // What has not arrived in whole never existed.
  ~ReceivingSide() { sink_.abandon(); }

  // kOpen, whose sender still has everything from `first` on.  Why it is refused; nothing: it is
  // not.
  [[nodiscard]] std::optional<ErrorReason> open(const Open& open, std::uint64_t first,
                                                bool resumes) noexcept;
  // This link had seen the session before.
  [[nodiscard]] bool knew_session() const noexcept { return knew_session_; }

  // A fragment begins.  kBlocked: there is no room yet; ask again.  kCorruptPeer: the link's reader
  // is corrupt.  Nothing: the sender contradicts the protocol.
  [[nodiscard]] std::optional<Transfer> begin(const FrameHeader& header) noexcept;
  void put(std::span<const std::byte> piece) noexcept;
  // Its check has matched.
  void end() noexcept;
  [[nodiscard]] bool has_space() const noexcept { return sink_.has_space(wanted_bytes_); }

  // kAbort: all before `position` is no longer wanted.
  void abort_before(std::uint64_t position) noexcept;
  // kBye.  False if something is missing.
  [[nodiscard]] bool end_stream(std::uint64_t position) noexcept;

  // First position of the session that has not arrived.
  [[nodiscard]] std::uint64_t arrived() const noexcept { return arrived_; }
  // What the sender may be told now; and whether it is worth telling.
  [[nodiscard]] std::uint64_t limit() const noexcept;
  [[nodiscard]] bool has_news() const noexcept;
  // What the link's reader has dropped, and what became of the last abort.
  [[nodiscard]] Dropped dropped() const noexcept;
  [[nodiscard]] std::uint64_t aborted() const noexcept { return aborted_; }
  [[nodiscard]] bool has_drops() const noexcept {
    return aborted_ != told_aborted_ || dropped() != told_dropped_;
  }
  void told(const Dropped& dropped) noexcept {
    told_dropped_ = dropped;
    told_aborted_ = aborted_;
  }
  void told(std::uint64_t arrived, std::uint64_t limit) noexcept {
    told_arrived_ = arrived;
    told_limit_ = limit;
  }

 private:
  [[nodiscard]] bool is_next(const FrameHeader& header) const noexcept;
  [[nodiscard]] bool is_topic() const noexcept { return open_.form.kind == WireKind::kTopic; }
  [[nodiscard]] bool pass_over_to(std::uint64_t position) noexcept;

  LinkSink& sink_;
  ArrivalLedger& ledger_;
  Open open_{};
  SessionId noted_;  // as the ledger knows the session
  bool knew_session_ = false;
  std::uint64_t arrived_ = 0;
  std::uint64_t cost_ = 0;
  std::uint64_t told_arrived_ = 0;
  std::uint64_t told_limit_ = 0;
  Dropped told_dropped_;
  std::uint64_t told_aborted_ = 0;
  std::uint64_t aborted_ = 0;       // of the session
  std::uint64_t aborted_ring_ = 0;  // where our ring stood then
  std::uint64_t stood_ = 0;         // and what had arrived
  std::uint32_t wanted_bytes_ = 0;
  std::uint32_t total_ = 0;  // of the open message
  std::uint32_t span_ = 0;
  std::uint32_t filled_ = 0;
};

}  // namespace slipring::wire
