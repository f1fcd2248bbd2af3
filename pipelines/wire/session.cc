#include "pipelines/wire/session.h"

#include <algorithm>

namespace slipring::wire {
namespace {

FrameHeader header_of(FrameType type, std::uint64_t position = 0, std::uint8_t flags = 0) noexcept {
  FrameHeader header;
  header.type = type;
  header.position = position;
  header.flags = flags;
  return header;
}

}  // namespace

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

void Session::refuse(ErrorReason reason) noexcept {
  if (state_ == State::kEnded) return;
  words_ = name_of(reason);
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
    if (theirs.is_none() || theirs != port.session_id()) return false;
    port.user()->cut(SessionEnd::kDisplaced);
  }
  port_ = &port;
  port.use(this);
  return true;
}

void Session::on_hello() noexcept {
  if (book_ == nullptr || port_ != nullptr) return fail("a hello out of turn");
  const std::optional<Hello> hello = decode_hello(parser_.control());
  if (!hello) return fail(name_of(Fault::kMalformed));
  ErrorReason why = ErrorReason::kUnknownLink;
  WirePort* const port = book_->find(hello->link, other(hello->side), hello->session, why);
  if (port == nullptr) return refuse(why);
  if (!take_port(*port, hello->session)) return refuse(ErrorReason::kBusyLink);
  begin_sides();
  agree(hello->features & offered());
}

void Session::agree(std::uint32_t features) noexcept {
  features_ = features;
  checks_data_ = (features & kDataChecks) != 0;
  tells_drops_ = (features & kTellsDrops) != 0;
  parser_.check_data(checks_data_);
  welcome_due_ = book_ != nullptr;
  state_ = State::kOpening;
  const bool is_known = !sending_ || !port_->source().form().is_long();
  if (!is_known && (features & kLongOpens) == 0) refuse(ErrorReason::kTooOld);
}

// What not everybody knows is opened once the other side has said that it does.
bool Session::may_open() const noexcept {
  return open_due_ && (!port_->source().form().is_long() || state_ == State::kOpening);
}

void Session::on_welcome() noexcept {
  if (book_ != nullptr || state_ != State::kGreeting) return fail("a welcome out of turn");
  const std::optional<std::uint32_t> features = decode_welcome(parser_.control());
  if (!features) return fail(name_of(Fault::kMalformed));
  if ((*features & ~offered()) != 0) return fail("a welcome to what was not offered");
  agree(*features);
}

void Session::on_open() noexcept {
  if (!receiving_ || state_ != State::kOpening) return fail("an opening out of turn");
  const std::optional<Open> open = decode_open(parser_.control());
  if (!open) return fail(name_of(Fault::kMalformed));
  const FrameHeader& header = parser_.header();
  const std::optional<ErrorReason> refused =
      receiving_->open(*open, header.position, (header.flags & kResumes) != 0);
  if (refused) return refuse(*refused);
  port_->opened(open->session);
  port_->sink().tell_origin(peer_);
  first_ack_due_ = true;
  was_running_ = true;
  state_ = State::kRunning;
}

void Session::on_ack() noexcept {
  if (!sending_ || open_due_ || state_ == State::kGreeting) return fail("an ack out of turn");
  const std::optional<std::uint64_t> limit = decode_ack(parser_.control());
  if (!limit) return fail(name_of(Fault::kMalformed));
  const std::uint64_t arrived = parser_.header().position;
  if (state_ == State::kOpening) {
    if (!sending_->resume(arrived, *limit)) return fail("an ack of what was never sent");
    port_->source_session().doomed(port_->source().take_doomed());
    port_->source_session().welcomed();
    was_running_ = true;
    state_ = State::kRunning;
    return;
  }
  if (!sending_->acknowledge(arrived, *limit)) return fail("an ack of what was never sent");
}

void Session::on_dropped() noexcept {
  if (!sending_ || !tells_drops_ || state_ < State::kRunning) return fail("drops out of turn");
  const std::optional<Dropped> dropped = decode_dropped(parser_.control());
  if (!dropped) return fail(name_of(Fault::kMalformed));
  port_->source_session().dropped_there(*dropped);
  port_->source_session().arrived_of_doomed(
      port_->source().settle_doomed(parser_.header().position, dropped->stood));
}

