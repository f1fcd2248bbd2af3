// A directory of one test, on a tmpfs, removed with everything in it.
#pragma once

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

namespace slipring {

class Scratch {
 public:
  Scratch() {
    char path[] = "/dev/shm/slipring-test-XXXXXX";
    if (::mkdtemp(path) == nullptr) std::abort();
    path_ = path;
    owner_ = ::getpid();
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    if (::getpid() != owner_) return;
    for (const std::string& name : names()) {
      const std::string file = path_ + "/" + name;
      if (::unlink(file.c_str()) != 0) ::rmdir(file.c_str());
    }
    ::rmdir(path_.c_str());
  }

  [[nodiscard]] const std::string& path() const { return path_; }

  // Everything in it, hidden files included.
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> found;
    DIR* stream = ::opendir(path_.c_str());
    if (stream == nullptr) return found;
    while (const dirent* entry = ::readdir(stream)) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") found.push_back(name);
    }
    ::closedir(stream);
    return found;
  }

 private:
  std::string path_;
  pid_t owner_ = 0;
};

}  // namespace slipring
