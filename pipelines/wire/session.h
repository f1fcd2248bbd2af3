// One connection's conversation, from the preamble to the farewell: bytes in, bytes out.
//
// Knows no socket and no clock but the one that it is told: whatever carries bytes in order may
// carry it, and a test may cut it anywhere.  The states are those of WIRE.md:
//
//   kGreeting   preambles and kHello/kWelcome     kOpening   kOpen and the first kAck
//   kRunning    data, aborts, acknowledgements    kLeaving   the farewell is on its way
//   kEnded      nothing more is said or heard; outcome() says why
//
// Nothing of a session survives it: what has arrived is in the receiver's ledger, what has not in
// the sender's ring.  Bounded: no buffer of its own beyond a frame's header and a control payload;
// every frame that is due is a flag, so that no peer can make answers pile up.
//
// One thread at a time, that of its port.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "pipelines/wire/frame.h"
#include "pipelines/wire/frame_parser.h"
#include "pipelines/wire/frame_writer.h"
#include "pipelines/wire/receiving_side.h"
#include "pipelines/wire/sending_side.h"
#include "pipelines/wire/wire_port.h"

namespace slipring::wire {

// A place of this size takes any frame.
inline constexpr std::size_t kOutputBytes = kHeaderBytes + kFragmentBytesMax;

struct SessionOptions {
  bool checks_data = true;  // wish for a CRC on data, too; both sides have to
  // Policy, never correctness: a connection that is given up is made anew, and nothing is lost.
  std::uint64_t greeting_ns = 10'000'000'000;  // for the whole of kGreeting and kOpening
  std::uint64_t ping_ns = 5'000'000'000;       // of silence, before a kPing
  std::uint64_t silence_ns = 20'000'000'000;   // before the other side is taken for gone
};

enum class SessionEnd : std::uint8_t {
  kNone,         // it goes on
  kFinished,     // the writer has closed, and everything has arrived
  kNobodyReads,  // the receiver's reader has closed
  kCut,          // the connection broke; the session goes on in the next
  kSilent,       // likewise: nothing was heard for too long
  kFault,        // likewise: what came was not the protocol
  kRefused,      // the other side said kError
  kLinkFailed,   // our own link did
  kDisplaced,    // the same session came by another connection
};

// The ports that a server offers.
class PortBook {
 public:
  PortBook() = default;
  PortBook(const PortBook&) = delete;
  PortBook& operator=(const PortBook&) = delete;
  virtual ~PortBook() = default;
  // The port of that name, for the other side; of several, the one that the session had, or a free
  // one, or the lane that is asked for.  nullptr if there is none, and `why`.
  [[nodiscard]] virtual WirePort* find(const Hello& hello, ErrorReason& why) noexcept = 0;
};

class Session {
 public:
  enum class State : std::uint8_t { kGreeting, kOpening, kRunning, kLeaving, kEnded };

  // A client's, for one port; a server's, for whichever port the client asks for.
  Session(WirePort& port, const SessionOptions& options, std::uint64_t now_ns) noexcept;
  Session(PortBook& book, const SessionOptions& options, std::uint64_t now_ns) noexcept;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  // Who is at the other end, by the word of whoever carries the bytes: its certificate's name, or
  // its address.
  void name_peer(std::string name) noexcept { peer_ = std::move(name); }

  // What the other side sent, in order.  Moves the front past what was taken; the rest waits until
  // the link has room (is_blocked()), or is not wanted any more.
  void receive(std::span<const std::byte>& input, std::uint64_t now_ns) noexcept;
  // There is something to take, and no room for it in the link.
  [[nodiscard]] bool is_blocked() const noexcept { return is_blocked_; }
  // Blocked, and there is room now.
  [[nodiscard]] bool may_unblock() const noexcept {
    return is_blocked_ && receiving_ && receiving_->has_space();
  }

  // Puts whole frames into `place` and answers how many bytes.  Requires: place.size() >=
  // kControlBytesMax + kHeaderBytes + kPreambleBytes, or nothing may come.
  [[nodiscard]] std::size_t send(std::span<std::byte> place) noexcept;
  // Whether send() would put anything.
  [[nodiscard]] bool has_output() const noexcept;

