// One client's connection, from its first byte to its last.
//
// States
//   handshake   TLS only
//   head        between requests, or within a head
//   body        a message's body is gathered; a stream's goes into the ring as it comes
//   waiting     for a message, for space, or for another client's turn at a stream
//   sending     the answer
//   confirming  the answer was a message: does the client have it?
//   following   a stream is sent as it comes
//   closing     no more is sent; what the client still sends is thrown away
//   closed
//
// Delivery.  A message is confirmed, and finished in the ring, when after all of the answer was
// sent the client's machine has acknowledged it and
//   it closes in good order: one that closes with bytes unread resets the connection instead; or
//   it sends something that it had not sent before, its next request.
// The answer tells it to close, unless it asked to keep the connection.  One that does neither is
// told that we are through with it (it reads an end), and is waited for a while longer.  In any
// other case the message is delivered again, marked so: a time-out never makes a message count as
// delivered.  A client that sends its next request before it has the answer, or its end, confirms
// by its machine's acknowledgement alone.
//
// Bounds.  Every state has a deadline, head and body a size; a connection without a request holds
// no buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pipelines/http/access.h"
#include "pipelines/http/link_desk.h"
#include "pipelines/http/request_parser.h"
#include "pipelines/http/response.h"
#include "pipelines/http/route.h"
#include "pipelines/http/transport.h"

namespace slipring::http {

struct Content {
  std::string type;
  std::string body;
  std::string fields;  // more of the head, each line with its end
};

struct Limits {
  std::uint64_t body_bytes_max = 1 << 20;       // of a message
  std::uint64_t bodies_bytes_max = 64 << 20;    // of all that are being gathered
  std::uint64_t head_ns = 10'000'000'000;       // for a handshake, a head
  std::uint64_t idle_ns = 30'000'000'000;       // between requests
  std::uint64_t confirm_ns = 5'000'000'000;     // until we say that we are through, and again after
  std::uint64_t patience_ns = 10'000'000'000;   // for a body or an answer, and besides …
  std::uint64_t rate_bytes_per_s_min = 16'384;  // … so much more time for its bytes
};

// What the clients of a server share.
struct Shared {
  Limits limits;
  AccessRules access;
  std::function<Content(Resource)> content;  // of the page, the metrics, the links
  std::function<std::shared_ptr<LinkDesk>(const std::string&)> desk;
  std::uint64_t bodies_bytes = 0;  // being gathered now
  std::uint64_t request_count = 0;
  std::uint64_t delivered_count = 0;  // confirmed
  std::uint64_t returned_count = 0;   // not confirmed, and to be delivered again
};

class Client {
 public:
  Client(Transport transport, Shared& shared, std::uint64_t now_ns);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Goes on as far as it goes.
  void advance(std::uint64_t now_ns);
  // The deadline has passed: what that means depends on the state.
  void expire(std::uint64_t now_ns);

  [[nodiscard]] int fd() const noexcept { return transport_.fd(); }
  [[nodiscard]] bool is_closed() const noexcept { return state_ == State::kClosed; }
  // No request is under way, so that it may go when places run out.
  [[nodiscard]] bool is_silent() const noexcept {
    return state_ == State::kHandshake || state_ == State::kHead || state_ == State::kClosing;
  }
  [[nodiscard]] std::uint64_t since_ns() const noexcept { return since_ns_; }
  [[nodiscard]] std::uint64_t deadline_ns() const noexcept { return deadline_ns_; }
  [[nodiscard]] bool wants_read() const noexcept;
  [[nodiscard]] bool wants_write() const noexcept;
  // It waits, and its leaving is worth knowing.
  [[nodiscard]] bool watches_leaving() const noexcept {
    return waits_ && (state_ == State::kWaiting || state_ == State::kFollowing);
  }
  // The connection was reset: nothing can be delivered any more.
  void abandon() { close(); }
  // Waits for something that no descriptor tells: to be looked at again soon.
  [[nodiscard]] bool wants_ticks() const noexcept;

