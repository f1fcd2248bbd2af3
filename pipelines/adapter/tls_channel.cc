#include "pipelines/adapter/tls_channel.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <utility>

namespace slipring {
namespace {

// From a certificate to its authority there are never so many steps.
constexpr int kMaxChainDepth = 8;
// Before its certificate has been judged, the other side can make us hold so much of it.
constexpr long kMaxChainBytes = 32 * 1024;

// The oldest of the thread's queued errors in words: the one nearest to the cause.
std::string openssl_fault() {
  const unsigned long code = ERR_get_error();
  if (code == 0) return "no reason given";
  const char* reason = ERR_reason_error_string(code);
  std::string text = reason != nullptr ? reason : "error " + std::to_string(code);
  if (ERR_GET_LIB(code) == ERR_LIB_SYS) text = std::strerror(ERR_GET_REASON(code));
  ERR_clear_error();
  return text;
}

// The socket as OpenSSL sees it.  Its own would raise SIGPIPE.

int socket_of(BIO* bio) noexcept {
  return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio)));
}

int bio_write(BIO* bio, const char* bytes, int count) noexcept {
  BIO_clear_retry_flags(bio);
  const ssize_t put = send(socket_of(bio), bytes, static_cast<std::size_t>(count), MSG_NOSIGNAL);
  if (put < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
  return static_cast<int>(put);
}

int bio_read(BIO* bio, char* bytes, int count) noexcept {
  BIO_clear_retry_flags(bio);
  const ssize_t got = recv(socket_of(bio), bytes, static_cast<std::size_t>(count), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
  if (got == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  return static_cast<int>(got);
}

long bio_control(BIO* bio, int command, long, void*) noexcept {
  if (command == BIO_CTRL_FLUSH) return 1;
  if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
  return 0;
}

BIO_METHOD* make_socket_method() noexcept {
  BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
  if (method == nullptr) return nullptr;
  BIO_meth_set_write(method, bio_write);
  BIO_meth_set_read(method, bio_read);
  BIO_meth_set_ctrl(method, bio_control);
  return method;
}

BIO* socket_bio(int socket_fd) noexcept {
  static BIO_METHOD* const kMethod = make_socket_method();
  BIO* bio = kMethod != nullptr ? BIO_new(kMethod) : nullptr;
  if (bio == nullptr) return nullptr;
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(socket_fd)));
  BIO_set_init(bio, 1);
  return bio;
}

// Nobody is there to be asked for a pass phrase; without this OpenSSL asks the terminal.
int no_pass_phrase(char*, int, int, void*) noexcept {
  return -1;
}

bool demand(SSL_CTX* context) noexcept {
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_verify_depth(context, kMaxChainDepth);
  SSL_CTX_set_max_cert_list(context, kMaxChainBytes);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  return SSL_CTX_set_num_tickets(context, 0) == 1 &&
         SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1;
}

std::string quoted(const std::string& path) {
  return "'" + path + "'";
}

// Empty when all three could be read and belong together.
std::string load(SSL_CTX* context, TlsSide side, const TlsCredentials& credentials) {
  SSL_CTX_set_default_passwd_cb(context, no_pass_phrase);
  const bool asks_nothing = side == TlsSide::kServer && credentials.authority_file.empty();
  if (asks_nothing) SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);
  if (!asks_nothing && SSL_CTX_load_verify_file(context, credentials.authority_file.c_str()) != 1) {
    return "cannot read certificates of authorities from " + quoted(credentials.authority_file) +
           ": " + openssl_fault();
  }
  if (SSL_CTX_use_certificate_chain_file(context, credentials.certificate_file.c_str()) != 1) {
    return "cannot read a certificate from " + quoted(credentials.certificate_file) + ": " +
           openssl_fault();
  }
  if (SSL_CTX_use_PrivateKey_file(context, credentials.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    return "cannot read the key of " + quoted(credentials.certificate_file) + " from " +
           quoted(credentials.key_file) + ": " + openssl_fault();
  }
  if (side == TlsSide::kServer && !asks_nothing) {
    // Tells clients which of their certificates is meant.
    SSL_CTX_set_client_CA_list(context,
                               SSL_load_client_CA_file(credentials.authority_file.c_str()));
  }
  ERR_clear_error();
  return {};
}

bool expect_name(SSL* session, const std::string& name) noexcept {
  X509_VERIFY_PARAM* demands = SSL_get0_param(session);
  X509_VERIFY_PARAM_set_hostflags(demands, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (X509_VERIFY_PARAM_set1_ip_asc(demands, name.c_str()) == 1) return true;
  ERR_clear_error();
  // The name also goes to the server, which may hold certificates for several.
  return X509_VERIFY_PARAM_set1_host(demands, name.data(), name.size()) == 1 &&
         (SSL_is_server(session) == 1 || SSL_set_tlsext_host_name(session, name.c_str()) == 1);
}

}  // namespace

void TlsContext::Free::operator()(ssl_ctx_st* context) const noexcept {
  SSL_CTX_free(context);
}
void TlsChannel::Free::operator()(ssl_st* session) const noexcept {
  SSL_free(session);
}

std::optional<TlsContext> TlsContext::open(TlsSide side, const TlsCredentials& credentials,
                                           std::string& fault) {
  ERR_clear_error();
  std::unique_ptr<ssl_ctx_st, Free> context(
      SSL_CTX_new(side == TlsSide::kClient ? TLS_client_method() : TLS_server_method()));
  if (!context || !demand(context.get())) {
    fault = "cannot set up TLS 1.3: " + openssl_fault();
    return std::nullopt;
  }
  fault = load(context.get(), side, credentials);
  if (!fault.empty()) return std::nullopt;
  return TlsContext(side, std::move(context));
}

std::optional<TlsChannel> TlsChannel::create(const TlsContext& context, int socket_fd,
                                             const std::string& peer_name, std::string& fault) {
  ERR_clear_error();
  const bool is_client = context.side_ == TlsSide::kClient;
  if (is_client && peer_name.empty()) {
    fault = "say which name the server's certificate is to be made out to";
    return std::nullopt;
  }
  std::unique_ptr<ssl_st, Free> session(SSL_new(context.context_.get()));
  BIO* bio = session ? socket_bio(socket_fd) : nullptr;
  if (bio == nullptr) {
    fault = "cannot set up a TLS connection: " + openssl_fault();
    return std::nullopt;
  }
  SSL_set_bio(session.get(), bio, bio);  // owns it now
  if (is_client) {
    SSL_set_connect_state(session.get());
  } else {
    SSL_set_accept_state(session.get());
  }
  if (!peer_name.empty() && !expect_name(session.get(), peer_name)) {
    fault = "'" + peer_name + "' can be nobody's name: " + openssl_fault();
    return std::nullopt;
  }
  return TlsChannel(std::move(session));
}

TlsAnswer TlsChannel::answer_of(int returned, const char* doing) noexcept {
  const int os_errno = errno;
  switch (SSL_get_error(session_.get(), returned)) {
    case SSL_ERROR_NONE:
      return TlsAnswer::kDone;
    case SSL_ERROR_WANT_READ:
      return TlsAnswer::kWantsRead;
    case SSL_ERROR_WANT_WRITE:
      return TlsAnswer::kWantsWrite;
    case SSL_ERROR_ZERO_RETURN:
      return TlsAnswer::kEnd;
    case SSL_ERROR_SYSCALL:
      fault_ = std::string(doing) + ": " +
               (os_errno != 0 ? std::strerror(os_errno) : "the connection was cut");
      return TlsAnswer::kFailed;
    default:
      break;
  }
  const long verdict = SSL_get_verify_result(session_.get());
  if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    fault_ = std::string(doing) + ": the connection was cut";
  } else if (verdict != X509_V_OK) {
    const std::string subject = peer_subject();
    fault_ = std::string(doing) + ": the other side's certificate" +
             (subject.empty() ? "" : " (" + subject + ")") +
             " is refused: " + X509_verify_cert_error_string(verdict);
  } else {
    fault_ = std::string(doing) + ": " + openssl_fault();
  }
  ERR_clear_error();
  return TlsAnswer::kFailed;
}

