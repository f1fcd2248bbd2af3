// The lists that all_targets() is made of.
#pragma once

#include <span>

#include "tests/fuzz/fuzz_target.h"

namespace slipring::fuzz {

[[nodiscard]] std::span<const TargetInfo> value_targets();
[[nodiscard]] std::span<const TargetInfo> slot_targets();
[[nodiscard]] std::span<const TargetInfo> record_targets();
[[nodiscard]] std::span<const TargetInfo> stream_targets();
[[nodiscard]] std::span<const TargetInfo> lane_targets();
[[nodiscard]] std::span<const TargetInfo> broadcast_targets();
[[nodiscard]] std::span<const TargetInfo> mpmc_targets();
[[nodiscard]] std::span<const TargetInfo> pool_targets();
[[nodiscard]] std::span<const TargetInfo> header_targets();
[[nodiscard]] std::span<const TargetInfo> guard_targets();
[[nodiscard]] std::span<const TargetInfo> text_targets();
[[nodiscard]] std::span<const TargetInfo> http_targets();
[[nodiscard]] std::span<const TargetInfo> transport_targets();
[[nodiscard]] std::span<const TargetInfo> wire_targets();
[[nodiscard]] std::span<const TargetInfo> framing_targets();
[[nodiscard]] std::span<const TargetInfo> nbd_targets();
[[nodiscard]] std::span<const TargetInfo> message_header_targets();

// Broken ones that stand beside the sound.
[[nodiscard]] const TargetInfo& planted_framer();
[[nodiscard]] std::span<const TargetInfo> planted_message_headers();

}  // namespace slipring::fuzz
