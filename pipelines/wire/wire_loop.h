// Links carried to and from other machines by one thread: a server for any number of clients, a
// client of any number of servers, or both.
//
// Protocol.  An *offer* is a link that clients may ask for; its local end is taken when the first
// one does, and laid down when its stream has ended.  Of a lane set every client gets a lane, of
// one that is sent the lane that it asks for; and to a topic every client subscribes by itself.  A
// *dial* is a link that this side carries to a
// server; its local end is held from the beginning, and a connection that breaks is made anew,
// later each time.  One epoll set holds all sockets; the rings' doorbells and that set are slept on
// together.
//
// Bounds.  At most clients_max connections are open.  Beyond that, and when descriptors run out,
// the oldest one that has not said which link it means is closed in favour of the next; so silent
// clients shut nobody out.  See wire_connection.h for what each costs.
//
// One thread; `stop` may be set from anywhere, a signal handler included.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error/result.h"
#include "pipelines/adapter/tls_channel.h"
#include "pipelines/wire/session.h"
#include "pipelines/wire/wire_address.h"
#include "pipelines/wire/wire_connection.h"
#include "platform/memory/segment_directory.h"
#include "platform/process/descriptor.h"
#include "platform/wait/waiter.h"

namespace slipring::wire {

struct WireLoopOptions {
  SessionOptions session = {};
  std::size_t clients_max = 4096;
  std::uint64_t redial_min_ns = 20'000'000;
  std::uint64_t redial_max_ns = 2'000'000'000;
  // Ends when every offer and dial has carried its stream to the end; otherwise only dials end it.
  bool ends_with_offers = false;
  WaiterOptions waiter = {};
};

struct WireEvent {
  enum class Kind : std::uint8_t {
    kCarrying,  // a link is being carried
    kBroken,    // the connection broke; it will be made anew
    kOver,      // a link's stream has ended
    kRefused,   // by the other side, or by us; `words` says why
    kFailed,    // a link cannot be carried
  };
  Kind kind;
  std::string link;   // empty: of a client that has not named one
  std::string words;  // may be empty; of kCarrying: with whom
  // Of kRefused, kFailed: what is asked for cannot be, however often it is tried.
  bool is_final = false;
};

struct WireCounts {
  std::uint64_t accepted_count = 0;
  std::uint64_t evicted_count = 0;  // closed in favour of the next
  std::size_t open_count = 0;
  std::size_t open_count_max = 0;
};

class WireLoop : private PortBook {
 public:
  // Errors: kSystem.
  static Result<std::unique_ptr<WireLoop>> create(const SegmentDirectory& directory,
                                                  const WireLoopOptions& options) noexcept;
  ~WireLoop() override;

  // Errors: as listen_at(); kInvalidArgument (the address's certificates; tls_fault() says why).
  Status listen(const WireAddress& address) noexcept;
  [[nodiscard]] std::uint16_t port() const noexcept { return port_of(listener_); }

  void offer(std::string_view link, std::string_view wire_name, LinkSide side);
  // An offer whose local end is taken now.  Errors: as WirePort::open().
  Status offer_now(std::string_view link, std::string_view wire_name, LinkSide side,
                   const WirePortOptions& options) noexcept;
  // Of a lane set each lane is a dial of its own: of one that is sent, while something is in it; of
  // one that comes from a set, as many as that has, once it is known.  What is carried of lanes is
  // over only where ends_with_offers, when nobody writes and nothing is left.
  // Errors: as WirePort::open(); kInvalidArgument as listen().
  Status dial(const WireAddress& address, std::string_view link, std::string_view wire_name,
              LinkSide side, const WirePortOptions& options = {}) noexcept;
  // Of the first dial, if it sends: what the other machine's reader has dropped.  From any thread.
  [[nodiscard]] Dropped dropped_there() const noexcept;
  // Tells what happens, from run().
  void tell(std::function<void(const WireEvent&)> listener) {
    listener_function_ = std::move(listener);
  }

  // Until `stop`, or all is carried.  False if anything could not be carried.
  bool run(const std::atomic<bool>& stop) noexcept;

  [[nodiscard]] const WireCounts& counts() const noexcept { return counts_; }
  [[nodiscard]] const std::string& tls_fault() const noexcept { return tls_fault_; }

