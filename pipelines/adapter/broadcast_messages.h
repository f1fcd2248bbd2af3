// A topic's ends as source and sink of messages: publish and subscribe.
//
// A source ends when every publisher has closed and everything was taken, or, unless it stays, when
// those that have not are certified dead; a publisher that has not come yet is waited for.  What it
// lost is counted.  A lane in which impossible values stand is left out from then on, and counted;
// the last one ends it.  A sink needs no reader.  Under block it waits for readers, and for no dead
// one.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "pipelines/adapter/message_ends.h"
#include "pipelines/adapter/pump_options.h"
#include "pipelines/link/broadcast_sender.h"
#include "pipelines/link/topic_reader.h"
#include "platform/wait/waiter.h"

namespace slipring {

class BroadcastSource final : public MessageSource {
 public:
  BroadcastSource(TopicReader topic, const PumpOptions& options) noexcept;

  // One message at a time: it was copied out of the ring.
  Result<Passage> try_take(std::span<const std::byte>& message) noexcept override;
  void finish_taken() noexcept override;
  Result<Passage> wait(int alarm_fd) noexcept override;
  void add_to(PumpReport& report) const noexcept override;

  // What try_take() gave last, and whose it is.
  [[nodiscard]] const TopicMessage& last() const noexcept { return taken_; }

 private:
  [[nodiscard]] bool is_over() const noexcept { return !options_.stays && topic_.is_closed(); }
  Result<Passage> end_or_go_on() noexcept;

  TopicReader topic_;
  PumpOptions options_;
  Waiter waiter_;
  TopicMessage taken_;
  bool has_taken_ = false;
  std::uint32_t taken_since_look_ = 0;  // for new lanes
  PumpReport counts_;
};

class BroadcastSink final : public MessageSink {
 public:
  BroadcastSink(BroadcastSender link, const PumpOptions& options) noexcept;

  [[nodiscard]] std::uint64_t max_message_bytes() const noexcept override {
    return link_.max_message_bytes();
  }
  Result<Passage> put(std::span<const std::byte> message) noexcept override;
  Result<Passage> flush() noexcept override { return Passage::kDone; }
  Result<Passage> wait() noexcept override;
  void close() noexcept override { link_.close(); }

 private:
  BroadcastSender link_;
  PumpOptions options_;
  Waiter waiter_;
};

}  // namespace slipring
