#include "pipelines/stage/descriptor_keeper.h"

#include <errno.h>
#include <sys/socket.h>

#include <span>

#include "core/error/check.h"

namespace slipring {
namespace {

std::span<const std::byte> body_of(std::string_view name) {
  return std::as_bytes(std::span(name.data(), name.size()));
}

}  // namespace

Result<DescriptorKeeper> DescriptorKeeper::adopt(Descriptor socket) {
  Result<Connection> connection = Connection::adopt(std::move(socket));
  if (!connection) return connection.error();
  DescriptorKeeper keeper;
  keeper.socket_.emplace(std::move(connection).value());
  return keeper;
}

Status DescriptorKeeper::keep(std::string_view name, int fd) const {
  check(is_kept_name(name), "a descriptor is kept under a name that may be one");
  if (!socket_) return {};
  return socket_->send(static_cast<std::uint16_t>(KeepKind::kKeep), body_of(name), {&fd, 1});
}

Status DescriptorKeeper::drop(std::string_view name) const {
  if (!socket_) return {};
  return socket_->send(static_cast<std::uint16_t>(KeepKind::kDrop), body_of(name));
}

Status DescriptorKeeper::accept_on(std::string_view name, int listening_fd) {
  if (socket_) return socket_->send(static_cast<std::uint16_t>(KeepKind::kAccept), body_of(name));
  listeners_.emplace_back(name, listening_fd);
  return {};
}

std::vector<int> DescriptorKeeper::poll_fds() const {
  std::vector<int> fds;
  if (socket_) fds.push_back(socket_->fd());
  for (const auto& [name, fd] : listeners_) fds.push_back(fd);
  return fds;
}

Result<std::optional<KeptDescriptor>> DescriptorKeeper::next_accepted() {
  if (socket_) {
    Packet packet;
    const Result<Arrival> received = socket_->receive(packet);
    if (!received) return received.error();
    if (received.value() == Arrival::kClosed) {
      return Error{ErrorCode::kClosed, 0, "the runner keeps no descriptors any more"};
    }
    if (received.value() == Arrival::kNothing) return std::optional<KeptDescriptor>();
    const std::string_view name(reinterpret_cast<const char*>(packet.body.data()),
                                packet.body_bytes);
    if (static_cast<KeepKind>(packet.kind) != KeepKind::kAccepted || packet.descriptor_count != 1 ||
        !is_kept_name(name)) {
      return Error{ErrorCode::kCorruptPeer, 0, "what the descriptor store sent is no connection"};
    }
    return std::optional(KeptDescriptor{std::string(name), std::move(packet.descriptors[0])});
  }
  for (const auto& [name, fd] : listeners_) {
    Descriptor socket(accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket.is_open()) continue;
    return std::optional(
        KeptDescriptor{name + "#" + std::to_string(++accepted_count_), std::move(socket)});
  }
  return std::optional<KeptDescriptor>();
}

}  // namespace slipring
