// Links over HTTP: many clients on one thread, bounded in everything that they could use up.
//
// Bounds.  Connections are bounded; when places run out, the connection that has been silent for
// longest goes (a connection with a request under way never does), and when none is silent the
// newcomer is turned away with 503.  A connection costs its buffer (16 KiB) only while there is
// something in it.  Bodies are bounded each and in all; every state of a client has a deadline
// (client.h).
//
// Waiting.  While somebody waits at a link, the link is looked at every millisecond, and after a
// while every eight (platform/wait/waiter.h); otherwise the server sleeps.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/error/result.h"
#include "pipelines/adapter/tls_channel.h"
#include "pipelines/http/client.h"
#include "platform/memory/segment_directory.h"
#include "platform/process/descriptor.h"
#include "platform/wait/waiter.h"

namespace slipring::http {

struct ServerOptions {
  Limits limits;
  std::string token;  // empty: none is asked for
  std::size_t connection_count_max = 2048;
  std::uint64_t hold_ns = 60'000'000'000;  // a role that nobody needs is laid down after so long
  const TlsContext* tls = nullptr;         // outlives the server
};

// A numeric address, or a name that the resolver knows.
struct ListenAddress {
  std::string host = "127.0.0.1";
  std::string port = "8080";  // "0": one that is free
};

class Server {
 public:
  // Requires: `directory` outlives the server.  `content` makes the page, the metrics and the list.
  Server(const SegmentDirectory& directory, ServerOptions options,
         std::function<Content(Resource)> content);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Whether the address is reached from this machine alone.  Errors: kInvalidArgument (no such
  // host or port).
  [[nodiscard]] static Result<bool> is_loopback(const ListenAddress& address);

  // Errors: kInvalidArgument, kBusy (the port is taken), kPermission, kSystem.
  Status listen(const ListenAddress& address);
  // Where it listens: "127.0.0.1:8080", "[::1]:8080".
  [[nodiscard]] std::string address() const;

  // A connected socket from elsewhere.
  void adopt(Descriptor socket);

  // Serves until `stop` is set (and a signal or a millisecond has passed), or `deadline_ns`.
  void run(const std::atomic<bool>& stop, std::uint64_t deadline_ns);

  [[nodiscard]] std::size_t connection_count() const noexcept { return clients_.size(); }
  [[nodiscard]] std::uint64_t request_count() const noexcept { return shared_.request_count; }
  [[nodiscard]] std::uint64_t delivered_count() const noexcept { return shared_.delivered_count; }
  [[nodiscard]] std::uint64_t returned_count() const noexcept { return shared_.returned_count; }
  [[nodiscard]] std::uint64_t evicted_count() const noexcept { return evicted_count_; }

 private:
  struct Place {
    std::unique_ptr<Client> client;
    std::uint32_t events = 0;  // asked of epoll
  };

  void turn(const std::atomic<bool>& stop, std::uint64_t deadline_ns);
  void sleep(const std::atomic<bool>& stop, std::uint64_t deadline_ns);
  void take_events(std::uint64_t now_ns);
  void look_at_all(std::uint64_t now_ns);
  bool serve_waiting(std::uint64_t now_ns);
  void rest_desks(std::uint64_t now_ns);
  void accept_all(std::uint64_t now_ns);
  bool make_room();
  void ask_events(Place& place);
  [[nodiscard]] bool has_news() const;

  const SegmentDirectory* directory_;
  ServerOptions options_;
  Shared shared_;
  Descriptor epoll_;
  Descriptor listener_;
  std::unordered_map<int, Place> clients_;  // by descriptor
  std::vector<Client*> waiting_;            // at a desk, those who came first at the front
  bool has_ticks_ = false;
  std::map<std::string, std::shared_ptr<LinkDesk>> desks_;
  Waiter waiter_;
  std::uint64_t next_deadline_ns_ = 0;
  std::uint64_t rested_ns_ = 0;
  std::uint64_t accepts_from_ns_ = 0;  // not before: descriptors have run out
  std::uint64_t evicted_count_ = 0;
};

}  // namespace slipring::http
