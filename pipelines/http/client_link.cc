// What a client does at a link: puts, takes, follows, and confirms.
#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "pipelines/http/client.h"

namespace slipring::http {
namespace {

constexpr std::size_t kStreamStagingBytes = 64 * 1024;
constexpr std::uint64_t kFollowPieceBytes = 256 * 1024;
constexpr std::uint64_t kFollowAheadBytes = 1024 * 1024;
// A stream that moves again has as long again.
constexpr std::uint64_t kStreamPatienceNs = 60'000'000'000;

const Refusal kLongChunkHead{400, "the head of a chunk is too long", "16 KiB and more",
                             "send chunks without extensions"};

std::string chunk_head(std::uint64_t size_bytes) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "%llx\r\n", static_cast<unsigned long long>(size_bytes));
  return text.data();
}

}  // namespace

void Client::hold_body(std::uint64_t size_bytes) {
  shared_->bodies_bytes += size_bytes;
  shared_->bodies_bytes -= body_.size();
  if (size_bytes == 0) {
    std::vector<std::byte>().swap(body_);
  } else {
    body_.resize(size_bytes);
  }
}

// Whatever the client holds at the desk goes back to where it belongs.
void Client::settle(bool is_confirmed) {
  if (is_putting_) desk_->end_stream_put();
  is_putting_ = false;
  if (is_following_) {
    if (is_confirmed) desk_->consume(ahead_bytes_);
    desk_->end_follow(is_confirmed && was_last_, is_confirmed ? 0 : ahead_bytes_);
    if (!is_confirmed && ahead_bytes_ != 0) ++shared_->returned_count;
  } else if (taken_) {
    if (is_confirmed) {
      desk_->confirm(taken_->number);
      ++shared_->delivered_count;
    } else {
      desk_->give_back(taken_->number);
      ++shared_->returned_count;
    }
  }
  is_following_ = false;
  was_last_ = false;
  taken_.reset();
  taken_sent_ = 0;
  pieces_.clear();
  ahead_bytes_ = 0;
  waits_ = false;
  body_count_ = body_begin_ = 0;
  hold_body(0);
}

bool Client::has_news() const {
  if (state_ == State::kFollowing) return desk_->has_news(Wish::kFollow, ahead_bytes_);
  if (state_ == State::kBody) {
    return desk_->has_news(is_putting_ ? Wish::kSpace : Wish::kTurn, 1);
  }
  return desk_->has_news(call_.puts ? Wish::kSpace : Wish::kMessage, body_count_);
}

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

