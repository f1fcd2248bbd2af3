#include "pipelines/wire/session.h"

#include <algorithm>

namespace slipring::wire {

Session::Session(WirePort& port, const SessionOptions& options, std::uint64_t now_ns) noexcept
    : options_(options), port_(&port), began_ns_(now_ns), heard_ns_(now_ns) {
  if (port.user() != nullptr) port.user()->cut(SessionEnd::kDisplaced);
  port.use(this);
  begin_sides();
  hello_due_ = true;
}

Session::Session(PortBook& book, const SessionOptions& options, std::uint64_t now_ns) noexcept
    : options_(options), book_(&book), began_ns_(now_ns), heard_ns_(now_ns) {}

// Once it has ended, the port may be gone.
Session::~Session() {
  cut();
}

void Session::begin_sides() noexcept {
  if (side() == LinkSide::kSender) {
    sending_.emplace(port_->source());
    open_due_ = true;
  } else {
    receiving_.emplace(port_->sink(), port_->ledger());
  }
}

// From here on the port is free for another session.
void Session::end(SessionEnd how) noexcept {
  if (state_ == State::kEnded) return;
  state_ = State::kEnded;
  outcome_ = how;
  is_blocked_ = false;
  sending_.reset();
  receiving_.reset();
  if (how == SessionEnd::kFinished || how == SessionEnd::kNobodyReads) port_->finish();
  if (port_ != nullptr && port_->user() == this) port_->use(nullptr);
}

void Session::cut(SessionEnd how) noexcept {
  error_due_ = false;
  if (sending_ && state_ == State::kLeaving) {
    words_ = "everything has arrived there; whether its end was heard is not known";
  }
  end(how);
}

// The other side broke the protocol: it is told, and the connection ends.
void Session::fail(const char* what) noexcept {
  if (state_ == State::kEnded) return;
  words_ = what;
  error_ = ErrorReason::kProtocol;
  error_due_ = true;
  end(SessionEnd::kFault);
}

void Session::refuse(ErrorReason reason, const char* words) noexcept {
  if (state_ == State::kEnded) return;
  words_ = words != nullptr ? words : name_of(reason);
  refusal_ = reason;
  error_ = reason;
  error_due_ = true;
  end(reason == ErrorReason::kLink ? SessionEnd::kLinkFailed : SessionEnd::kFault);
}

void Session::receive(std::span<const std::byte>& input, std::uint64_t now_ns) noexcept {
  if (!input.empty()) heard_ns_ = now_ns;
  if (is_blocked_) {
    is_blocked_ = false;
    on_data();
  }
  while (state_ != State::kEnded && !is_blocked_) {
    switch (parser_.next(input)) {
      case FrameParser::Event::kMore:
        return;
      case FrameParser::Event::kPreamble:
        break;
      case FrameParser::Event::kData:
        on_data();
        break;
      case FrameParser::Event::kPiece:
        receiving_->put(parser_.piece());
        break;
      case FrameParser::Event::kFrame:
        on_frame();
        break;
      case FrameParser::Event::kFault:
        fail(name_of(parser_.fault()));
        break;
    }
  }
}

// A kData frame begins, or waits for room since it began.
void Session::on_data() noexcept {
  if (!receiving_ || state_ != State::kRunning) return fail("data out of turn");
  const std::optional<Transfer> answer = receiving_->begin(parser_.header());
  if (!answer) return fail("data that do not follow what has arrived");
  if (*answer == Transfer::kCorruptPeer) return refuse(ErrorReason::kLink);
  is_blocked_ = *answer == Transfer::kBlocked;
}

void Session::on_frame() noexcept {
  const FrameHeader& header = parser_.header();
  const bool is_running = state_ == State::kRunning || state_ == State::kLeaving;
  switch (header.type) {
    case FrameType::kHello:
      return on_hello();
    case FrameType::kWelcome:
      return on_welcome();
    case FrameType::kOpen:
      return on_open();
    case FrameType::kAck:
      return on_ack();
    case FrameType::kData:
      return receiving_->end();
    case FrameType::kAbort:
      if (!receiving_ || !is_running) return fail("an abort out of turn");
      return receiving_->abort_before(header.position);
    case FrameType::kBye:
      return on_bye();
    case FrameType::kPing:
      if (!is_running) return fail("a ping out of turn");
      pong_due_ = header.position;
      return;
    case FrameType::kPong:
      return;  // heard, which was all that was wanted
    case FrameType::kError:
      return on_error();
    case FrameType::kDropped:
      return on_dropped();
    case FrameType::kWriter:
      return on_writer();
  }
}

// The port's last session may live on in a connection that is dead at its other end.  Whoever knows
// its number is the same side again; anybody else has to wait.
bool Session::take_port(WirePort& port, const SessionId& theirs) noexcept {
  if (port.user() != nullptr) {
    if (!port.is_called_by(theirs)) return false;
    port.user()->cut(SessionEnd::kDisplaced);
  }
  port_ = &port;
  port.use(this);
  port.called_by(theirs);
  return true;
}

std::uint64_t Session::tick(std::uint64_t now_ns) noexcept {
  if (state_ == State::kEnded) return UINT64_MAX;
  if (state_ == State::kGreeting || state_ == State::kOpening) {
    const std::uint64_t until_ns = began_ns_ + options_.greeting_ns;
    if (now_ns >= until_ns) {
      words_ = "no greeting in time";
      cut(SessionEnd::kSilent);
    }
    return until_ns;
  }
  if (receiving_) port_->sink().tend();
  // Blocked, we do not listen: what is not heard then says nothing of the other side.
  if (is_blocked_) heard_ns_ = now_ns;
  if (now_ns - heard_ns_ >= options_.silence_ns) {
    words_ = "nothing was heard for too long";
    cut(SessionEnd::kSilent);
    return UINT64_MAX;
  }
  const std::uint64_t quiet_since_ns = std::max(heard_ns_, pinged_ns_);
  if (now_ns - quiet_since_ns >= options_.ping_ns) {
    ping_due_ = true;
    pinged_ns_ = now_ns;
  }
  return std::min(heard_ns_ + options_.silence_ns,
                  std::max(heard_ns_, pinged_ns_) + options_.ping_ns);
}

}  // namespace slipring::wire
