// What the client of a recorded run has been promised at an instant.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/pipelines/array/power/recorded_run.h"

namespace slipring::array::test {

class Promises {
 public:
  Promises(const std::vector<ClientRequest>& requests, std::uint64_t sector_count);

  void asked(std::uint64_t number);
  void answered(std::uint64_t number);

  [[nodiscard]] bool has_any() const { return has_any_; }
  [[nodiscard]] bool is_safe(std::uint64_t sector) const { return safe_[sector] != 0; }
  // What is wrong with the sector; nothing when it may be so.
  [[nodiscard]] std::optional<std::string> fault_of(std::uint64_t sector,
                                                    const std::byte* bytes) const;

 private:
  void make_safe(std::uint64_t number);
  [[nodiscard]] std::uint64_t content_of(std::uint64_t version) const;

  const std::vector<ClientRequest>& requests_;
  // A sector: versions that were asked for, none before the newest safe one.  Version 0 is the
  // zeros of the beginning.
  std::vector<std::vector<std::uint64_t>> possible_;
  std::vector<std::uint64_t> safe_;                            // a sector: newest safe version
  std::vector<std::uint64_t> answered_;                        // writes, not known to be safe
  std::map<std::uint64_t, std::vector<std::uint64_t>> flush_;  // asked: what it makes safe
  bool has_any_ = false;
};

}  // namespace slipring::array::test
