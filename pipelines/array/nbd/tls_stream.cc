#include "pipelines/array/nbd/tls_stream.h"

namespace slipring::array {

MoveOutcome TlsStream::receive(std::span<const iovec> parts, std::uint32_t& count) {
  count = 0;
  for (const iovec& part : parts) {
    std::span<std::byte> rest(static_cast<std::byte*>(part.iov_base), part.iov_len);
    while (!rest.empty()) {
      std::size_t got = 0;
      const TlsAnswer answer = channel_.read(rest, got);
      if (answer != TlsAnswer::kDone) {
        // What is here is taken first; an end comes again.
        return count != 0 ? MoveOutcome::kMoved : outcome_of(answer);
      }
      count += static_cast<std::uint32_t>(got);
      rest = rest.subspan(got);
    }
  }
  return count != 0 ? MoveOutcome::kMoved : MoveOutcome::kNothing;
}

MoveOutcome TlsStream::send(std::span<const iovec> parts, std::uint32_t& count) {
  count = 0;
  for (const iovec& part : parts) {
    std::span<const std::byte> rest(static_cast<const std::byte*>(part.iov_base), part.iov_len);
    while (!rest.empty()) {
      std::size_t put = 0;
      const TlsAnswer answer = channel_.write(rest, put);
      if (answer != TlsAnswer::kDone) {
        return count != 0 ? MoveOutcome::kMoved : outcome_of(answer);
      }
      count += static_cast<std::uint32_t>(put);
      rest = rest.subspan(put);
    }
  }
  return count != 0 ? MoveOutcome::kMoved : MoveOutcome::kNothing;
}

}  // namespace slipring::array
