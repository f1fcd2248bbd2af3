// A service whose links are guarded: caller and server need not trust each other, nor one caller
// another.
//
// What is added to rpc_protocol.h: each link is a guarded one (pipelines/link/GUARD.md), and this
// is the broker of them all.  A request comes with the kernel's word on its caller; a reply goes to
// the process that asked, and to nobody else who may have taken its place; a caller or a server
// that writes nonsense is cut off, and the others go on.
//
// One thread.  Sleep on poll_fd() until next_deadline_ns(), then call turn().
//
// Crash.  With the maker go the names, and the chance to attach; who is attached goes on.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "core/error/result.h"
#include "pipelines/adapter/rpc_protocol.h"
#include "pipelines/link/guarded_broker.h"
#include "platform/memory/segment_directory.h"
#include "platform/process/descriptor.h"

namespace slipring {

struct GuardedServiceOptions {
  RpcShape shape;
  // Who may call and who may serve; empty: our own user.
  std::optional<GuardAccess> caller;
  std::optional<GuardAccess> server;
  std::uint32_t lanes_per_process = 0;  // callers that one process, or one user, may be; 0: all
  std::uint32_t lanes_per_user = 0;
  RendezvousOptions rendezvous;
};

class GuardedService {
 public:
  // Errors: as GuardedBroker::create(); then nothing is left.
  static Result<GuardedService> create(const SegmentDirectory& directory, std::string_view name,
                                       const GuardedServiceOptions& options = {}) noexcept;

  [[nodiscard]] int poll_fd() const noexcept { return watch_.get(); }
  [[nodiscard]] std::uint64_t next_deadline_ns() const noexcept;
  void turn() noexcept;

 private:
  GuardedService() = default;
  Status add(const SegmentDirectory& directory, std::string_view name, const LinkShape& shape,
             const GuardOptions& options) noexcept;

  Descriptor watch_;  // an epoll of all brokers'
  std::vector<GuardedBroker> brokers_;
};

}  // namespace slipring