TlsAnswer TlsChannel::handshake() noexcept {
  ERR_clear_error();
  errno = 0;
  return answer_of(SSL_do_handshake(session_.get()), "TLS handshake");
}

TlsAnswer TlsChannel::read(std::span<std::byte> bytes, std::size_t& count) noexcept {
  ERR_clear_error();
  errno = 0;
  count = 0;
  const int returned = SSL_read_ex(session_.get(), bytes.data(), bytes.size(), &count);
  return answer_of(returned, "receive over TLS");
}

TlsAnswer TlsChannel::write(std::span<const std::byte> bytes, std::size_t& count) noexcept {
  ERR_clear_error();
  errno = 0;
  count = 0;
  const int returned = SSL_write_ex(session_.get(), bytes.data(), bytes.size(), &count);
  return answer_of(returned, "send over TLS");
}

bool TlsChannel::has_buffered() const noexcept {
  return SSL_has_pending(session_.get()) == 1;
}

TlsAnswer TlsChannel::say_farewell() noexcept {
  ERR_clear_error();
  errno = 0;
  const int returned = SSL_shutdown(session_.get());
  return returned >= 0 ? TlsAnswer::kDone : answer_of(returned, "end the TLS connection");
}

std::string TlsChannel::peer_subject() const {
  const X509* certificate = SSL_get0_peer_certificate(session_.get());
  if (certificate == nullptr) return {};
  std::unique_ptr<BIO, decltype(&BIO_free)> text(BIO_new(BIO_s_mem()), BIO_free);
  if (!text) return {};
  // RFC 2253 escapes control characters: what the other side chose is safe to print.
  X509_NAME_print_ex(text.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  char* begin = nullptr;
  const long size = BIO_get_mem_data(text.get(), &begin);
  return size > 0 ? std::string(begin, static_cast<std::size_t>(size)) : std::string();
}

}  // namespace slipring