void Client::finish_put(std::uint64_t now_ns, std::uint64_t position) {
  if (call_.ends) desk_->close_writer();
  Response response;
  response.status = 204;
  response.fields = "Slipring-Position: " + std::to_string(position) + "\r\n";
  settle(false);
  static_cast<void>(answer(std::move(response), "", now_ns));
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

bool Client::step_waiting(std::uint64_t now_ns) {
  // A client that left is found here, and costs no delivery.
  if (waits_ && transport_.has_left()) {
    close();
    return false;
  }
  if (call_.puts) return try_put(now_ns);
  return call_.follows ? try_follow(now_ns) : try_take(now_ns);
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

bool Client::try_take(std::uint64_t now_ns) {
  Taken taken;
  switch (desk_->take(call_.piece_bytes, taken)) {
    case DeskAnswer::kRefused:
      return refuse(desk_->refusal(), now_ns);
    case DeskAnswer::kOver:
      return refuse({410, call_.link + ": its writer has closed", "everything was delivered",
                     "nothing more will come"},
                    now_ns);
    case DeskAnswer::kBlocked: {
      waits_ = now_ns < deadline_ns_;
      if (waits_) return false;
      Response response;
      response.status = 204;
      return answer(std::move(response), "", now_ns);
    }
    case DeskAnswer::kDone:
      break;
  }
  taken_ = taken;
  // A client that is told to close does so as soon as it has everything, and tells us by it.
  keeps_alive_ = keeps_alive_ && call_.keeps;
  Response response;
  response.content_type = "application/octet-stream";
  response.content_length = taken.size_bytes();
  response.fields = "Slipring-Position: " + std::to_string(taken.position) + "\r\n";
  if (taken.redelivered) response.fields += "Slipring-Redelivered: 1\r\n";
  return answer(std::move(response), "", now_ns);
}

bool Client::try_follow(std::uint64_t now_ns) {
  switch (desk_->begin_follow()) {
    case DeskAnswer::kDone:
      break;
    case DeskAnswer::kBlocked:
    case DeskAnswer::kOver:
      waits_ = now_ns < deadline_ns_;
      if (waits_) return false;
      return refuse({409, call_.link + ": somebody takes from this stream", "another GET",
                     "try again, or let wait=SECONDS wait for its end"},
                    now_ns);
    case DeskAnswer::kRefused:
      return refuse(desk_->refusal(), now_ns);
  }
  is_following_ = true;
  waits_ = false;
  Response response;
  response.content_type = "application/octet-stream";
  response.is_http_1_0 = parser_->head().is_http_1_0;
  keeps_alive_ = false;
  response.is_chunked = !response.is_http_1_0;
  response.keeps_alive = keeps_alive_;
  out_ = head_of(response);
  if (response.is_http_1_0) {
    const std::string length = "Content-Length: 0\r\n";
    if (const std::size_t at = out_.find(length); at != std::string::npos) {
      out_.erase(at, length.size());
    }
  }
  out_sent_ = 0;
  set_state(State::kFollowing, now_ns, kStreamPatienceNs);
  return true;
}

// What the client's machine has acknowledged is finished in the ring: byte by byte, because the
// last bytes of a burst are acknowledged late, and the ring must not stand still for them.
void Client::account_acknowledged() {
  // Under TLS more bytes were sent than we know of; then a little less counts as acknowledged.
  const std::uint64_t unacknowledged = transport_.unacknowledged_bytes();
  if (unacknowledged > sent_total_) return;
  const std::uint64_t acknowledged = sent_total_ - unacknowledged;
  while (!pieces_.empty()) {
    Piece& piece = pieces_.front();
    const std::uint64_t begin = piece.end_sent - piece.size_bytes;
    if (acknowledged <= begin) return;
    const std::uint64_t count = std::min(acknowledged - begin, piece.size_bytes);
    desk_->consume(count);
    ahead_bytes_ -= count;
    piece.size_bytes -= count;
    if (piece.size_bytes != 0) return;
    pieces_.pop_front();
  }
}

// The next bytes of the stream, or its end, behind what was sent.  Answers whether there was any.
bool Client::queue_piece(std::uint64_t now_ns) {
  account_acknowledged();
  if (ahead_bytes_ >= kFollowAheadBytes) return false;
  Taken taken;
  const bool is_chunked = !parser_->head().is_http_1_0;
  // The end of the piece before goes with the head of this one.
  const std::string before = taken_ && is_chunked ? "\r\n" : "";
  switch (desk_->follow(ahead_bytes_, taken)) {
    case DeskAnswer::kRefused:
      close();
      return true;
    case DeskAnswer::kOver:
      out_ = before + (is_chunked ? "0\r\n\r\n" : "");
      taken_.reset();
      was_last_ = true;
      begin_sending(now_ns);
      return true;
    case DeskAnswer::kBlocked:
      waits_ = true;
      return false;
    case DeskAnswer::kDone:
      break;
  }
  taken.parts[0] =
      taken.parts[0].first(std::min<std::size_t>(taken.parts[0].size(), kFollowPieceBytes));
  taken.parts[1] = taken.parts[1].first(
      std::min<std::size_t>(taken.parts[1].size(), kFollowPieceBytes - taken.parts[0].size()));
  const std::uint64_t size_bytes = taken.size_bytes();
  out_ = before + (is_chunked ? chunk_head(size_bytes) : "");
  out_sent_ = 0;
  taken_ = taken;
  taken_sent_ = 0;
  waits_ = false;
  ahead_bytes_ += size_bytes;
  pieces_.push_back({sent_total_ + out_.size() + size_bytes, size_bytes});
  deadline_ns_ = now_ns + kStreamPatienceNs;
  return true;
}

bool Client::step_following(std::uint64_t now_ns) {
  switch (send_all()) {
    case IoAnswer::kBlocked:
      account_acknowledged();
      return false;
    case IoAnswer::kEnd:
    case IoAnswer::kBroken:
      close();
      return false;
    case IoAnswer::kDone:
      break;
  }
  if (queue_piece(now_ns)) return true;
  // Nothing to send: time passes for the writer, and not for the client.
  if (pieces_.empty()) deadline_ns_ = UINT64_MAX;
  if (transport_.has_left()) close();
  return false;
}

bool Client::step_confirming(std::uint64_t now_ns) {
  if (transport_.is_broken()) {
    close();
    return false;
  }
  if (!is_pipelined_ && !has_ended_) {
    const IoAnswer answer = receive();
    if (answer == IoAnswer::kBlocked) return false;
    if (answer == IoAnswer::kBroken) {
      close();
      return false;
    }
  }
  if (transport_.unacknowledged_bytes() != 0) return false;
  settle(true);
  if (has_ended_ && in_begin_ == in_end_) {
    close();
    return false;
  }
  if (keeps_alive_) {
    begin_next_request(now_ns);
  } else {
    begin_closing(now_ns);
  }
  return true;
}

}  // namespace slipring::http
