// A broadcast link's ends as source and sink of messages: publish and subscribe to a topic.
//
// A source ends when the writer has closed and everything was taken, or, unless it stays, when the
// writer is certified dead; a writer that has not come yet is waited for.  What it lost is counted.
// A sink needs no reader.  Under block it waits for readers, and for no dead one.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "pipelines/adapter/message_ends.h"
#include "pipelines/adapter/pump_options.h"
#include "pipelines/link/broadcast_receiver.h"
#include "pipelines/link/broadcast_sender.h"
#include "platform/wait/waiter.h"

namespace slipring {

class BroadcastSource final : public MessageSource {
 public:
  BroadcastSource(BroadcastReceiver link, const PumpOptions& options) noexcept;

  // One message at a time: it was copied out of the ring.
  Result<Passage> try_take(std::span<const std::byte>& message) noexcept override;
  void finish_taken() noexcept override;
  Result<Passage> wait(int alarm_fd) noexcept override;
  void add_to(PumpReport& report) const noexcept override;

  // What try_take() gave last.
  [[nodiscard]] const BroadcastMessage& last() const noexcept { return taken_; }
  // Who writes a guarded link, by the kernel's word.
  [[nodiscard]] LinkPeer sender() const noexcept { return link_.sender(); }

 private:
  [[nodiscard]] bool is_over() const noexcept {
    return !options_.stays && link_.is_writer_closed();
  }

  BroadcastReceiver link_;
  PumpOptions options_;
  Waiter waiter_;
  BroadcastMessage taken_;
  bool has_taken_ = false;
  bool had_writer_ = false;
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
