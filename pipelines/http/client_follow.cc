// A client that follows a stream: its bytes as they are published, until it ends.
#include <algorithm>
#include <array>
#include <cstdio>
#include <string>

#include "pipelines/http/client.h"

namespace slipring::http {
namespace {

constexpr std::uint64_t kFollowPieceBytes = 256 * 1024;
constexpr std::uint64_t kFollowAheadBytes = 1024 * 1024;

std::string chunk_head(std::uint64_t size_bytes) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "%llx\r\n", static_cast<unsigned long long>(size_bytes));
  return text.data();
}

}  // namespace

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

}  // namespace slipring::http
