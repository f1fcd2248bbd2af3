// What every client does at a link: it waits there, takes a message, confirms it or gives it back.
#include <string>
#include <utility>
#include <vector>

#include "pipelines/http/client.h"

namespace slipring::http {

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

bool Client::step_waiting(std::uint64_t now_ns) {
  // A client that left is found here, and costs no delivery.
  if (waits_ && transport_.has_left()) {
    close();
    return false;
  }
  if (call_.puts) return try_put(now_ns);
  return call_.follows ? try_follow(now_ns) : try_take(now_ns);
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