  // The desk at which it waits; nullptr when it does not.
  [[nodiscard]] LinkDesk* desk() const noexcept { return waits_ ? desk_.get() : nullptr; }
  // Whether the desk has what it waits for there.  Requires: desk() is one.
  [[nodiscard]] bool has_news() const;

 private:
  enum class State : std::uint8_t {
    kHandshake,
    kHead,
    kBody,
    kWaiting,
    kSending,
    kConfirming,
    kFollowing,
    kClosing,
    kClosed
  };

  // A stream that moves again has as long again.
  static constexpr std::uint64_t kStreamPatienceNs = 60'000'000'000;

  // Each does what can be done now, and answers whether another look at the state is worth it.
  bool step(std::uint64_t now_ns);
  bool step_handshake(std::uint64_t now_ns);
  // Closes when the other side is gone; false as well when it has to be waited for.
  bool goes_on_after(IoAnswer answer);
  bool step_head(std::uint64_t now_ns);
  bool step_body(std::uint64_t now_ns);
  bool step_waiting(std::uint64_t now_ns);
  bool step_sending(std::uint64_t now_ns);
  bool step_confirming(std::uint64_t now_ns);
  bool step_following(std::uint64_t now_ns);
  bool step_closing();

  bool begin_call(std::uint64_t now_ns);
  bool begin_put(std::uint64_t now_ns);
  bool gather_message(std::uint64_t now_ns);
  bool feed_stream(std::uint64_t now_ns);
  bool try_put(std::uint64_t now_ns);
  bool try_take(std::uint64_t now_ns);
  bool try_follow(std::uint64_t now_ns);
  bool queue_piece(std::uint64_t now_ns);
  void account_acknowledged();
  void finish_put(std::uint64_t now_ns, std::uint64_t position);

  // Reads more into in_.  kBlocked also when there is no room.
  IoAnswer receive();
  [[nodiscard]] bool is_full() const noexcept { return in_end_ - in_begin_ == in_.size(); }
  // Sends out_, then the pieces.  kDone when all of it went.
  IoAnswer send_all();
  bool refuse(const Refusal& refusal, std::uint64_t now_ns);
  bool answer(Response response, std::string body, std::uint64_t now_ns);
  void begin_sending(std::uint64_t now_ns);
  void begin_next_request(std::uint64_t now_ns);
  void begin_closing(std::uint64_t now_ns);
  void close();
  void settle(bool is_confirmed);
  void hold_body(std::uint64_t size_bytes);
  void set_state(State state, std::uint64_t now_ns, std::uint64_t patience_ns);
  [[nodiscard]] std::uint64_t time_for(std::uint64_t size_bytes) const noexcept;

  Transport transport_;
  Shared* shared_;
  State state_ = State::kHandshake;
  std::uint64_t since_ns_;
  std::uint64_t deadline_ns_ = 0;
  bool waits_ = false;

  std::vector<std::byte> in_;  // received and not read yet: [in_begin_, in_end_)
  std::size_t in_begin_ = 0;
  std::size_t in_end_ = 0;
  bool has_ended_ = false;  // the client sends no more

  std::unique_ptr<RequestParser> parser_;
  Call call_;
  std::shared_ptr<LinkDesk> desk_;
  std::vector<std::byte> body_;
  std::size_t body_count_ = 0;  // gathered; of a stream, decoded and not in the ring yet
  std::size_t body_begin_ = 0;  // of a stream: the first of these
  std::uint64_t body_total_ = 0;
  bool is_putting_ = false;  // has the stream's putting turn

  std::string out_;
  std::size_t out_sent_ = 0;
  std::optional<Taken> taken_;  // under way; after out_
  std::size_t taken_sent_ = 0;
  bool keeps_alive_ = false;
  bool is_pipelined_ = false;

  bool is_following_ = false;
  struct Piece {
    std::uint64_t end_sent;  // of the socket's bytes, with this piece's last
    std::uint64_t size_bytes;
  };
  std::deque<Piece> pieces_;       // sent or being sent, and not acknowledged
  std::uint64_t ahead_bytes_ = 0;  // of these
  std::uint64_t sent_total_ = 0;
  bool was_last_ = false;
};

}  // namespace slipring::http
