#include "pipelines/adapter/message_pump.h"

#include <optional>
#include <utility>

#include "pipelines/adapter/other_end.h"
#include "pipelines/link/control_alarm.h"

namespace slipring {
namespace {

class MessagePump {
 public:
  MessagePump(MessageSource& source, MessageSink& sink, const PumpOptions& options) noexcept
      : source_(source), sink_(sink), options_(options) {}

  Result<PumpReport> run() noexcept {
    source_.limit(sink_.max_message_bytes());
    for (;;) {
      if (is_stopped(options_)) return stop();
      std::span<const std::byte> message;
      Result<Passage> took = source_.try_take(message);
      // What is sound before a fault is handed on.
      if (!took) return taken_count_ == 0 ? took.error() : fail_after_settling(took.error());
      if (*took == Passage::kDone) {
        Result<std::optional<PumpEnd>> put = put_whole(message);
        if (!put) return put.error();
        if (put->has_value()) return ended(**put);
        if (taken_count_ < kPumpBatch) continue;
      }
      if (taken_count_ != 0) {
        Result<std::optional<PumpEnd>> settled = settle();
        if (!settled) return settled.error();
        if (settled->has_value()) return ended(**settled);
        if (*took != Passage::kEnded) continue;
      }
      if (*took == Passage::kEnded) return ended(source_.ended_by());
      Result<std::optional<PumpEnd>> waited = wait_for_message();
      if (!waited) return waited.error();
      if (waited->has_value()) return ended(**waited);
    }
  }

 private:
  using Step = Result<std::optional<PumpEnd>>;

  PumpReport ended(PumpEnd how) noexcept {
    report_.end = how;
    source_.add_to(report_);
    sink_.add_to(report_);
    return report_;
  }

  // What a stop finds in the sink is handed on if that takes no waiting.
  Result<PumpReport> stop() noexcept {
    Result<Passage> flushed = sink_.flush();
    if (flushed.ok() && *flushed == Passage::kDone) finish();
    return ended(PumpEnd::kStopped);
  }

  Error fail_after_settling(const Error& error) noexcept {
    Step settled = settle();
    return settled ? error : settled.error();
  }

  Step put_whole(std::span<const std::byte> message) noexcept {
    if (message.size() > sink_.max_message_bytes()) {
      return Error{ErrorCode::kDamagedData, 0, "hand on a message as long as that", message.size(),
                   sink_.max_message_bytes()};
    }
    for (;;) {
      Result<Passage> put = sink_.put(message);
      if (!put) return put.error();
      if (*put == Passage::kEnded) return std::optional(sink_.ended_by());
      if (*put == Passage::kDone) break;
      // What was put before may be what fills it.  Nothing is finished yet: the message is in hand.
      Step flushed = was_flushed_ ? wait_for_room() : flush();
      if (!flushed || flushed->has_value()) return flushed;
      was_flushed_ = !was_flushed_;
    }
    was_flushed_ = false;
    ++taken_count_;
    taken_bytes_ += message.size();
    return std::optional<PumpEnd>();
  }

  Step wait_for_room() noexcept {
    if (is_stopped(options_)) return std::optional(PumpEnd::kStopped);
    source_.obey_commands();
    Result<Passage> waited = sink_.wait();
    if (!waited) return waited.error();
    if (*waited == Passage::kEnded) return std::optional(sink_.ended_by());
    return std::optional<PumpEnd>();
  }

  // Until all of it is handed on.
  Step flush() noexcept {
    for (;;) {
      Result<Passage> flushed = sink_.flush();
      if (!flushed) return flushed.error();
      if (*flushed == Passage::kEnded) return std::optional(sink_.ended_by());
      if (*flushed == Passage::kDone) return std::optional<PumpEnd>();
      Step waited = wait_for_room();
      if (!waited || waited->has_value()) return waited;
    }
  }

  Step settle() noexcept {
    Step flushed = flush();
    if (flushed.ok() && !flushed->has_value()) finish();
    return flushed;
  }

  void finish() noexcept {
    source_.finish_taken();
    report_.moved_messages += taken_count_;
    report_.moved_bytes += taken_bytes_;
    taken_count_ = 0;
    taken_bytes_ = 0;
  }

  Step wait_for_message() noexcept {
    Result<Passage> there = sink_.look();
    if (!there) return there.error();
    if (*there == Passage::kEnded) return std::optional(sink_.ended_by());
    Result<Passage> waited = source_.wait(sink_.alarm_fd());
    if (!waited) return waited.error();
    if (*waited == Passage::kEnded) return std::optional(source_.ended_by());
    return std::optional<PumpEnd>();
  }

  MessageSource& source_;
  MessageSink& sink_;
  const PumpOptions& options_;
  PumpReport report_;
  bool was_flushed_ = false;
  std::uint32_t taken_count_ = 0;  // put, and not yet finished
  std::uint64_t taken_bytes_ = 0;
};

}  // namespace

Result<PumpReport> pump_messages(MessageSource& source, MessageSink& sink,
                                 const PumpOptions& options) noexcept {
  std::optional<ControlAlarm> alarm;
  const ControlWatch watch = source.control_watch();
  if (options.abort_signal != 0 && watch.count != nullptr) {
    Result<ControlAlarm> started = ControlAlarm::by_signal(watch, options.abort_signal);
    if (!started) return started.error();
    alarm.emplace(std::move(started).value());
  }
  return MessagePump(source, sink, options).run();
}

}  // namespace slipring