void Session::on_writer() noexcept {
  const bool is_agreed = (features_ & kNamesWriter) != 0;
  if (!receiving_ || !is_agreed || state_ != State::kRunning) return fail("a writer out of turn");
  const std::optional<WriterName> name = decode_writer(parser_.control());
  if (!name) return fail(name_of(Fault::kMalformed));
  port_->sink().tell_writer(*name);
}

void Session::on_bye() noexcept {
  const FrameHeader& header = parser_.header();
  if (receiving_ && state_ == State::kRunning && header.flags == kEndOfStream) {
    if (!receiving_->end_stream(header.position)) return fail("an end before everything came");
    bye_due_ = true;
    state_ = State::kLeaving;
    return;
  }
  if (sending_ && header.flags == kReaderClosed && state_ >= State::kRunning) {
    port_->source().close();
    return end(SessionEnd::kNobodyReads);
  }
  if (sending_ && state_ == State::kLeaving && header.flags == kAllArrived) {
    if (!sending_->acknowledge(header.position, UINT64_MAX) || !sending_->is_all_acknowledged()) {
      return fail("a farewell before everything came");
    }
    port_->source().close();
    return end(SessionEnd::kFinished);
  }
  fail("a farewell out of turn");
}

void Session::on_error() noexcept {
  refusal_ = static_cast<ErrorReason>(parser_.header().span);
  words_.clear();
  for (const std::byte byte : parser_.control()) {
    const char letter = static_cast<char>(byte);
    words_.push_back(letter >= ' ' && letter <= '~' ? letter : '?');
  }
  end(SessionEnd::kRefused);
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

bool Session::is_bye_due() const noexcept {
  if (state_ != State::kRunning || first_ack_due_) return false;
  if (sending_) return sending_->is_at_end() && sending_->is_all_acknowledged();
  return port_->sink().is_reader_closed();
}

bool Session::has_output() const noexcept {
  if (error_due_) return true;
  if (state_ == State::kEnded) return false;
  if (hello_due_ || welcome_due_ || may_open() || bye_due_) return true;
  if (state_ == State::kGreeting || state_ == State::kOpening)
    return preamble_due_ && book_ == nullptr;
  if (first_ack_due_ || ping_due_ || pong_due_ || is_bye_due()) return true;
  if (sending_) {
    return state_ == State::kRunning && (sending_->has_frames() || has_other_writer());
  }
  return state_ == State::kRunning &&
         (receiving_->has_news() || (tells_drops_ && receiving_->has_drops()));
}

void Session::put_hello(FrameWriter& out) noexcept {
  std::array<std::byte, kControlBytesMax> payload;
  const Hello hello{side(), offered(), port_->session_id(), port_->wire_name()};
  out.put(header_of(FrameType::kHello), std::span(payload).first(encode(hello, payload)));
  hello_due_ = false;
}

void Session::put_open(FrameWriter& out) noexcept {
  std::array<std::byte, kControlBytesMax> payload;
  const LinkSource& source = port_->source();
  const Open open{port_->source_session().id(), source.form()};
  const std::uint8_t flags = port_->source_session().is_welcomed() ? kResumes : std::uint8_t{0};
  out.put(header_of(FrameType::kOpen, source.done(), flags),
          std::span(payload).first(encode(open, payload)));
  open_due_ = false;
}

void Session::put_error(FrameWriter& out) noexcept {
  FrameHeader header = header_of(FrameType::kError);
  header.span = static_cast<std::uint32_t>(error_);
  const std::size_t count = std::min(words_.size(), kControlBytesMax);
  out.put(header, std::as_bytes(std::span(words_.data(), count)));
  error_due_ = false;
}

void Session::put_ack(FrameWriter& out) noexcept {
  std::array<std::byte, kControlBytesMax> payload;
  const std::uint64_t arrived = receiving_->arrived();
  const std::uint64_t limit = receiving_->limit();
  const bool is_known = first_ack_due_ && receiving_->knew_session();
  out.put(header_of(FrameType::kAck, arrived, is_known ? kKnown : std::uint8_t{0}),
          std::span(payload).first(encode_ack(limit, payload)));
  receiving_->told(arrived, limit);
  first_ack_due_ = false;
}

void Session::put_dropped(FrameWriter& out) noexcept {
  std::array<std::byte, kControlBytesMax> payload;
  const Dropped dropped = receiving_->dropped();
  out.put(header_of(FrameType::kDropped, receiving_->aborted()),
          std::span(payload).first(encode(dropped, payload)));
  receiving_->told(dropped);
}

void Session::put_writer(FrameWriter& out) noexcept {
  std::array<std::byte, kControlBytesMax> payload;
  told_writer_ = port_->source().writer();
  out.put(header_of(FrameType::kWriter), std::span(payload).first(encode(told_writer_, payload)));
}

void Session::put_greetings(FrameWriter& out) noexcept {
  if (hello_due_ && out.has_room_for(kControlBytesMax)) put_hello(out);
  if (welcome_due_ && out.has_room_for(kControlBytesMax)) {
    std::array<std::byte, kControlBytesMax> payload;
    out.put(header_of(FrameType::kWelcome),
            std::span(payload).first(encode_welcome(features_, payload)));
    welcome_due_ = false;
  }
  if (may_open() && out.has_room_for(kControlBytesMax)) put_open(out);
}

void Session::put_running(FrameWriter& out) noexcept {
  const auto put_if = [&](bool is_due, const FrameHeader& header) {
    if (!is_due || !out.has_room_for(0)) return false;
    out.put(header);
    return true;
  };
  if (receiving_ && (first_ack_due_ || receiving_->has_news()) &&
      out.has_room_for(kControlBytesMax)) {
    put_ack(out);
  }
  if (receiving_ && tells_drops_ && !first_ack_due_ && receiving_->has_drops() &&
      out.has_room_for(kControlBytesMax)) {
    put_dropped(out);
  }
  if (put_if(pong_due_.has_value(), header_of(FrameType::kPong, pong_due_.value_or(0)))) {
    pong_due_.reset();
  }
  if (put_if(ping_due_, header_of(FrameType::kPing, pinged_ns_))) ping_due_ = false;
  if (receiving_) {
    const std::uint64_t arrived = receiving_->arrived();
    if (put_if(bye_due_, header_of(FrameType::kBye, arrived, kAllArrived))) {
      bye_due_ = false;
      return end(SessionEnd::kFinished);
    }
    if (put_if(is_bye_due(), header_of(FrameType::kBye, arrived, kReaderClosed))) {
      end(SessionEnd::kNobodyReads);
    }
    return;
  }
  if (state_ != State::kRunning) return;
  // Ahead of what it wrote.
  if (has_other_writer()) {
    if (!out.has_room_for(kControlBytesMax)) return;
    put_writer(out);
  }
  const bool is_sound = sending_->put_frames(out, checks_data_);
  port_->source_session().doomed(port_->source().take_doomed());
  if (!is_sound) return refuse(ErrorReason::kLink);
  if (put_if(is_bye_due(), header_of(FrameType::kBye, sending_->sent(), kEndOfStream))) {
    state_ = State::kLeaving;
  }
}

std::size_t Session::send(std::span<std::byte> place) noexcept {
  FrameWriter out(place);
  // A server says nothing before it has been addressed properly, except why it refuses.
  const bool speaks = book_ == nullptr || port_ != nullptr || error_due_;
  if (preamble_due_ && speaks && out.room() >= kPreambleBytes) {
    out.put_preamble();
    preamble_due_ = false;
  }
  if (preamble_due_) return out.used();
  if (state_ != State::kEnded) put_greetings(out);
  if (state_ == State::kRunning || state_ == State::kLeaving) put_running(out);
  if (error_due_ && out.has_room_for(kControlBytesMax)) put_error(out);
  return out.used();
}

}  // namespace slipring::wire
