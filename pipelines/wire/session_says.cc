// What a session says, and when.
#include <algorithm>
#include <array>

#include "pipelines/wire/session.h"

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
    return state_ == State::kRunning && sending_->has_frames();
  }
  return state_ == State::kRunning &&
         (receiving_->has_news() || (tells_drops_ && receiving_->has_drops()));
}

void Session::put_hello(FrameWriter& out) noexcept {
  std::array<std::byte, kControlBytesMax> payload;
  const Hello hello{side(), offered(), port_->calling_id(), port_->wire_name(),
                    port_->asked_lane()};
  out.put(header_of(FrameType::kHello), std::span(payload).first(encode(hello, payload)));
  hello_due_ = false;
}

void Session::put_open(FrameWriter& out) noexcept {
  std::array<std::byte, kControlBytesMax> payload;
  const LinkSource& source = port_->source();
  const Open open{port_->source_session().id(), source.form(), source.lane_count()};
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
  const bool is_sound = sending_->put_frames(out, checks_data_);
  port_->source_session().doomed(port_->source().take_doomed());
  if (!is_sound) return refuse(ErrorReason::kLink);
  if (!is_bye_due()) return;
  const bool is_lane = port_->source().lane_count() != 0;
  const std::uint8_t how = is_lane ? kEndOfStream | kOthersFollow : kEndOfStream;
  if (put_if(true, header_of(FrameType::kBye, sending_->finish(), how))) {
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
