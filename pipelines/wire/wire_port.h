// A local link as the wire knows it: under a name, from one of its sides.
//
// A port belongs to this process for as long as it exists: it holds the link's role and the board
// beside it.  At any time at most one session uses it.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error/result.h"
#include "pipelines/link/link_observer.h"
#include "pipelines/wire/arrival_ledger.h"
#include "pipelines/wire/frame.h"
#include "pipelines/wire/link_sink.h"
#include "pipelines/wire/link_source.h"
#include "pipelines/wire/source_session.h"
#include "platform/memory/segment_directory.h"

namespace slipring::wire {

class Session;

struct WirePortOptions {
  MemoryLock memory_lock = MemoryLock::kTry;
  // Of whoever is at the link's other end: signalled as its doorbell is rung.  -1: there is none.
  int peer_event_fd = -1;
  // Of a lane set that is written: which of its senders from other machines.
  std::uint32_t seat = 0;
  // And of a set over there, from which lane: 1 for the first; 0: from whichever is given.
  std::uint32_t asked_lane = 0;
  // Of a topic: who calls, drawn by whoever dials.  0: we are called.
  std::uint64_t subscriber = 0;
};

// Addresses stay: sessions keep them.
class WirePort {
 public:
  // `link` is the local link's name, `wire_name` what the other machine calls it.  kSender reads
  // the link, kReceiver writes it.
  // Errors: as LinkSource::attach(), LinkSink::attach(); kBusy (the link was replaced meanwhile; as
  // the boards); kCorruptPeer (as ArrivalLedger::bind()); kInvalidArgument (a name too long).
  Status open(const SegmentDirectory& directory, std::string_view link, std::string_view wire_name,
              LinkSide side, const WirePortOptions& options = {}) noexcept;
  // Of a lane set that is sent: takes its reading role, and answers a port for each of its lanes,
  // but for those of a named one that make no sense.  Errors: as open(), LaneReader::attach().
  static Result<std::vector<std::unique_ptr<WirePort>>> open_lanes(
      const SegmentDirectory& directory, std::string_view link, std::string_view wire_name,
      const WirePortOptions& options = {}) noexcept;

  [[nodiscard]] LinkSide side() const noexcept { return side_; }
  [[nodiscard]] const std::string& link() const noexcept { return link_; }
  [[nodiscard]] const std::string& wire_name() const noexcept { return wire_name_; }

  // Of kSender.
  [[nodiscard]] LinkSource& source() noexcept { return *source_; }
  [[nodiscard]] SourceSession& source_session() noexcept { return *source_session_; }
  // Of kReceiver.
  [[nodiscard]] LinkSink& sink() noexcept { return *sink_; }
  [[nodiscard]] ArrivalLedger& ledger() noexcept { return *ledger_; }

  // The last session known, ours or the other side's; none at first.
  [[nodiscard]] SessionId session_id() const noexcept {
    if (source_session_) return source_session_->id();
    return opened_.is_none() ? ledger_->session() : opened_;
  }
  // Under which we call.
  [[nodiscard]] SessionId calling_id() const noexcept;
  // Who calls under that is whom the port's last session was with.
  [[nodiscard]] bool is_called_by(const SessionId& theirs) const noexcept;
  void called_by(const SessionId& theirs) noexcept;
  // One subscriber of many, or the receiver of a topic.
  [[nodiscard]] bool is_topic() const noexcept { return is_topic_; }
  // Of kReceiver: a session has been opened, and may not have published yet.
  void opened(const Open& open) noexcept {
    opened_ = open.session;
    lanes_there_ = open.lane_count;
  }
  // Of a lane: false while what another session has published in it is not read.
  [[nodiscard]] bool may_open(const SessionId& session) const noexcept {
    if (!sink_->lane() || opened_.is_none() || opened_ == session) return true;
    return sink_->position() == sink_->done();
  }
  // How many lanes the set has from which the last session came; 0: from no lane.
  [[nodiscard]] std::uint32_t lanes_there() const noexcept { return lanes_there_; }
  [[nodiscard]] std::uint32_t asked_lane() const noexcept { return asked_lane_; }
  // Of a lane set that is sent.
  [[nodiscard]] std::uint32_t lane() const noexcept { return lane_; }
  [[nodiscard]] bool is_lane_sent() const noexcept { return source_ && source_->lane_count() != 0; }
  [[nodiscard]] WaitPoint wait_point() noexcept {
    return source_ ? source_->wait_point() : sink_->wait_point();
  }
  [[nodiscard]] std::span<const WaitPoint> further_points() noexcept {
    return sink_ ? sink_->further_points() : std::span<const WaitPoint>();
  }
  // As of the link's end: LinkSource, LinkSink.
  [[nodiscard]] std::optional<WaitPoint> news_point() noexcept {
    return source_ ? source_->news_point() : sink_->news_point();
  }
  void look_for_news() noexcept {
    if (source_) source_->look_for_news();
    if (sink_) sink_->look_for_news();
  }

  // Who uses it; nullptr: nobody.
  [[nodiscard]] Session* user() const noexcept { return user_; }
  void use(Session* session) noexcept { user_ = session; }

  // All of it has been carried, or nobody wants it any more: there is nothing left to do here.
  [[nodiscard]] bool is_over() const noexcept { return is_over_; }
  void finish() noexcept { is_over_ = true; }

 private:
  Status open_source(const SegmentDirectory& directory, const LinkReport& link,
                     const WirePortOptions& options) noexcept;
  Status open_lane(const SegmentDirectory& directory, const LinkReport& link, LinkHold hold,
                   const WirePortOptions& options) noexcept;
  Status open_sink(const SegmentDirectory& directory, const LinkReport& link,
                   const WirePortOptions& options) noexcept;

  LinkSide side_ = LinkSide::kSender;
  std::string link_;
  std::string wire_name_;
  std::optional<SourceSession> source_session_;  // outlives the source
  std::unique_ptr<LinkSource> source_;
  std::unique_ptr<LinkSink> sink_;
  std::optional<ArrivalLedger> ledger_;
  SessionId opened_;
  bool is_topic_ = false;
  std::uint64_t subscriber_ = 0;
  std::uint32_t lanes_there_ = 0;
  std::uint32_t asked_lane_ = 0;
  std::uint32_t lane_ = 0;
  Session* user_ = nullptr;
  bool is_over_ = false;
};

}  // namespace slipring::wire
