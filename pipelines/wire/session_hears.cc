// What a session does about the frames that it hears.
#include "pipelines/wire/session.h"

namespace slipring::wire {
namespace {

constexpr const char* kLanesNeedSet = "a lane set goes to a lane set, and this link is none";

}  // namespace

void Session::on_hello() noexcept {
  if (book_ == nullptr || port_ != nullptr) return fail("a hello out of turn");
  const std::optional<Hello> hello = decode_hello(parser_.control());
  if (!hello) return fail(name_of(Fault::kMalformed));
  ErrorReason why = ErrorReason::kUnknownLink;
  WirePort* const port = book_->find(*hello, why);
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
  if (!sending_) return;
  const std::uint32_t needs =
      port_->source().form().needs() | (port_->source().lane_count() != 0 ? kKnowsLanes : 0);
  if ((needs & ~features) != 0) return refuse(ErrorReason::kTooOld);
  using Naming = SendingSide::Naming;
  const bool names = (features & kNamesWriter) != 0;
  const Naming naming = (features & kKnowsLanes) != 0 ? Naming::kLong : Naming::kShort;
  sending_->name_writers(names ? naming : Naming::kNot);
}

// What not everybody knows is opened once the other side has said that it does.
bool Session::may_open() const noexcept {
  if (!open_due_) return false;
  const bool is_long = port_->source().form().is_long() || port_->source().lane_count() != 0;
  return !is_long || state_ == State::kOpening;
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
  if (open->lane_count != 0) {
    if ((features_ & kKnowsLanes) == 0) return fail("a lane that was not agreed on");
    if (!port_->sink().lane()) return refuse(ErrorReason::kMismatch, kLanesNeedSet);
  }
  if (!port_->may_open(open->session)) return refuse(ErrorReason::kBusyLink);
  const FrameHeader& header = parser_.header();
  const std::optional<ErrorReason> refused =
      receiving_->open(*open, header.position, (header.flags & kResumes) != 0);
  if (refused) return refuse(*refused);
  port_->opened(*open);
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
  const std::optional<WriterName> name = decode_writer(parser_.control(), parser_.header().flags);
  if (!name) return fail(name_of(Fault::kMalformed));
  // Until that is read the sender calls again.
  if (!port_->sink().tell_writer(*name)) refuse(ErrorReason::kBusyLink);
}

void Session::on_bye() noexcept {
  const FrameHeader& header = parser_.header();
  const bool is_end =
      header.flags == kEndOfStream ||
      (header.flags == (kEndOfStream | kOthersFollow) && (features_ & kKnowsLanes) != 0);
  if (receiving_ && state_ == State::kRunning && is_end) {
    if (!receiving_->end_stream(header.position)) return fail("an end before everything came");
    may_be_followed_ = (header.flags & kOthersFollow) != 0;
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
    may_be_followed_ = port_->source().lane_count() != 0;
    port_->source().finish();
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

}  // namespace slipring::wire
