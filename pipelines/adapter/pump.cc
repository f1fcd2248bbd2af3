#include "pipelines/adapter/pump.h"

#include <errno.h>
#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <span>

#include "pipelines/adapter/descriptor_wait.h"
#include "pipelines/adapter/other_end.h"
#include "pipelines/link/control_alarm.h"
#include "platform/wait/clock.h"

namespace slipring {
namespace {

template <typename Byte>
std::array<iovec, 2> io_vectors(const StreamParts<Byte>& parts) noexcept {
  const auto vector = [](std::span<Byte> part) {
    return iovec{const_cast<std::byte*>(part.data()), part.size()};
  };
  return {vector(parts.first), vector(parts.second)};
}

Error input_failed(std::uint64_t moved_bytes) noexcept {
  return {ErrorCode::kSystem, errno, "read the input", moved_bytes, 0};
}
Error output_failed(std::uint64_t moved_bytes) noexcept {
  const ErrorCode code =
      errno == ENOSPC || errno == EDQUOT ? ErrorCode::kNoSpace : ErrorCode::kSystem;
  return {code, errno, "write the output", moved_bytes, 0};
}

class Filler {
 public:
  Filler(StreamWriter& link, int input, RoleWatch& reader, const PumpOptions& options) noexcept
      : link_(link),
        input_(input),
        reader_(link, reader, options.stays),
        options_(options),
        waiter_(options.waiter) {}

  Result<PumpReport> run() noexcept {
    if (Result<bool> looked = reader_.has_died(); !looked) return looked.error();
    for (;;) {
      if (is_stopped(options_)) return ended(PumpEnd::kStopped);
      if (link_.is_peer_closed()) return ended(PumpEnd::kOutputClosed);
      StreamParts<std::byte> room;
      const Transfer answer = link_.try_reserve(room);
      if (answer == Transfer::kCorruptPeer) return ended(PumpEnd::kCorruptPeer);
      Result<std::optional<PumpEnd>> step =
          answer == Transfer::kBlocked ? wait_for_room() : read_into(room);
      if (!step) return step.error();
      if (step->has_value()) return ended(**step);
    }
  }

 private:
  using Step = Result<std::optional<PumpEnd>>;

  PumpReport ended(PumpEnd end) noexcept {
    report_.end = end;
    return report_;
  }

  Step look_at_reader() noexcept {
    Result<bool> died = reader_.has_died();
    if (!died) return died.error();
    if (!*died) return std::optional<PumpEnd>();
    return std::optional(link_.is_peer_closed() ? PumpEnd::kOutputClosed : PumpEnd::kReaderDied);
  }

  Step wait_for_room() noexcept {
    const WaitPoint point = link_.space_point();
    const WaitOutcome outcome = waiter_.wait(
        std::span<const WaitPoint>(&point, 1),
        [&] { return link_.has_space() || link_.is_peer_closed() || is_stopped(options_); },
        deadline_after(kLookAtPeerNs));
    if (outcome == WaitOutcome::kReady) return std::optional<PumpEnd>();
    return look_at_reader();
  }

  Step read_into(const StreamParts<std::byte>& room) noexcept {
    if (!is_ready(input_, POLLIN)) {
      Step looked = look_at_reader();
      if (!looked || looked->has_value()) return looked;
      wait_for_descriptor(input_, POLLIN, reader_.poll_fd());
      if (!is_ready(input_, POLLIN)) return std::optional<PumpEnd>();
    }
    const std::array<iovec, 2> vectors = io_vectors(room);
    const ssize_t got = readv(input_, vectors.data(), room.second.empty() ? 1 : 2);
    if (got < 0) {
      if (is_worth_waiting(errno)) return std::optional<PumpEnd>();
      return input_failed(report_.moved_bytes);
    }
    if (got == 0) return std::optional(PumpEnd::kEndOfInput);
    link_.commit(static_cast<std::uint64_t>(got));
    report_.moved_bytes += static_cast<std::uint64_t>(got);
    return std::optional<PumpEnd>();
  }

