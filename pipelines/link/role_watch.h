// Whether a living process holds a role of a link, and a descriptor that tells when it has died.
//
// Protocol.  The certificate's lock names its holder; a pidfd is opened for that process, and the
// lock asked again.  If the same process still holds it, the descriptor is the holder's: a process
// of the same number that came later could not hold the lock of the one before.
//
// A look costs a few system calls: look when something has become suspicious (a ring that stays
// full or empty, a descriptor that is readable), not with every message.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "core/error/result.h"
#include "core/segment/segment_layout.h"
#include "platform/memory/segment_directory.h"
#include "platform/memory/segment_file.h"
#include "platform/process/certificate.h"
#include "platform/process/peer.h"

namespace slipring {

// One thread at a time.
class RoleWatch {
 public:
  // Errors: as SegmentFile::open().
  static Result<RoleWatch> open(const SegmentDirectory& directory, std::string_view name,
                                Role role) noexcept;

  // Asks the kernel who holds the role now.  kNobody is certified: no store by a former holder can
  // come any more.  Errors: kSystem.
  Result<Holder> look() noexcept;

  // Which segment this is about, whatever its name means by now.
  [[nodiscard]] std::uint64_t inode() const noexcept { return file_.inode(); }

  // Becomes readable when the holder that the last look() found has ended; -1 when there is none,
  // or when it is not visible in our PID namespace.
  [[nodiscard]] int poll_fd() const noexcept { return holder_ ? holder_->poll_fd() : -1; }

 private:
  RoleWatch(SegmentFile file, Role role) noexcept : file_(std::move(file)), role_(role) {}

  SegmentFile file_;
  Role role_;
  std::optional<Peer> holder_;
};

}  // namespace slipring
