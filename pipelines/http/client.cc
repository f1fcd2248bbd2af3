#include "pipelines/http/client.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <variant>

namespace slipring::http {
namespace {

constexpr std::size_t kInBytes = 16 * 1024;
constexpr std::size_t kThrownAwayMax = 256 * 1024;  // while closing
constexpr std::uint64_t kClosingNs = 2'000'000'000;
static_assert(kInBytes > kHeadBytesMax, "a head must fit");

}  // namespace

Client::Client(Transport transport, Shared& shared, std::uint64_t now_ns)
    : transport_(std::move(transport)), shared_(&shared), since_ns_(now_ns) {
  set_state(State::kHandshake, now_ns, shared.limits.head_ns);
}

Client::~Client() {
  close();
}

void Client::set_state(State state, std::uint64_t now_ns, std::uint64_t patience_ns) {
  state_ = state;
  since_ns_ = now_ns;
  deadline_ns_ = now_ns + patience_ns;
}

std::uint64_t Client::time_for(std::uint64_t size_bytes) const noexcept {
  const Limits& limits = shared_->limits;
  return limits.patience_ns + size_bytes / limits.rate_bytes_per_s_min * 1'000'000'000;
}

bool Client::wants_read() const noexcept {
  switch (state_) {
    case State::kHandshake:
      return !transport_.wants_write();
    case State::kBody:
      return !waits_;
    case State::kHead:
    case State::kConfirming:
      return !has_ended_;
    case State::kClosing:
      return true;
    default:
      return false;
  }
}

bool Client::wants_write() const noexcept {
  if (state_ == State::kHandshake) return transport_.wants_write();
  const bool has_output =
      out_sent_ < out_.size() || taken_sent_ < (taken_ ? taken_->size_bytes() : 0);
  return has_output && state_ != State::kConfirming && state_ != State::kClosing;
}

bool Client::wants_ticks() const noexcept {
  if (state_ == State::kConfirming) return is_pipelined_ || has_ended_;
  return is_following_ && !pieces_.empty();
}

void Client::advance(std::uint64_t now_ns) {
  while (step(now_ns)) {
  }
}

bool Client::step(std::uint64_t now_ns) {
  switch (state_) {
    case State::kHandshake:
      return step_handshake(now_ns);
    case State::kHead:
      return step_head(now_ns);
    case State::kBody:
      return step_body(now_ns);
    case State::kWaiting:
      return step_waiting(now_ns);
    case State::kSending:
      return step_sending(now_ns);
    case State::kConfirming:
      return step_confirming(now_ns);
    case State::kFollowing:
      return step_following(now_ns);
    case State::kClosing:
      return step_closing();
    case State::kClosed:
      break;
  }
  return false;
}

void Client::expire(std::uint64_t now_ns) {
  switch (state_) {
    case State::kHead:
      // A connection that is merely idle is closed without a word.
      if (parser_ && parser_->has_begun()) {
        static_cast<void>(refuse(
            {408, "the request's head did not come", "a part of it", "send it at once"}, now_ns));
        advance(now_ns);
      } else {
        begin_closing(now_ns);
      }
      return;
    case State::kBody:
      static_cast<void>(
          refuse(waits_ ? Refusal{503, call_.link + ": the stream is full",
                                  std::to_string(body_total_ - body_count_) + " bytes went in",
                                  "wait=SECONDS waits longer for its reader"}
                        : Refusal{408, "the request's body did not come",
                                  std::to_string(body_total_) + " bytes of it", "send it faster"},
                 now_ns));
      advance(now_ns);
      return;
    case State::kWaiting:
      // What came at the last moment counts; the rest is decided there.
      advance(now_ns);
      return;
    case State::kConfirming:
      if (keeps_alive_) {
        // Says that we are through with it, and waits as long again.
        keeps_alive_ = false;
        transport_.finish_writing();
        deadline_ns_ = now_ns + shared_->limits.confirm_ns;
      } else {
        close();
      }
      return;
    default:
      close();
  }
}

IoAnswer Client::receive() {
  if (in_.empty()) {
    if (!transport_.has_input()) return IoAnswer::kBlocked;
    in_.resize(kInBytes);
  }
  if (in_begin_ != 0) {
    std::memmove(in_.data(), in_.data() + in_begin_, in_end_ - in_begin_);
    in_end_ -= std::exchange(in_begin_, 0);
  }
  if (in_end_ == in_.size()) return IoAnswer::kBlocked;
  std::size_t count = 0;
  const IoAnswer answer = transport_.read(std::span(in_).subspan(in_end_), count);
  in_end_ += count;
  has_ended_ = has_ended_ || answer == IoAnswer::kEnd;
  return answer;
}

bool Client::step_handshake(std::uint64_t now_ns) {
  if (!goes_on_after(transport_.prepare())) return false;
  begin_next_request(now_ns);
  deadline_ns_ = now_ns + shared_->limits.head_ns;
  return true;
}

bool Client::goes_on_after(IoAnswer answer) {
  switch (answer) {
    case IoAnswer::kDone:
      return true;
    case IoAnswer::kBlocked:
      return false;
    case IoAnswer::kEnd:
    case IoAnswer::kBroken:
      break;
  }
  close();
  return false;
}

void Client::begin_next_request(std::uint64_t now_ns) {
  set_state(State::kHead, now_ns, shared_->limits.idle_ns);
  parser_.reset();
  desk_.reset();
  out_.clear();
  out_sent_ = 0;
  if (in_begin_ == in_end_) {
    in_begin_ = in_end_ = 0;
    std::vector<std::byte>().swap(in_);
  }
}

bool Client::step_head(std::uint64_t now_ns) {
  if (in_begin_ != in_end_) {
    if (!parser_) {
      parser_ = std::make_unique<RequestParser>();
      deadline_ns_ = now_ns + shared_->limits.head_ns;
    }
    const std::span<const std::byte> there(in_.data() + in_begin_, in_end_ - in_begin_);
    in_begin_ += parser_->read_head(there);
    if (parser_->stage() == ParseStage::kBad) return refuse(parser_->refusal(), now_ns);
    if (parser_->stage() != ParseStage::kHead) return begin_call(now_ns);
  }
  return goes_on_after(receive());
}

bool Client::begin_call(std::uint64_t now_ns) {
  const RequestHead& head = parser_->head();
  keeps_alive_ = head.keeps_alive;
  call_ = {};
  ++shared_->request_count;
  std::variant<Call, Refusal> routed = route(head);
  const Call* const call = std::get_if<Call>(&routed);
  const bool is_page = call != nullptr && call->resource == Resource::kPage;
  // Who may not ask is not told either what there is.
  if (const std::optional<Refusal> refusal = refuse_access(shared_->access, head, is_page)) {
    return refuse(*refusal, now_ns);
  }
  if (call == nullptr) return refuse(std::get<Refusal>(routed), now_ns);
  call_ = *call;
  if (call_.resource != Resource::kLink) {
    Content content = shared_->content(call_.resource);
    Response response;
    response.content_type = std::move(content.type);
    response.fields = std::move(content.fields);
    response.content_length = content.body.size();
    return answer(std::move(response), call_.head_only ? "" : std::move(content.body), now_ns);
  }
  desk_ = shared_->desk(call_.link);
  if (desk_->open() == DeskAnswer::kRefused) return refuse(desk_->refusal(), now_ns);
  if (call_.puts) return begin_put(now_ns);
  set_state(State::kWaiting, now_ns, call_.wait_ns);
  return true;
}

bool Client::refuse(const Refusal& refusal, std::uint64_t now_ns) {
  settle(false);
  // What is left of a body would be taken for the next request.
  if (!parser_ || parser_->stage() != ParseStage::kDone) keeps_alive_ = false;
  const bool is_old = parser_ && parser_->head().is_http_1_0;
  out_ = refusal_text(refusal, keeps_alive_, is_old, call_.head_only);
  begin_sending(now_ns);
  return true;
}

bool Client::answer(Response response, std::string body, std::uint64_t now_ns) {
  response.keeps_alive = keeps_alive_;
  response.is_http_1_0 = parser_->head().is_http_1_0;
  out_ = head_of(response) + body;
  begin_sending(now_ns);
  return true;
}

void Client::begin_sending(std::uint64_t now_ns) {
  waits_ = false;
  out_sent_ = 0;
  taken_sent_ = 0;
  set_state(State::kSending, now_ns, time_for(out_.size() + (taken_ ? taken_->size_bytes() : 0)));
}

IoAnswer Client::send_all() {
  for (;;) {
    std::span<const std::byte> next = std::as_bytes(std::span(out_)).subspan(out_sent_);
    const bool is_head = !next.empty();
    if (next.empty() && taken_) {
      const std::size_t first = taken_->parts[0].size();
      next = taken_sent_ < first ? taken_->parts[0].subspan(taken_sent_)
                                 : taken_->parts[1].subspan(taken_sent_ - first);
    }
    if (next.empty()) return IoAnswer::kDone;
    std::size_t count = 0;
    const IoAnswer answer = transport_.write(next, count);
    (is_head ? out_sent_ : taken_sent_) += count;
    sent_total_ += count;
    if (answer != IoAnswer::kDone) return answer;
  }
}

bool Client::step_sending(std::uint64_t now_ns) {
  switch (send_all()) {
    case IoAnswer::kBlocked:
      return false;
    case IoAnswer::kEnd:
    case IoAnswer::kBroken:
      close();
      return false;
    case IoAnswer::kDone:
      break;
  }
  if (!taken_ && !is_following_) {
    if (keeps_alive_) {
      begin_next_request(now_ns);
    } else {
      begin_closing(now_ns);
    }
    return true;
  }
  is_pipelined_ = in_begin_ != in_end_ || has_ended_ || transport_.has_input();
  // A farewell under TLS is data: a client that closes without reading it resets the connection.
  const bool is_delimited = !is_following_ || !parser_->head().is_http_1_0;
  if (!keeps_alive_ && !(transport_.is_encrypted() && is_delimited)) transport_.finish_writing();
  set_state(State::kConfirming, now_ns, shared_->limits.confirm_ns);
  return true;
}

void Client::begin_closing(std::uint64_t now_ns) {
  transport_.finish_writing();
  body_total_ = 0;
  set_state(State::kClosing, now_ns, kClosingNs);
}

// A socket that is closed with bytes unread takes our answer with it: so they are read.
bool Client::step_closing() {
  in_begin_ = in_end_ = 0;
  const IoAnswer answer = receive();
  body_total_ += in_end_;
  if (answer == IoAnswer::kBlocked) return false;
  if (answer == IoAnswer::kDone && body_total_ < kThrownAwayMax) return true;
  close();
  return false;
}

void Client::close() {
  settle(false);
  state_ = State::kClosed;
  deadline_ns_ = UINT64_MAX;
}

}  // namespace slipring::http
