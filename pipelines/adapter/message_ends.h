// Where messages come from and where they go, for the pump between the two: links, lines and frames
// of a descriptor, datagrams, many clients at once.
//
// Protocol.  The pump takes messages, puts each into the sink, and now and then flushes the sink;
// when that is done, it finishes what it took.  So a message is finished only when it is out of our
// hands: a pump that is killed repeats, and does not lose.  What was taken stays in place until
// then, and the sink may refer to it until it is flushed.
//
// One thread at a time.  Destroying an end lays its role down, for a successor; close() before that
// says that it is for good.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/error/result.h"
#include "pipelines/adapter/pump_options.h"
#include "pipelines/link/control_lane.h"

namespace slipring {

enum class Passage : std::uint8_t {
  kDone,
  kBlocked,  // nothing there, or no room: wait() and try again
  kEnded,    // for good; ended_by() says how
};

class MessageSource {
 public:
  MessageSource() = default;
  MessageSource(const MessageSource&) = delete;
  MessageSource& operator=(const MessageSource&) = delete;
  virtual ~MessageSource() = default;

  // The sink's limit, told once before anything is taken: what is longer is of no use.
  virtual void limit(std::uint64_t max_message_bytes) noexcept {
    static_cast<void>(max_message_bytes);
  }
  // The next message, in place until finish_taken().  May answer kBlocked while something that was
  // taken is in the way.  Errors: kSystem (reading), kDamagedData.
  virtual Result<Passage> try_take(std::span<const std::byte>& message) noexcept = 0;
  // Drops at once what is queued behind what was taken, if somebody commands it; while the sink has
  // no room nobody takes.
  virtual void obey_commands() noexcept {}
  // What an alarm for such a command goes by; empty where nobody commands.
  [[nodiscard]] virtual ControlWatch control_watch() const noexcept { return {}; }
  // All that was taken is where it should be.
  virtual void finish_taken() noexcept = 0;
  // Requires: nothing is taken.  Sleeps until try_take() may answer something else, until
  // `alarm_fd` is readable (-1: none), until a signal, or for kLookAtPeerNs.  kEnded: the other
  // side is gone for good, and everything has been taken.  Errors: kSystem.
  virtual Result<Passage> wait(int alarm_fd) noexcept = 0;
  // Nobody will take what may still come.
  virtual void close() noexcept {}

  [[nodiscard]] PumpEnd ended_by() const noexcept { return ended_by_; }
  // Adds what the source counts.
  virtual void add_to(PumpReport& report) const noexcept { static_cast<void>(report); }

 protected:
  Passage end(PumpEnd how) noexcept {
    ended_by_ = how;
    return Passage::kEnded;
  }

 private:
  PumpEnd ended_by_ = PumpEnd::kEndOfInput;
};

class MessageSink {
 public:
  MessageSink() = default;
  MessageSink(const MessageSink&) = delete;
  MessageSink& operator=(const MessageSink&) = delete;
  virtual ~MessageSink() = default;

  // No longer message can be put.
  [[nodiscard]] virtual std::uint64_t max_message_bytes() const noexcept = 0;
  // Takes the message, whole or not at all; it stays in place until flush() has answered kDone.
  // Requires: message.size() <= max_message_bytes().  Errors: kSystem, kNoSpace (writing).
  virtual Result<Passage> put(std::span<const std::byte> message) noexcept = 0;
  // Hands on what was put.  kDone: all of it.  Errors: as put().
  virtual Result<Passage> flush() noexcept = 0;
  // After kBlocked.  Sleeps until it is worth trying again, until a signal, or for kLookAtPeerNs.
  // kEnded: the other side is gone.  Errors: kSystem.
  virtual Result<Passage> wait() noexcept = 0;
  // Whether the other side is there still, while the source has nothing: kDone or kEnded.
  virtual Result<Passage> look() noexcept { return Passage::kDone; }
  // Readable when look() may answer something new; -1: nobody says.
  [[nodiscard]] virtual int alarm_fd() const noexcept { return -1; }
  // This was all.
  virtual void close() noexcept {}

  [[nodiscard]] PumpEnd ended_by() const noexcept { return ended_by_; }
  // Adds what the sink counts.
  virtual void add_to(PumpReport& report) const noexcept { static_cast<void>(report); }

 protected:
  Passage end(PumpEnd how) noexcept {
    ended_by_ = how;
    return Passage::kEnded;
  }

 private:
  PumpEnd ended_by_ = PumpEnd::kOutputClosed;
};

}  // namespace slipring
