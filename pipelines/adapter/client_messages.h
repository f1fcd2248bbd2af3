// Many clients of one listening socket as one source of messages: each message whole, those of a
// client in its order, and no client in another's way.
//
// Protocol.  One epoll set.  A client that has something to read is read once, at most
// kClientReadBytes; what is whole of it is handed out; then it is the next one's turn, so that who
// floods gets the same share as who does not.  What is not whole stays with its client.  A sink
// without room stops the reading of all: their kernels' buffers fill, and theirs alone.
//
// Bounds.
//   clients   at most client_count.  When there are as many, the one that has been connected
//   longest
//             without ever sending a byte gives way to a newcomer; if all have sent something,
//             newcomers wait in the listener's queue until one leaves.
//   memory    unfinished messages take at most memory_bytes together; when they would take more,
//   the
//             client with the largest is sent away.  A client without one takes its descriptor and
//             a few hundred bytes.
//   nonsense  a message that is too long, or torn by the end of its connection, sends its client
//             away.  What it sent before, whole, has been handed out.
// A silent client is never asked to hurry: without newcomers it may stay for ever.
//
// The end: when somebody came and all have gone, unless the source stays.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/error/result.h"
#include "pipelines/adapter/endpoint.h"
#include "pipelines/adapter/message_ends.h"
#include "pipelines/adapter/message_framer.h"
#include "pipelines/adapter/pump_options.h"
#include "platform/process/descriptor.h"

namespace slipring {

inline constexpr std::size_t kClientReadBytes = 16384;

struct ClientOptions {
  Framing framing = Framing::kLines;  // kBytes: the sockets keep boundaries themselves
  std::uint64_t max_message_bytes = kDefaultMaxMessageBytes;
  std::uint32_t client_count = 1024;
  std::uint64_t memory_bytes = std::uint64_t{64} << 20;
  bool stays = false;
};

class ClientSource final : public MessageSource {
 public:
  // Listens at an endpoint of kTcp, kUnix (with a framing) or kUnixPackets (with kBytes).
  // Errors: as listen_at(); kNoSpace (no descriptor left).
  static Result<std::unique_ptr<ClientSource>> listen(const Endpoint& endpoint,
                                                      const ClientOptions& options) noexcept;
  ~ClientSource() override;

  void limit(std::uint64_t max_message_bytes) noexcept override;
  Result<Passage> try_take(std::span<const std::byte>& message) noexcept override;
  void finish_taken() noexcept override;
  Result<Passage> wait(int alarm_fd) noexcept override;
  void add_to(PumpReport& report) const noexcept override;

  [[nodiscard]] std::size_t client_count() const noexcept {
    return silent_.size() + talking_.size();
  }
  // Of all unfinished messages, and of what was handed out and is not finished.
  [[nodiscard]] std::uint64_t memory_bytes() const noexcept { return memory_bytes_; }
  // Silent clients that gave way to newcomers.
  [[nodiscard]] std::uint64_t displaced_count() const noexcept { return displaced_count_; }

 private:
  struct Client;
  using Clients = std::list<Client>;
  struct Client {
    Descriptor socket;
    MessageFramer framer;
    Clients::iterator self;
    std::uint64_t noted_in = 0;  // the last round in which something of it may be held
    bool has_sent = false;
    bool has_ended = false;  // what is pending is all
  };
  static constexpr std::size_t kMaxEvents = 64;

  ClientSource(Descriptor listener, Descriptor epoll, std::string path,
               const ClientOptions& options) noexcept;
  Result<bool> next_client() noexcept;
  void note(Client& client) noexcept;
  Status accept_all() noexcept;
  Status admit(Descriptor socket) noexcept;
  void listen_on(bool wants_newcomers) noexcept;
  bool read_from(Client& client) noexcept;
  bool receive_packet(Client& client, std::span<const std::byte>& message) noexcept;
  bool take_from(Client& client, std::span<const std::byte>& message) noexcept;
  void count_memory(Client& client, std::size_t before) noexcept;
  void keep_bound() noexcept;
  void leave(Client& client) noexcept;
  void send_away(Client& client) noexcept;

  Descriptor listener_;
  Descriptor epoll_;
  std::string path_;  // of a unix socket; removed when we go
  ClientOptions options_;
  Clients silent_;  // connected, and has sent nothing yet: longest first
  Clients talking_;
  Clients leaving_;  // what they sent is held still
  Client* current_ = nullptr;
  std::array<epoll_event, kMaxEvents> events_;
  std::size_t event_count_ = 0;
  std::size_t next_event_ = 0;
  std::vector<Client*> noted_;            // in this round
  std::unique_ptr<std::byte[]> packets_;  // held ones, where sockets keep boundaries
  std::size_t packets_bytes_ = 0;
  std::size_t packets_used_ = 0;
  std::uint32_t packets_left_ = 0;  // in this turn
  std::uint64_t round_ = 1;         // grows when what was taken is finished
  bool is_held_ = false;
  bool is_listening_ = true;
  std::uint64_t memory_bytes_ = 0;
  std::uint64_t admitted_count_ = 0;
  std::uint64_t refused_count_ = 0;
  std::uint64_t displaced_count_ = 0;
};

}  // namespace slipring
