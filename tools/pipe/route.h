// From where to where one call of `pipe`, `put` or `get` carries, and how.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "pipelines/adapter/endpoint.h"
#include "pipelines/adapter/lane_meeting.h"
#include "pipelines/adapter/link_meeting.h"
#include "pipelines/adapter/message_framer.h"
#include "pipelines/adapter/pump_options.h"
#include "platform/memory/segment_directory.h"
#include "tools/cli/exit_status.h"

namespace slipring::tools {

// What `get` asks for; 0: no limit.
struct ReadLimits {
  std::uint64_t count = 0;    // messages
  std::uint64_t wait_ns = 0;  // without one
  bool from_oldest = false;   // a broadcast link: from the oldest message held
  bool as_json = false;       // each message as an object

  [[nodiscard]] bool are_set() const noexcept { return count != 0 || wait_ns != 0; }
};

struct Route {
  std::string_view command;  // whom complaints name
  std::string from_text;     // as it was asked for
  std::string to_text;
  Endpoint from;
  Endpoint to;
  const SegmentDirectory& directory;
  MeetingOptions meeting;
  Framing framing = Framing::kBytes;
  std::uint64_t max_message_bytes = kDefaultMaxMessageBytes;
  PumpOptions pump;
  ReadLimits limits;
  LaneMeetingOptions lanes;  // how long a lane set's opening may take
};

// Each opens both ends, carries until one of them ends, and leaves links as they should be left.
// Nothing after a complaint that it cannot begin, with its status.
std::optional<Result<PumpReport>> carry_bytes(const Route& route, ExitStatus& status);
// With a report, kWouldBlock in `status` says that the time ran out that route.limits set.
// What keeps boundaries by itself stays as it is; elsewhere `framing` puts them, and a source needs
// one.
std::optional<Result<PumpReport>> carry_messages(const Route& route, ExitStatus& status);

// Stopped, or after a failure, the rest is left to a successor.
[[nodiscard]] bool is_all_read(const Result<PumpReport>& report) noexcept;

// How a link is left.
enum class Leaving : std::uint8_t {
  kForGood,      // closed: nobody reads on, or this was all of it
  kToSuccessor,  // as it is
};
[[nodiscard]] Leaving source_leaving(const Route& route, const Result<PumpReport>& report) noexcept;
// Closing says that this was all of it; after a failure it was not, and where a stop came before
// the first byte there is nothing to say.
[[nodiscard]] Leaving sink_leaving(const Route& route, const Result<PumpReport>& report,
                                   bool is_whole) noexcept;

// After our end has gone: the last one to leave removes the name, and who `is_made` for removes
// what nothing ever came of.  A failure leaves a name that `slipring rm` takes.
void remove_what_is_over(const Route& route, const std::string& name, std::uint64_t inode,
                         Leaving leaving, bool is_made) noexcept;

}  // namespace slipring::tools
