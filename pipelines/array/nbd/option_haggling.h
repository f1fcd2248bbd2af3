// The options that client and server haggle about before the first request.
//
// One option in, its replies out; no sockets, no memory between calls but what the caller passes.
// Everything that a client says is input: lengths are checked before they are used, and what the
// protocol has no error for ends the connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pipelines/array/block_request.h"
#include "pipelines/array/nbd/nbd_protocol.h"

namespace slipring::array {

// The most that a read or write may carry; clients are told, and may ask what they want.
inline constexpr std::uint32_t kPayloadBytesMax = 32U << 20;
// Of an option's data.  Longer ones are refused, up to kSkippedOptionBytesMax, and then hung up on.
inline constexpr std::uint32_t kOptionBytesMax = 8 * 1024;
inline constexpr std::uint32_t kSkippedOptionBytesMax = 1U << 20;
// Of all replies to one option.
inline constexpr std::size_t kOptionReplyBytesMax = 8 * 1024;

struct NbdExport {
  std::string name;
  std::uint16_t number = 0;
  std::optional<BlockExport> block;  // what the back end says of it; nothing: not yet
};

enum class TlsPolicy : std::uint8_t {
  kOff,       // STARTTLS is not known
  kOffered,   // clients may
  kRequired,  // before anything else is told
};

// Who may open an export, besides knowing its name.
class ExportGate {
 public:
  ExportGate() = default;
  ExportGate(const ExportGate&) = delete;
  ExportGate& operator=(const ExportGate&) = delete;
  // Why this connection may not now; empty: it may.  May make room for it.
  [[nodiscard]] virtual std::string_view refusal(std::uint32_t connection) = 0;

 protected:
  ~ExportGate() = default;
};

// What has been agreed so far.
struct HagglingState {
  TlsPolicy tls = TlsPolicy::kOff;
  bool is_encrypted = false;
  bool has_no_zeroes = false;
  bool has_structured_replies = false;
  // base:allocation was chosen for the export of this number.
  std::optional<std::uint16_t> allocation_export;
  ExportGate* gate = nullptr;  // nullptr: whoever knows an export's name may
  std::uint32_t connection = 0;

  [[nodiscard]] std::string_view refusal() const {
    return gate == nullptr ? std::string_view() : gate->refusal(connection);
  }
};

enum class HagglingOutcome : std::uint8_t {
  kGoOn,
  kTransmission,  // of `export_number`
  kStartTls,      // send the reply; then TLS; what was agreed before counts no more
  kFinish,        // the client wishes so: send the reply, and close
  kHangUp,        // at once: there is no reply to this
};

struct OptionAnswer {
  HagglingOutcome outcome = HagglingOutcome::kGoOn;
  std::uint16_t export_number = 0;
  std::vector<std::byte> reply;  // at most kOptionReplyBytesMax
};

// "NBDMAGIC", "IHAVEOPT", and what the server can.
[[nodiscard]] std::vector<std::byte> greeting();

// Answers one option; `data` are all its data, at most kOptionBytesMax.
// Requires: every export is described.
[[nodiscard]] OptionAnswer answer_option(std::uint32_t option, std::span<const std::byte> data,
                                         std::span<const NbdExport> exports, HagglingState& state);

// An option whose data are too many to be looked at.
[[nodiscard]] std::vector<std::byte> too_big(std::uint32_t option);

// What clients are told that the export can.
[[nodiscard]] std::uint16_t transmission_flags(const BlockExport& block,
                                               const HagglingState& state) noexcept;

}  // namespace slipring::array