  StreamWriter& link_;
  int input_;
  OtherEnd<StreamWriter> reader_;
  const PumpOptions& options_;
  Waiter waiter_;
  PumpReport report_;
};

class Drainer {
 public:
  Drainer(StreamReader& link, int output, RoleWatch& writer, const PumpOptions& options) noexcept
      : link_(link),
        output_(output),
        writer_(link, writer, options.stays),
        options_(options),
        waiter_(options.waiter) {}

  Result<PumpReport> run() noexcept {
    for (;;) {
      if (is_stopped(options_)) return ended(PumpEnd::kStopped);
      // Before the ring is looked at: what was published before closing is seen then.
      const bool is_closed = !options_.stays && link_.is_peer_closed();
      StreamView view;
      const Transfer answer = link_.try_peek(view);
      if (answer == Transfer::kCorruptPeer) return ended(PumpEnd::kCorruptPeer);
      if (answer == Transfer::kBlocked && is_closed) return ended(PumpEnd::kEndOfInput);
      Result<std::optional<PumpEnd>> step =
          answer == Transfer::kBlocked ? wait_for_bytes() : write_out(view);
      if (!step) return step.error();
      if (step->has_value()) return ended(**step);
    }
  }

 private:
  using Step = Result<std::optional<PumpEnd>>;

  PumpReport ended(PumpEnd end) noexcept {
    report_.end = end;
    return report_;
  }

  Step wait_for_bytes() noexcept {
    const WaitPoint point = link_.byte_point();
    const WaitOutcome outcome = waiter_.wait(
        std::span<const WaitPoint>(&point, 1),
        [&] {
          return link_.has_bytes() || (!options_.stays && link_.is_peer_closed()) ||
                 is_stopped(options_);
        },
        deadline_after(kLookAtPeerNs));
    if (outcome == WaitOutcome::kReady) return std::optional<PumpEnd>();
    Result<bool> died = writer_.has_died();
    if (!died) return died.error();
    // What it published before its death is seen after its certificate.
    if (!*died || link_.has_bytes() || link_.is_peer_closed()) return std::optional<PumpEnd>();
    return std::optional(PumpEnd::kWriterDied);
  }

  Step write_out(const StreamView& view) noexcept {
    writer_.was_there();
    const std::array<iovec, 2> vectors = io_vectors(view.bytes);
    const ssize_t put = writev(output_, vectors.data(), view.bytes.second.empty() ? 1 : 2);
    if (put < 0) {
      // A TCP reader that leaves with something unread resets the connection.
      if (errno == EPIPE || errno == ECONNRESET) return std::optional(PumpEnd::kOutputClosed);
      if (!is_worth_waiting(errno)) return output_failed(report_.moved_bytes);
      if (errno != EINTR) wait_for_descriptor(output_, POLLOUT, -1);
      return std::optional<PumpEnd>();
    }
    const auto count = static_cast<std::uint64_t>(put);
    report_.repeated_bytes += count < view.redelivered_bytes ? count : view.redelivered_bytes;
    report_.moved_bytes += count;
    link_.consume(count);
    return std::optional<PumpEnd>();
  }

  StreamReader& link_;
  int output_;
  OtherEnd<StreamReader> writer_;
  const PumpOptions& options_;
  Waiter waiter_;
  PumpReport report_;
};

// Reads one stream and writes another.
class Relay {
 public:
  Relay(StreamReader& from, RoleWatch& writer, StreamWriter& to, RoleWatch& reader,
        const PumpOptions& options) noexcept
      : from_(from),
        writer_(from, writer, options.stays),
        to_(to),
        reader_(to, reader, options.stays),
        options_(options),
        waiter_(options.waiter) {}

