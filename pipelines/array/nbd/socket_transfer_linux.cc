#include "pipelines/array/nbd/socket_transfer.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "pipelines/array/nbd/surviving_word.h"

namespace slipring::array {
namespace {

void arm(SocketTransfer& transfer, std::size_t part_count, std::uint64_t counted) noexcept {
  // Before the number: what is counted is this transfer's.
  transfer.header = {};
  transfer.header.msg_hdr.msg_iov = transfer.parts.data();
  transfer.header.msg_hdr.msg_iovlen = part_count;
  settle(transfer.number, counted + 1);
}

MoveOutcome outcome_of(int message_count) noexcept {
  if (message_count == 1) return MoveOutcome::kMoved;
  const bool is_later = errno == EAGAIN || errno == EINTR || errno == ENOBUFS || errno == ENOMEM;
  return is_later ? MoveOutcome::kNothing : MoveOutcome::kEnded;
}

}  // namespace

MoveOutcome receive_once(int socket, SocketTransfer& transfer, std::size_t part_count,
                         std::uint64_t counted) noexcept {
  arm(transfer, part_count, counted);
  const MoveOutcome outcome =
      outcome_of(::recvmmsg(socket, &transfer.header, 1, MSG_DONTWAIT, nullptr));
  const bool is_end = outcome == MoveOutcome::kMoved && transfer.header.msg_len == 0;
  return is_end ? MoveOutcome::kEnded : outcome;
}

MoveOutcome send_once(int socket, SocketTransfer& transfer, std::size_t part_count,
                      std::uint64_t counted) noexcept {
  arm(transfer, part_count, counted);
  return outcome_of(::sendmmsg(socket, &transfer.header, 1, MSG_DONTWAIT | MSG_NOSIGNAL));
}

bool has_unread_output(int socket) noexcept {
  int byte_count = 0;
  return ::ioctl(socket, SIOCOUTQ, &byte_count) == 0 && byte_count > 0;
}

bool is_uncounted(const SocketTransfer& transfer, std::uint64_t counted) noexcept {
  return settled(transfer.number) == counted + 1;
}

}  // namespace slipring::array
