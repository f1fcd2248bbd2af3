// A client that puts: a message gathered whole, or a stream as its bytes come.
#include <algorithm>
#include <string>
#include <utility>

#include "pipelines/http/client.h"

namespace slipring::http {
namespace {

constexpr std::size_t kStreamStagingBytes = 64 * 1024;

const Refusal kLongChunkHead{400, "the head of a chunk is too long", "16 KiB and more",
                             "send chunks without extensions"};

}  // namespace

bool Client::begin_put(std::uint64_t now_ns) {
  const RequestHead& head = parser_->head();
  body_total_ = 0;
  if (!head.is_chunked && !head.has_length) {
    return refuse({411, "a body without a length", "neither Content-Length nor chunks",
                   "say how long it is; an empty message has Content-Length: 0"},
                  now_ns);
  }
  const std::uint64_t longest =
      std::min(desk_->message_bytes_max(), shared_->limits.body_bytes_max);
  // One byte more than it may be, so that what is too long shows.
  std::uint64_t size_bytes = (head.is_chunked ? longest : head.content_length) + 1;
  if (desk_->is_stream()) {
    size_bytes = kStreamStagingBytes;
  } else {
    if (head.content_length > longest) {
      return refuse({413, call_.link + ": the message is too long",
                     std::to_string(head.content_length) + " bytes",
                     "send at most " + std::to_string(longest) + " bytes"},
                    now_ns);
    }
  }
  if (shared_->bodies_bytes + size_bytes > shared_->limits.bodies_bytes_max) {
    return refuse({503, "too many bodies are being sent",
                   std::to_string(shared_->bodies_bytes) + " bytes of them", "try again later"},
                  now_ns);
  }
  hold_body(size_bytes);
  set_state(State::kBody, now_ns, desk_->is_stream() ? kStreamPatienceNs : time_for(size_bytes));
  if (head.expects_continue && parser_->stage() == ParseStage::kBody) {
    out_ = "HTTP/1.1 100 Continue\r\n\r\n";
    out_sent_ = 0;
  }
  return true;
}

bool Client::step_body(std::uint64_t now_ns) {
  if (out_sent_ < out_.size()) {
    const IoAnswer answer = send_all();
    if (answer == IoAnswer::kBlocked) return false;
    if (answer != IoAnswer::kDone) {
      close();
      return false;
    }
  }
  return desk_->is_stream() ? feed_stream(now_ns) : gather_message(now_ns);
}

bool Client::gather_message(std::uint64_t now_ns) {
  if (parser_->stage() == ParseStage::kBody) {
    if (in_begin_ == in_end_) {
      const IoAnswer answer = receive();
      if (answer == IoAnswer::kBlocked) return false;
      if (answer != IoAnswer::kDone) {
        close();
        return false;
      }
    }
    std::size_t count = 0;
    const std::span<const std::byte> there(in_.data() + in_begin_, in_end_ - in_begin_);
    const std::size_t used =
        parser_->read_body(there, std::span(body_).subspan(body_count_), count);
    in_begin_ += used;
    body_count_ += count;
    body_total_ += count;
    if (parser_->stage() == ParseStage::kBad) return refuse(parser_->refusal(), now_ns);
    if (body_count_ == body_.size()) {
      return refuse({413, call_.link + ": the message is too long",
                     std::to_string(body_count_) + " bytes and more",
                     "send at most " + std::to_string(body_.size() - 1) + " bytes"},
                    now_ns);
    }
    // A part of a chunk's head: more must come first.
    if (used == 0 && count == 0) {
      if (is_full()) return refuse(kLongChunkHead, now_ns);
      const IoAnswer answer = receive();
      if (answer == IoAnswer::kBlocked) return false;
      if (answer != IoAnswer::kDone) close();
    }
    return true;
  }
  set_state(State::kWaiting, now_ns, call_.wait_ns);
  return true;
}

bool Client::feed_stream(std::uint64_t now_ns) {
  if (!is_putting_) {
    const DeskAnswer turn = desk_->begin_stream_put();
    if (turn == DeskAnswer::kRefused) return refuse(desk_->refusal(), now_ns);
    waits_ = turn == DeskAnswer::kBlocked;
    if (waits_) return false;
    is_putting_ = true;
  }
  while (body_count_ != 0) {
    std::size_t count = 0;
    const DeskAnswer put =
        desk_->put_some(std::span(body_).subspan(body_begin_, body_count_), count);
    if (put == DeskAnswer::kRefused) return refuse(desk_->refusal(), now_ns);
    body_begin_ += count;
    body_count_ -= count;
    if (count != 0) deadline_ns_ = now_ns + kStreamPatienceNs;
    if (put == DeskAnswer::kBlocked) {
      if (!waits_) {
        deadline_ns_ = now_ns + (call_.wait_ns != 0 ? call_.wait_ns : kStreamPatienceNs);
      }
      waits_ = true;
      return false;
    }
  }
  waits_ = false;
  body_begin_ = 0;
  if (parser_->stage() == ParseStage::kDone) {
    finish_put(now_ns, body_total_);
    return true;
  }
  std::size_t used = 0;
  if (in_begin_ != in_end_) {
    const std::span<const std::byte> there(in_.data() + in_begin_, in_end_ - in_begin_);
    used = parser_->read_body(there, body_, body_count_);
    in_begin_ += used;
    body_total_ += body_count_;
    if (parser_->stage() == ParseStage::kBad) return refuse(parser_->refusal(), now_ns);
    if (used != 0) return true;
    if (is_full()) return refuse(kLongChunkHead, now_ns);
  }
  const IoAnswer answer = receive();
  if (answer == IoAnswer::kBlocked) return false;
  // What went in stays in, as of a killed writer into a pipe.
  if (answer != IoAnswer::kDone) close();
  return true;
}

bool Client::try_put(std::uint64_t now_ns) {
  std::uint64_t position = 0;
  switch (desk_->put(std::span(body_).first(body_count_), position)) {
    case DeskAnswer::kDone:
      finish_put(now_ns, position);
      return true;
    case DeskAnswer::kRefused:
      return refuse(desk_->refusal(), now_ns);
    case DeskAnswer::kBlocked:
    case DeskAnswer::kOver:
      break;
  }
  waits_ = now_ns < deadline_ns_;
  if (waits_) return false;
  return refuse({503, call_.link + ": the link is full",
                 "no room for " + std::to_string(body_count_) + " bytes",
                 "try again, or let wait=SECONDS wait for its reader"},
                now_ns);
}

void Client::finish_put(std::uint64_t now_ns, std::uint64_t position) {
  if (call_.ends) desk_->close_writer();
  Response response;
  response.status = 204;
  response.fields = "Slipring-Position: " + std::to_string(position) + "\r\n";
  settle(false);
  static_cast<void>(answer(std::move(response), "", now_ns));
}

}  // namespace slipring::http
