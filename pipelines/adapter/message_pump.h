// Messages from a source into a sink, each whole, in order, and none twice unless a predecessor
// died with it in hand.
//
// Back-pressure: a sink without room stops the taking, and what is in front of the source fills.
// Crash.  A killed pump's successor begins with the first message that was not finished: at most
// kPumpBatch messages come again.
#pragma once

#include <cstdint>

#include "core/error/result.h"
#include "pipelines/adapter/message_ends.h"
#include "pipelines/adapter/pump_options.h"

namespace slipring {

// Messages taken before the sink is flushed, at most.
inline constexpr std::uint32_t kPumpBatch = 256;

// Until one side has ended, or a stop.  Does not close the ends.  Requires: SIGPIPE is ignored if
// the sink writes a descriptor.  What was taken before an error is handed on first.
// Errors: as the ends'; kDamagedData (a message that is too long for the sink: its length is
// `found`, the cap `wanted`).
Result<PumpReport> pump_messages(MessageSource& source, MessageSink& sink,
                                 const PumpOptions& options) noexcept;

}  // namespace slipring
