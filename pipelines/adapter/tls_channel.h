// TLS 1.3 over a connected socket, with certificates on both sides (OpenSSL).
//
// Both sides show a certificate, and each verifies the other's against the given authorities,
// unless a server was given none: then it asks its clients for nothing.  A client also checks that
// the server's certificate is made out to the name it meant to reach. Nothing older than TLS 1.3,
// no resumption: every connection verifies anew.  Revocation is not asked for: issue certificates
// that are short-lived.
//
// The channel never waits: on a non-blocking socket each call does what it can and says what the
// socket must be ready for, before the same call is made again.  On a blocking socket the calls
// block instead.
// A connection that ends without the other side's farewell (close_notify) was cut, and is a fault:
// nobody in between can pass off a part as the whole.
//
// Process.  Sends with MSG_NOSIGNAL: SIGPIPE is left alone.  A channel belongs to one thread at a
// time; a context may be used by any number of threads at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

struct ssl_ctx_st;  // OpenSSL's own names, so that its headers stay in the .cc
struct ssl_st;

namespace slipring {

enum class TlsSide : std::uint8_t { kClient, kServer };

// Paths of PEM files.  A key with a pass phrase is refused: nobody is there to be asked.
struct TlsCredentials {
  std::string authority_file;    // the certificates that the other side's must lead to; of a
                                 // server, empty: clients need none
  std::string certificate_file;  // our own, followed by those that lead to an authority
  std::string key_file;          // of our own certificate
};

// What one side shows and demands, read once and used for any number of channels.
class TlsContext {
 public:
  // Nothing, with `fault` saying which file is wrong and how.
  [[nodiscard]] static std::optional<TlsContext> open(TlsSide side,
                                                      const TlsCredentials& credentials,
                                                      std::string& fault);

 private:
  friend class TlsChannel;
  struct Free {
    void operator()(ssl_ctx_st* context) const noexcept;
  };
  TlsContext(TlsSide side, std::unique_ptr<ssl_ctx_st, Free> context) noexcept
      : context_(std::move(context)), side_(side) {}

  std::unique_ptr<ssl_ctx_st, Free> context_;
  TlsSide side_;
};

enum class TlsAnswer : std::uint8_t {
  kDone,
  kWantsRead,   // again, with the same arguments, when the socket can be read
  kWantsWrite,  // again, with the same arguments, when it can be written
  kEnd,         // the other side has said its farewell: no more will come
  kFailed,      // for good; fault() says why
};

class TlsChannel {
 public:
  // Over `socket_fd`, which stays the caller's and is closed after the channel is gone.
  // `peer_name`: the DNS name or IP address that the other side's certificate must be made out to;
  // a server may leave it empty, and then takes every certificate of its authorities.
  // Nothing, with `fault`, for a client without a name, or a name that can be nobody's.
  [[nodiscard]] static std::optional<TlsChannel> create(const TlsContext& context, int socket_fd,
                                                        const std::string& peer_name,
                                                        std::string& fault);
  TlsChannel(TlsChannel&&) noexcept = default;
  TlsChannel& operator=(TlsChannel&&) noexcept = default;

  // Until kDone; nothing is sent or received before.  With TLS 1.3 a client is done before the
  // server has judged its certificate: a refusal comes with the client's first read().
  [[nodiscard]] TlsAnswer handshake() noexcept;

  // Some bytes, at least one with kDone; `count` says how many.
  // Requires: handshake() is done; `bytes` is not empty.
  [[nodiscard]] TlsAnswer read(std::span<std::byte> bytes, std::size_t& count) noexcept;
  // Some of `bytes`, at least one with kDone.  After kWants… the repeated call may offer more, but
  // begins with the same bytes; they may lie elsewhere by then.
  [[nodiscard]] TlsAnswer write(std::span<const std::byte> bytes, std::size_t& count) noexcept;

  // Received and not yet read: poll does not tell of these.
  [[nodiscard]] bool has_buffered() const noexcept;

  // Says our farewell, once everything is written: the other side reads kEnd.  Reading goes on
  // until it has said its own.  Not after kFailed.
  [[nodiscard]] TlsAnswer say_farewell() noexcept;

  // To whom the other side's certificate is made out, printable: "CN=…,O=…".  Empty before the
  // handshake.
  [[nodiscard]] std::string peer_subject() const;

  // Why the last answer was kFailed.
  [[nodiscard]] const std::string& fault() const noexcept { return fault_; }

 private:
  struct Free {
    void operator()(ssl_st* session) const noexcept;
  };
  explicit TlsChannel(std::unique_ptr<ssl_st, Free> session) noexcept
      : session_(std::move(session)) {}
  TlsAnswer answer_of(int returned, const char* doing) noexcept;

  std::unique_ptr<ssl_st, Free> session_;
  std::string fault_;
};

}  // namespace slipring
