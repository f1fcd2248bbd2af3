// What a process holds, so that two moments can be compared.
#pragma once

#include <string>
#include <vector>

namespace slipring::faults {

struct Holdings {
  std::vector<std::string> descriptors;  // where each leads, numbers left out
  std::vector<std::string> mappings;     // of shared memory, and reservations
  std::vector<std::string> files;        // in the directory, hidden ones included
  std::vector<std::string> locks;        // POSIX and OFD locks of the process

  // What one has and the other has not; empty if they are alike.
  [[nodiscard]] static std::string difference(const Holdings& before, const Holdings& after);
};

[[nodiscard]] Holdings holdings_of_this_process(const std::string& directory_path);

}  // namespace slipring::faults
