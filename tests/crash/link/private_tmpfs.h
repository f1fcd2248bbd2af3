// A tmpfs of this process's own, so that a census of it is exact: nobody else's files are in it,
// and a file that has lost its name still counts as long as anybody holds it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace slipring::crash {

class PrivateTmpfs {
 public:
  // Mounts it in a mount namespace that the process enters for it; where that is forbidden a plain
  // directory on /dev/shm is made, whose census counts names alone.
  PrivateTmpfs();
  PrivateTmpfs(const PrivateTmpfs&) = delete;
  PrivateTmpfs& operator=(const PrivateTmpfs&) = delete;
  ~PrivateTmpfs();

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] bool is_mounted() const { return is_mounted_; }

  struct Census {
    std::uint64_t used_bytes = 0;
    std::uint64_t inode_count = 0;
    std::vector<std::string> names;  // hidden ones included
    [[nodiscard]] bool operator==(const Census&) const = default;
  };
  [[nodiscard]] Census census() const;

 private:
  std::string path_;
  bool is_mounted_ = false;
  int owner_ = 0;
};

// Descriptors that this process has open.
[[nodiscard]] std::size_t open_descriptor_count();

}  // namespace slipring::crash