 private:
  struct Offer {
    std::string link;
    std::string wire_name;
    LinkSide side = LinkSide::kSender;
    std::unique_ptr<WirePort> port;
    bool is_over = false;
    WirePortOptions options;
    bool is_seat = false;  // one of several, each for a client of its own
    bool is_lane = false;  // of a set that is sent; the port stays
  };
  struct Dial {
    WireAddress address;
    std::shared_ptr<const TlsContext> tls;
    std::unique_ptr<WirePort> port;  // none: of a lane that has to be taken yet
    std::string link;
    std::string wire_name;
    LinkSide side = LinkSide::kSender;
    WirePortOptions options;
    std::uint64_t wait_ns = 0;
    std::uint64_t again_ns = 0;
    std::string fault;  // the last connection's
    bool is_connected = false;
    bool is_over = false;
    bool has_lanes = false;  // those of the other machine's set have their dials
  };
  struct Client {
    std::unique_ptr<WireConnection> connection;
    Dial* dial = nullptr;
    std::string link;  // once it is known
    bool is_told = false;
  };
  using Clients = std::list<Client>;

  WireLoop(const SegmentDirectory& directory, const WireLoopOptions& options,
           Descriptor epoll) noexcept;
  [[nodiscard]] WirePort* find(const Hello& hello, ErrorReason& why) noexcept override;
  void make_seats(std::string_view wire_name, LinkSide side);
  [[nodiscard]] std::size_t count_seats(const Offer& offer) const noexcept;
  [[nodiscard]] Offer* seat_for(std::string_view wire_name, const SessionId& session) noexcept;
  [[nodiscard]] Offer* place_for(std::string_view wire_name, const SessionId& session) noexcept;
  [[nodiscard]] bool has_served(std::string_view wire_name) const noexcept;
  [[nodiscard]] WirePort* open(Offer& offer, ErrorReason& why) noexcept;

  // wire_lanes.cc
  [[nodiscard]] bool make_lane_offers(Offer& offer, ErrorReason& why) noexcept;
  [[nodiscard]] WirePort* lane_for(const Hello& hello, ErrorReason& why) noexcept;
  Status dial_lanes(const Dial& first) noexcept;
  // One more that calls where the other does, for a lane of its own.
  Dial& add_dial_like(const Dial& other);
  void follow_lanes(Dial& dial) noexcept;
  [[nodiscard]] bool take_lane(Dial& dial) noexcept;
  [[nodiscard]] bool are_lanes_quiet(std::string_view link) const noexcept;
  [[nodiscard]] static bool is_resting(const Dial& dial) noexcept;

  void accept_all(std::uint64_t now_ns) noexcept;
  bool evict() noexcept;
  void pause_listening(bool pauses) noexcept;
  void add(ByteChannel channel, std::unique_ptr<Session> session, Dial* dial) noexcept;
  void dial_due(std::uint64_t now_ns) noexcept;
  void connect(Dial& dial, std::uint64_t now_ns) noexcept;
  void work(Client& client, std::uint64_t now_ns) noexcept;
  void look_at_sockets(std::uint64_t now_ns) noexcept;
  void tick(std::uint64_t now_ns) noexcept;
  void watch(Client& client) noexcept;
  void sweep(std::uint64_t now_ns) noexcept;
  void end_dial(Client& client, std::uint64_t now_ns) noexcept;
  void end_offer(const Client& client) noexcept;
  void report(WireEvent::Kind kind, const std::string& link, std::string words = {},
              bool is_final = false) const;
  [[nodiscard]] bool is_finished() const noexcept;
  [[nodiscard]] std::uint64_t next_due_ns(std::uint64_t now_ns) const noexcept;
  void sleep(const std::atomic<bool>& stop) noexcept;

  const SegmentDirectory& directory_;
  WireLoopOptions options_;
  Descriptor epoll_;
  Descriptor listener_;
  std::optional<TlsContext> tls_;  // of the listener
  std::string tls_name_;
  std::string tls_fault_;
  bool is_listening_paused_ = false;
  std::vector<Offer> offers_;
  std::list<Dial> dials_;
  Clients clients_;  // in the order in which they came
  std::function<void(const WireEvent&)> listener_function_;
  WireCounts counts_;
  bool has_failed_ = false;
  std::uint64_t ticked_ns_ = 0;
  std::unique_ptr<WireScratch> scratch_;
  Waiter waiter_;
};

}  // namespace slipring::wire
