#include "platform/wait/event_bell.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <string_view>

#include "core/error/check.h"

namespace slipring {

Result<EventBell> EventBell::create() noexcept {
  const int fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd >= 0) return EventBell(Descriptor(fd));
  const bool is_limit = errno == EMFILE || errno == ENFILE || errno == ENOMEM;
  return Error{is_limit ? ErrorCode::kNoSpace : ErrorCode::kSystem, errno, "make an eventfd"};
}

Result<EventBell> EventBell::adopt(Descriptor descriptor) noexcept {
  constexpr const char* kDoing = "adopt a descriptor that is no nonblocking eventfd";
  std::array<char, 40> link = {};
  std::array<char, 32> target = {};
  std::snprintf(link.data(), link.size(), "/proc/self/fd/%d", descriptor.get());
  const ssize_t size = ::readlink(link.data(), target.data(), target.size());
  if (size < 0) return Error{ErrorCode::kSystem, errno, "look at a descriptor in /proc"};
  if (std::string_view(target.data(), static_cast<std::size_t>(size)) != "anon_inode:[eventfd]") {
    return Error{ErrorCode::kCorruptPeer, 0, kDoing};
  }
  const int flags = ::fcntl(descriptor.get(), F_GETFL);
  if (flags < 0) return Error{ErrorCode::kSystem, errno, kDoing};
  if ((flags & O_NONBLOCK) == 0) return Error{ErrorCode::kCorruptPeer, 0, kDoing};
  return EventBell(std::move(descriptor));
}

void EventBell::drain() const noexcept {
  std::uint64_t count = 0;
  while (::read(fd(), &count, sizeof(count)) < 0) {
    if (errno == EINTR) continue;
    check(errno == EAGAIN, "an event bell whose descriptor is gone");
    return;
  }
}

void EventBell::signal_event(int event_fd) noexcept {
  constexpr std::uint64_t kOnce = 1;
  while (::write(event_fd, &kOnce, sizeof(kOnce)) < 0) {
    if (errno == EINTR) continue;
    // Full is readable.
    check(errno == EAGAIN, "an event bell whose descriptor is gone");
    return;
  }
}

}  // namespace slipring
