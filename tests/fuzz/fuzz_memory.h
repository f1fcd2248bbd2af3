// MpmcMemory, and a word, whose every access goes by the script.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/ring/mpmc_record.h"
#include "tests/fuzz/access_script.h"

namespace slipring::fuzz {

struct FuzzMemory : MpmcMemory {
  static void pause() noexcept {}
  [[nodiscard]] static std::uint64_t read_slot(const MpmcSlot& slot) noexcept {
    access_script.access();
    return MpmcMemory::read_slot(slot);
  }
  [[nodiscard]] static bool swap_slot(MpmcSlot& slot, std::uint64_t& seen,
                                      std::uint64_t next) noexcept {
    access_script.access();
    return MpmcMemory::swap_slot(slot, seen, next);
  }
  [[nodiscard]] static std::uint64_t read_intent(const std::atomic<std::uint64_t>& word) noexcept {
    access_script.access();
    return MpmcMemory::read_intent(word);
  }
  [[nodiscard]] static std::uint64_t read_finished(
      const std::atomic<std::uint64_t>& word) noexcept {
    access_script.access();
    return MpmcMemory::read_finished(word);
  }
  [[nodiscard]] static std::uint32_t read_bank(const std::atomic<std::uint32_t>& word) noexcept {
    access_script.access();
    return MpmcMemory::read_bank(word);
  }
  [[nodiscard]] static std::uint64_t read_evidence(
      const std::atomic<std::uint64_t>& word) noexcept {
    access_script.access();
    return MpmcMemory::read_evidence(word);
  }
};

}  // namespace slipring::fuzz
