// Where OpenSSL is not there for the other processor: every address of TLS is refused.
#include "pipelines/adapter/tls_channel.h"

namespace slipring {

void TlsContext::Free::operator()(ssl_ctx_st*) const noexcept {}
void TlsChannel::Free::operator()(ssl_st*) const noexcept {}

std::optional<TlsContext> TlsContext::open(TlsSide, const TlsCredentials&, std::string& fault) {
  fault = "built without TLS";
  return std::nullopt;
}
std::optional<TlsChannel> TlsChannel::create(const TlsContext&, int, const std::string&,
                                             std::string& fault) {
  fault = "built without TLS";
  return std::nullopt;
}
TlsAnswer TlsChannel::handshake() noexcept {
  return TlsAnswer::kFailed;
}
TlsAnswer TlsChannel::read(std::span<std::byte>, std::size_t&) noexcept {
  return TlsAnswer::kFailed;
}
TlsAnswer TlsChannel::write(std::span<const std::byte>, std::size_t&) noexcept {
  return TlsAnswer::kFailed;
}
bool TlsChannel::has_buffered() const noexcept {
  return false;
}
TlsAnswer TlsChannel::say_farewell() noexcept {
  return TlsAnswer::kFailed;
}
std::string TlsChannel::peer_subject() const {
  return {};
}

}  // namespace slipring
