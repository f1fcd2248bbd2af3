// A lane set's ends as source and sink of messages: many senders, one mailbox.
//
// Ends.  As of a FIFO: a source that does not stay ends when there has been a sender, none lives,
// and everything is read; without PumpOptions::awaits_sender there need not have been one.  A sink
// does not need a reader: what it puts stays in its lane, and outlives it, until somebody reads it.
// Neither end of a set is closed for good by leaving.
//
// A lane in which impossible values stand is left out from then on, and counted.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "pipelines/adapter/message_ends.h"
#include "pipelines/adapter/message_pump.h"
#include "pipelines/adapter/pump_options.h"
#include "pipelines/link/lane_reader.h"
#include "pipelines/link/link_writer.h"
#include "platform/wait/clock.h"
#include "platform/wait/waiter.h"

namespace slipring {

class LaneSource final : public MessageSource {
 public:
  LaneSource(LaneReader set, const PumpOptions& options) noexcept;

  // Leaves out what senders have aborted.
  Result<Passage> try_take(std::span<const std::byte>& message) noexcept override;
  void finish_taken() noexcept override;
  Result<Passage> wait(int alarm_fd) noexcept override;
  void add_to(PumpReport& report) const noexcept override;

  // What try_take() gave last, and whose it is.
  [[nodiscard]] const LaneMessage& last() const noexcept { return taken_[taken_count_ - 1]; }

 private:
  LaneReader set_;
  PumpOptions options_;
  Waiter waiter_;
  std::array<LaneMessage, kPumpBatch> taken_;  // and not finished
  std::uint32_t taken_count_ = 0;
  bool had_sender_;
  PumpReport counts_;
};

class LaneSink final : public MessageSink {
 public:
  // Requires: a lane of a set.  wait() answers kBusy after options.room_wait_ns without room, with
  // the credit (0: none) that is used up in `found`.
  LaneSink(LinkWriter lane, const PumpOptions& options) noexcept;

  [[nodiscard]] std::uint64_t max_message_bytes() const noexcept override {
    return lane_.max_message_bytes();
  }
  Result<Passage> put(std::span<const std::byte> message) noexcept override;
  Result<Passage> flush() noexcept override { return Passage::kDone; }
  Result<Passage> wait() noexcept override;
  Result<Passage> look() noexcept override;
  // The lane has no writer any more; what is in it stays.
  void close() noexcept override { lane_.close(); }

 private:
  LinkWriter lane_;
  PumpOptions options_;
  Waiter waiter_;
  std::uint64_t wanted_bytes_ = 0;
  std::uint64_t room_deadline_ns_ = kNoDeadline;  // while there is no room
};

}  // namespace slipring
