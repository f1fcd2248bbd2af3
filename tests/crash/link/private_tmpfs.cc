#include "tests/crash/link/private_tmpfs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>

namespace slipring::crash {
namespace {

bool write_text(const char* path, const std::string& text) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  close(fd);
  return written;
}

// A mount namespace of our own, if need be in a user namespace in which we are who we were.
bool enter_namespace() {
  if (unshare(CLONE_NEWNS) == 0) return true;
  const std::string uid = std::to_string(geteuid());
  const std::string gid = std::to_string(getegid());
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  return write_text("/proc/self/setgroups", "deny") &&
         write_text("/proc/self/uid_map", uid + " " + uid + " 1") &&
         write_text("/proc/self/gid_map", gid + " " + gid + " 1");
}

std::vector<std::string> names_in(const std::string& path) {
  std::vector<std::string> names;
  DIR* stream = opendir(path.c_str());
  if (stream == nullptr) return names;
  while (const dirent* entry = readdir(stream)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  closedir(stream);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

PrivateTmpfs::PrivateTmpfs() : owner_(getpid()) {
  char path[] = "/dev/shm/slipring-crash-XXXXXX";
  if (mkdtemp(path) == nullptr) abort();
  path_ = path;
  is_mounted_ =
      enter_namespace() && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
      mount("slipring", path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700,size=64m,nr_inodes=4096") ==
          0;
}

PrivateTmpfs::~PrivateTmpfs() {
  if (getpid() != owner_) return;
  if (is_mounted_) umount2(path_.c_str(), MNT_DETACH);
  rmdir(path_.c_str());
}

PrivateTmpfs::Census PrivateTmpfs::census() const {
  Census census;
  census.names = names_in(path_);
  struct statvfs space {};
  if (is_mounted_ && statvfs(path_.c_str(), &space) == 0) {
    census.used_bytes = (space.f_blocks - space.f_bfree) * space.f_frsize;
    census.inode_count = space.f_files - space.f_ffree;
  }
  return census;
}

std::size_t open_descriptor_count() {
  // The stream that lists them is one of them.
  return names_in("/proc/self/fd").size() - 1;
}

}  // namespace slipring::crash