  // Time passes.  Answers when it wants to be told next.
  std::uint64_t tick(std::uint64_t now_ns) noexcept;
  // The connection is no more.
  void cut(SessionEnd how = SessionEnd::kCut) noexcept;

  [[nodiscard]] State state() const noexcept { return state_; }
  // kEnded, and everything that was to be said has been put.
  [[nodiscard]] bool is_over() const noexcept { return state_ == State::kEnded && !error_due_; }
  [[nodiscard]] SessionEnd outcome() const noexcept { return outcome_; }
  // Of kRefused: what the other side said; of kFault: what was wrong.  Printable.
  [[nodiscard]] const std::string& words() const noexcept { return words_; }
  [[nodiscard]] std::optional<ErrorReason> refusal() const noexcept { return refusal_; }
  [[nodiscard]] WirePort* port() const noexcept { return port_; }
  // Of kFinished: the sender's link is a lane, whose next writer may follow.
  [[nodiscard]] bool may_be_followed() const noexcept { return may_be_followed_; }
  // The first acknowledgement has come or gone: the link is being carried.
  [[nodiscard]] bool was_running() const noexcept { return was_running_; }

 private:
  friend class SessionTestAccess;
  [[nodiscard]] LinkSide side() const noexcept { return port_->side(); }
  [[nodiscard]] std::uint32_t offered() const noexcept {
    return (options_.checks_data ? kDataChecks : 0) | kTellsDrops | kLongOpens | kNamesWriter |
           kTopics | kKnowsLanes;
  }
  void agree(std::uint32_t features) noexcept;
  [[nodiscard]] bool may_open() const noexcept;
  void end(SessionEnd how) noexcept;
  void fail(const char* what) noexcept;
  void refuse(ErrorReason reason, const char* words = nullptr) noexcept;
  bool take_port(WirePort& port, const SessionId& theirs) noexcept;
  void begin_sides() noexcept;

  void on_frame() noexcept;
  void on_hello() noexcept;
  void on_welcome() noexcept;
  void on_open() noexcept;
  void on_ack() noexcept;
  void on_bye() noexcept;
  void on_error() noexcept;
  void on_data() noexcept;
  void on_dropped() noexcept;
  void on_writer() noexcept;

  void put_hello(FrameWriter& out) noexcept;
  void put_open(FrameWriter& out) noexcept;
  void put_error(FrameWriter& out) noexcept;
  void put_greetings(FrameWriter& out) noexcept;
  void put_ack(FrameWriter& out) noexcept;
  void put_dropped(FrameWriter& out) noexcept;
  void put_running(FrameWriter& out) noexcept;
  [[nodiscard]] bool is_bye_due() const noexcept;

  SessionOptions options_;
  PortBook* book_ = nullptr;  // a server's
  WirePort* port_ = nullptr;
  State state_ = State::kGreeting;
  SessionEnd outcome_ = SessionEnd::kNone;
  std::string peer_;
  std::string words_;
  std::optional<ErrorReason> refusal_;
  FrameParser parser_;
  std::optional<SendingSide> sending_;
  std::optional<ReceivingSide> receiving_;
  bool checks_data_ = false;
  std::uint32_t features_ = 0;  // agreed on
  bool tells_drops_ = false;    // of these
  bool is_blocked_ = false;
  bool was_running_ = false;
  bool may_be_followed_ = false;

  bool preamble_due_ = true;
  bool hello_due_ = false;
  bool welcome_due_ = false;
  bool open_due_ = false;
  bool first_ack_due_ = false;
  bool bye_due_ = false;  // an answer
  bool bye_sent_ = false;
  bool error_due_ = false;
  bool ping_due_ = false;
  std::optional<std::uint64_t> pong_due_;
  ErrorReason error_ = ErrorReason::kProtocol;

  std::uint64_t began_ns_;
  std::uint64_t heard_ns_;
  std::uint64_t pinged_ns_ = 0;
};

}  // namespace slipring::wire
