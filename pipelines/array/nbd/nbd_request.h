// One request of a client: its 28 bytes, and what is wrong with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "pipelines/array/block_request.h"
#include "pipelines/array/nbd/nbd_protocol.h"

namespace slipring::array {

struct NbdRequest {
  std::uint16_t flags = 0;
  std::uint16_t command = 0;
  std::uint64_t cookie = 0;
  std::uint64_t offset = 0;
  std::uint32_t length = 0;

  [[nodiscard]] bool is(NbdCommand wanted) const noexcept {
    return command == static_cast<std::uint16_t>(wanted);
  }
};

// Nothing when the magic is wrong: where the next request begins is then unknown.
// Requires: kRequestBytes bytes.
[[nodiscard]] std::optional<NbdRequest> parse_request(std::span<const std::byte> bytes) noexcept;

// kNone, or the error that the protocol has for it.  Payload of a write follows in any case.
[[nodiscard]] NbdError judge_request(const NbdRequest& request, const BlockExport& block,
                                     bool has_structured_replies,
                                     bool has_allocation_context) noexcept;

// The error that the protocol has for a Linux errno.
[[nodiscard]] NbdError nbd_error_of(std::uint32_t os_errno) noexcept;

// Bytes that come back as data; what a request is cut into pieces by.
[[nodiscard]] inline bool has_data(std::uint16_t command) noexcept {
  return command == static_cast<std::uint16_t>(NbdCommand::kRead) ||
         command == static_cast<std::uint16_t>(NbdCommand::kWrite);
}

// Requires: a command that goes to the back end.
[[nodiscard]] BlockOperation block_operation(std::uint16_t command) noexcept;
[[nodiscard]] std::uint8_t block_flags(std::uint16_t nbd_flags) noexcept;

}  // namespace slipring::array
