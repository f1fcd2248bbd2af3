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
};

struct PumpReport {
  PumpEnd end = PumpEnd::kEndOfInput;
  std::uint64_t moved_bytes = 0;
  std::uint64_t repeated_bytes = 0;  // a dead predecessor may have written them already
};

}  // namespace slipring
