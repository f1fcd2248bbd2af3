// A TLS connection as a descriptor of plain bytes, in one direction: whatever reads or writes
// descriptors goes through TLS.
//
// Protocol.  A thread moves bytes between the connection and a socket pair, whose other end is
// handed out.  A source's end of file comes after the other side's farewell, and also when the
// connection was cut: ask finish() before believing it.  A sink's farewell is said once its end is
// closed and all is sent; then the other side's is waited for, which says that it has read all.
//
// What the other side says against a sink's direction is read and dropped.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <utility>

#include "pipelines/adapter/endpoint.h"
#include "pipelines/adapter/open_endpoint.h"
#include "pipelines/adapter/tls_channel.h"
#include "platform/process/descriptor.h"

namespace slipring {

class TlsTunnel {
 public:
  // Through `connection`, of an endpoint of kTls; the handshake is done when it returns.  `stop`
  // ends all waiting when it is set (nullptr: nobody does), and outlives the tunnel.
  // Nothing, with `fault` saying why.
  static std::unique_ptr<TlsTunnel> open(Descriptor connection, const Endpoint& endpoint,
                                         Direction direction, const std::atomic<bool>* stop,
                                         std::string& fault);
  TlsTunnel(const TlsTunnel&) = delete;
  TlsTunnel& operator=(const TlsTunnel&) = delete;
  ~TlsTunnel();

  // The plain side.  Once.
  [[nodiscard]] Descriptor take_end() noexcept { return std::move(end_); }

  // Requires: the end that was taken is closed, or has been read to its end.  Waits until all is
  // through; why it is not, or nothing.
  [[nodiscard]] std::string finish();
  // Whoever is at the other side sees a connection that is cut.
  void abandon() noexcept;

  // Whom the other side's certificate is made out to.
  [[nodiscard]] std::string peer_subject() const { return channel_.peer_subject(); }

 private:
  TlsTunnel(Descriptor connection, TlsChannel channel, const std::atomic<bool>* stop) noexcept
      : connection_(std::move(connection)), channel_(std::move(channel)), stop_(stop) {}
  bool shake_hands(std::string& fault) noexcept;
  void carry_out() noexcept;
  void carry_in() noexcept;
  bool wait_for_end() noexcept;
  bool wait_until(TlsAnswer wants) noexcept;
  bool write(std::span<const std::byte> bytes) noexcept;
  [[nodiscard]] bool is_stopped() const noexcept;

  Descriptor connection_;
  TlsChannel channel_;
  const std::atomic<bool>* stop_;
  std::atomic<bool> is_abandoned_{false};
  Descriptor plain_;  // the thread's
  Descriptor end_;
  std::thread thread_;
  std::string fault_;  // the thread's, until it is joined
};

}  // namespace slipring
