#include "platform/process/closed_directory.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "platform/process/inspection.h"
#include "tests/platform/other_process.h"
#include "tests/platform/scratch.h"

namespace slipring {
namespace {

bool can_write(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_WRONLY | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  ::close(fd);
  return true;
}

TEST_CASE("closed directory: nothing in it can be changed, and everything beside it can") {
  Scratch closed;
  Scratch beside;
  REQUIRE(can_write(closed.path() + "/there", O_CREAT));
  REQUIRE(can_write(beside.path() + "/there", O_CREAT));
  const int listener = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", closed.path().c_str());
  REQUIRE(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(listener, 4) == 0);
  OtherProcess child([&](Line) {
    const int folder = ::open(closed.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!give_up_privilege_gains()) return 1;
    const Status done = close_directory(folder);
    if (!done) return done.error().code == ErrorCode::kUnsupported ? 77 : 2;
    const std::string in = closed.path();
    const std::string out = beside.path();
    if (can_write(in + "/new", O_CREAT)) return 10;
    if (can_write(in + "/there", 0)) return 11;
    if (::openat(folder, "there", O_WRONLY | O_CLOEXEC) >= 0) return 12;
    if (::unlink((in + "/there").c_str()) == 0) return 13;
    if (::unlink((in + "/socket").c_str()) == 0) return 14;
    if (::rename((out + "/there").c_str(), (in + "/moved").c_str()) == 0) return 15;
    if (::mkdir((in + "/folder").c_str(), 0700) == 0) return 16;
    if (!can_write(out + "/new", O_CREAT)) return 20;
    if (!can_write(out + "/there", O_TRUNC)) return 21;
    if (::rename((out + "/new").c_str(), (out + "/newer").c_str()) != 0) return 22;
    if (::unlink((out + "/newer").c_str()) != 0) return 23;
    if (!can_write("/dev/null", 0)) return 24;
    // The files that are there are read, and its sockets heard.
    if (::open((in + "/there").c_str(), O_RDONLY | O_CLOEXEC) < 0) return 25;
    const int client = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (::connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      return 26;
    }
    return 0;
  });
  const int code = child.wait();
  if (code == 77) {
    MESSAGE("no Landlock here");
  } else {
    CHECK(code == 0);
  }
  ::close(listener);
}

}  // namespace
}  // namespace slipring