  Result<PumpReport> run() noexcept {
    if (Result<bool> looked = reader_.has_died(); !looked) return looked.error();
    for (;;) {
      if (is_stopped(options_)) return ended(PumpEnd::kStopped);
      if (to_.is_peer_closed()) return ended(PumpEnd::kOutputClosed);
      const bool is_closed = !options_.stays && from_.is_peer_closed();
      StreamView view;
      const Transfer there = from_.try_peek(view);
      if (there == Transfer::kCorruptPeer) return ended(PumpEnd::kCorruptPeer);
      if (there == Transfer::kBlocked && is_closed) return ended(PumpEnd::kEndOfInput);
      if (there == Transfer::kDone) writer_.was_there();
      const Transfer answer = there == Transfer::kDone ? move(view) : Transfer::kBlocked;
      if (answer == Transfer::kCorruptPeer) return ended(PumpEnd::kCorruptPeer);
      if (answer == Transfer::kDone) continue;
      Result<std::optional<PumpEnd>> step = wait(there == Transfer::kDone);
      if (!step) return step.error();
      if (step->has_value()) return ended(**step);
    }
  }

 private:
  PumpReport ended(PumpEnd end) noexcept {
    report_.end = end;
    return report_;
  }

  Transfer move(const StreamView& view) noexcept {
    std::size_t count = 0;
    const Transfer answer = to_.try_write(view.bytes.first, count);
    if (answer != Transfer::kDone) return answer;
    report_.repeated_bytes += count < view.redelivered_bytes ? count : view.redelivered_bytes;
    report_.moved_bytes += count;
    from_.consume(count);
    return Transfer::kDone;
  }

  Result<std::optional<PumpEnd>> wait(bool is_full) noexcept {
    // Full, it still drops what is queued when it is told to.
    const std::array<WaitPoint, 2> points = {is_full ? to_.space_point() : from_.byte_point(),
                                             from_.control_point()};
    const WaitOutcome outcome = waiter_.wait(
        points,
        [&] {
          return is_stopped(options_) || to_.is_peer_closed() ||
                 (is_full ? to_.has_space() || from_.has_command()
                          : from_.has_bytes() || (!options_.stays && from_.is_peer_closed()));
        },
        deadline_after(kLookAtPeerNs));
    if (outcome == WaitOutcome::kReady) return std::optional<PumpEnd>();
    Result<bool> reader_died = reader_.has_died();
    if (!reader_died) return reader_died.error();
    if (*reader_died && !to_.is_peer_closed()) return std::optional(PumpEnd::kReaderDied);
    Result<bool> writer_died = writer_.has_died();
    if (!writer_died) return writer_died.error();
    // What it published before its death is seen after its certificate.
    if (!*writer_died || from_.has_bytes() || from_.is_peer_closed()) {
      return std::optional<PumpEnd>();
    }
    return std::optional(PumpEnd::kWriterDied);
  }

  StreamReader& from_;
  OtherEnd<StreamReader> writer_;
  StreamWriter& to_;
  OtherEnd<StreamWriter> reader_;
  const PumpOptions& options_;
  Waiter waiter_;
  PumpReport report_;
};

}  // namespace

Result<PumpReport> fill(StreamWriter& link, int input, RoleWatch& reader,
                        const PumpOptions& options) noexcept {
  return Filler(link, input, reader, options).run();
}

Result<PumpReport> relay(StreamReader& from, RoleWatch& writer, StreamWriter& to, RoleWatch& reader,
                         const PumpOptions& options) noexcept {
  return Relay(from, writer, to, reader, options).run();
}

Result<PumpReport> drain(StreamReader& link, int output, RoleWatch& writer,
                         const PumpOptions& options) noexcept {
  std::optional<ControlAlarm> alarm;
  if (options.abort_signal != 0) {
    Result<ControlAlarm> started =
        ControlAlarm::by_signal(link.control_watch(), options.abort_signal);
    if (!started) return started.error();
    alarm.emplace(std::move(started).value());
  }
  return Drainer(link, output, writer, options).run();
}

}  // namespace slipring
