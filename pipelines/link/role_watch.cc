#include "pipelines/link/role_watch.h"

#include <utility>

namespace slipring {
namespace {

// Holders may follow each other quickly; who changes faster than this is looked at the next time.
constexpr int kAttempts = 8;

}  // namespace

Result<RoleWatch> RoleWatch::open(const SegmentDirectory& directory, std::string_view name,
                                  Role role) noexcept {
  Result<SegmentFile> file = SegmentFile::open(directory, name);
  if (!file) return file.error();
  return RoleWatch(std::move(file).value(), role);
}

Result<Holder> RoleWatch::look() noexcept {
  const auto byte = static_cast<std::uint32_t>(role_);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    Result<Probe> probe = file_.lock_file().probe(byte);
    if (!probe) return probe.error();
    if (probe->holder != Holder::kAnother || probe->pid == 0) {
      holder_.reset();
      return probe->holder;
    }
    if (holder_ && holder_->pid() == probe->pid) {
      Result<bool> ended = holder_->has_ended();
      if (!ended) return ended.error();
      if (!*ended) return Holder::kAnother;
    }
    Result<Peer> peer = Peer::open(probe->pid);
    if (!peer && peer.error().code == ErrorCode::kUnsupported) return Holder::kAnother;
    if (!peer && peer.error().code != ErrorCode::kNotFound) return peer.error();
    Result<Probe> again = file_.lock_file().probe(byte);
    if (!again) return again.error();
    if (!peer || again->holder != Holder::kAnother || again->pid != probe->pid) continue;
    holder_.emplace(std::move(peer).value());
    return Holder::kAnother;
  }
  holder_.reset();
  return Holder::kAnother;
}

}  // namespace slipring
