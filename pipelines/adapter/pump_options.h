// How bytes are to be carried, and how it ended.
#pragma once

#include <atomic>
#include <cstdint>

#include "platform/wait/waiter.h"

namespace slipring {

enum class PumpEnd : std::uint8_t {
  kEndOfInput,    // all of it was carried
  kWriterDied,    // certified; all that it had published was carried
  kReaderDied,    // certified
  kOutputClosed,  // nobody reads the output: EPIPE, or its reader has closed
  kCorruptPeer,   // another end wrote what no correct end writes
  kStopped,       // `stop` was set
};

struct PumpOptions {
  bool stays = false;
  // Looked at between moves and after each sleep; set by a signal handler.
  const std::atomic<bool>* stop = nullptr;
  WaiterOptions waiter = {};
  // A lane set's source waits for its first sender; otherwise it takes what is there, and ends.
  bool awaits_sender = true;
  // A lane of a set: so long without room and no longer; 0: for ever.
  std::uint64_t room_wait_ns = 0;
  // A real-time signal that interrupts a pump blocked in its output when somebody commands that
  // what is queued be dropped (pipelines/link/CONTROL.md); 0: the command waits for the output.
  int abort_signal = 0;
};

struct PumpReport {
  PumpEnd end = PumpEnd::kEndOfInput;
  std::uint64_t moved_bytes = 0;
  std::uint64_t repeated_bytes = 0;  // a dead predecessor may have written them already
  // Where messages are carried, and not bytes.
  std::uint64_t moved_messages = 0;
  std::uint64_t repeated_messages = 0;
  std::uint64_t aborted_messages = 0;    // left out: their writer no longer wanted them
  std::uint64_t ambiguous_messages = 0;  // written as a line, with a line feed inside
  std::uint64_t truncated_messages = 0;  // datagrams longer than a message may be, left out whole
  std::uint64_t overrun_messages = 0;    // datagrams that the kernel had no room for
  std::uint64_t unheard_messages = 0;    // UDP: times the other machine said that nobody listens
  std::uint64_t client_count = 0;        // of a listener with many clients: who came, in all
  std::uint64_t displaced_clients = 0;   // of these, silent ones that gave way to newcomers
  std::uint64_t refused_clients = 0;     // of these, sent away: too long a message, or torn
  std::uint64_t lost_messages = 0;       // of a broadcast link: overwritten before we read them
  std::uint64_t corrupt_lanes = 0;  // of a lane set: left out, since impossible values stood there
};

}  // namespace slipring
