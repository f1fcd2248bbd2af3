// What a killed process leaves in shared memory: the bytes of every segment in a directory, and of
// a page that the test shares with its child.  Compared whole, after every instruction.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <vector>

namespace slipring::crash {

class SharedImage {
 public:
  SharedImage() = default;
  SharedImage(const SharedImage&) = delete;
  SharedImage& operator=(const SharedImage&) = delete;
  ~SharedImage();

  void add_memory(const void* data, std::size_t size_bytes);
  // Maps data files of the directory that are not watched yet.  Lock files are never opened:
  // closing a descriptor of theirs would drop this process's own locks, and they hold no bytes.
  void look_for_files(const std::string& directory_path);

  // Lets go of them: a mapped file lives on without its name.
  void forget_files();

  // Whether any byte differs from the last call's; remembers what there is now.
  bool has_changed();

 private:
  struct Part {
    const std::byte* data;
    std::vector<std::byte> seen;
    ino_t inode;  // 0: memory that is not ours to unmap
  };
  std::vector<Part> parts_;
};

}  // namespace slipring::crash
