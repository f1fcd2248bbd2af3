// A stage's end of its descriptor store: what its predecessors had, and handing in what its
// successors shall have.
//
// keep() is done when it returns: the descriptor is kept even if the process is killed at the next
// instruction.  Without a runner (a stage started by hand) nothing is kept, and connections are
// accepted here.
//
// One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error/result.h"
#include "pipelines/stage/keep_protocol.h"
#include "platform/process/descriptor.h"
#include "platform/rendezvous/connection.h"

namespace slipring {

struct KeptDescriptor {
  std::string name;
  Descriptor descriptor;
};

class DescriptorKeeper {
 public:
  DescriptorKeeper() = default;
  // Takes over the stage's end of the socket pair.  Errors: as Connection::adopt().
  static Result<DescriptorKeeper> adopt(Descriptor socket);

  // A descriptor that this process inherited.
  void inherit(std::string name, Descriptor descriptor) {
    inherited_.push_back({std::move(name), std::move(descriptor)});
  }
  // Everything that was inherited, once.
  [[nodiscard]] std::vector<KeptDescriptor> take_inherited() {
    return std::exchange(inherited_, {});
  }

  // Whether there is a store behind it.
  [[nodiscard]] bool is_open() const noexcept { return socket_.has_value(); }

  // The descriptor stays the caller's; the store has a duplicate, under this name in place of any
  // other.  Without a store nothing happens.  Requires: is_kept_name(name).
  // Errors: kClosed (the store does not listen any more), kBusy (it is behind), kSystem.
  Status keep(std::string_view name, int fd) const;
  // The store's duplicate is closed.
  Status drop(std::string_view name) const;

  // From now on connections of this listening socket come out of next_accepted(), and are kept
  // already.  Requires: it was kept under this name, and stays open.
  Status accept_on(std::string_view name, int listening_fd);
  // What to watch for EPOLLIN for the sake of next_accepted().
  [[nodiscard]] std::vector<int> poll_fds() const;
  // Errors: kClosed, kCorruptPeer, kSystem; there will be no more then.
  Result<std::optional<KeptDescriptor>> next_accepted();

 private:
  std::optional<Connection> socket_;
  std::vector<KeptDescriptor> inherited_;
  std::vector<std::pair<std::string, int>> listeners_;  // accepted on here, without a store
  std::uint64_t accepted_count_ = 0;
};

}  // namespace slipring
