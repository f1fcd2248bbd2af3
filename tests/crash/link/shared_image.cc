#include "tests/crash/link/shared_image.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace slipring::crash {

SharedImage::~SharedImage() {
  forget_files();
}

void SharedImage::forget_files() {
  for (const Part& part : parts_) {
    if (part.inode != 0) munmap(const_cast<std::byte*>(part.data), part.seen.size());
  }
  std::erase_if(parts_, [](const Part& part) { return part.inode != 0; });
}

void SharedImage::add_memory(const void* data, std::size_t size_bytes) {
  const auto* bytes = static_cast<const std::byte*>(data);
  parts_.push_back({bytes, {bytes, bytes + size_bytes}, 0});
}

void SharedImage::look_for_files(const std::string& directory_path) {
  DIR* stream = opendir(directory_path.c_str());
  if (stream == nullptr) return;
  while (const dirent* entry = readdir(stream)) {
    if (entry->d_name[0] == '.') continue;
    const bool is_known = std::any_of(parts_.begin(), parts_.end(),
                                      [&](const Part& part) { return part.inode == entry->d_ino; });
    if (is_known) continue;
    const int fd = openat(dirfd(stream), entry->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) continue;
    struct stat found {};
    if (fstat(fd, &found) == 0 && S_ISREG(found.st_mode) && found.st_size > 0) {
      const auto size = static_cast<std::size_t>(found.st_size);
      void* data = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
      if (data != MAP_FAILED) {
        // A child maps at other addresses than it would without this one, and nothing else.
        madvise(data, size, MADV_DONTFORK);
        const auto* bytes = static_cast<const std::byte*>(data);
        parts_.push_back({bytes, {bytes, bytes + size}, entry->d_ino});
      }
    }
    close(fd);
  }
  closedir(stream);
}

bool SharedImage::has_changed() {
  bool changed = false;
  for (Part& part : parts_) {
    if (std::memcmp(part.data, part.seen.data(), part.seen.size()) == 0) continue;
    std::memcpy(part.seen.data(), part.data, part.seen.size());
    changed = true;
  }
  return changed;
}

}  // namespace slipring::crash
