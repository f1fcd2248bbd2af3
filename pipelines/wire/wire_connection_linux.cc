#include "pipelines/wire/wire_connection.h"

#include <cstring>

#include "pipelines/wire/wire_address.h"

namespace slipring::wire {
namespace {

// A turn of the loop takes no more from one connection, so that the others have theirs.
constexpr int kReadsATurn = 4;
constexpr int kWritesATurn = 4;

}  // namespace

void WireConnection::fail(const std::string& fault) noexcept {
  fault_ = fault;
  session_->cut();
  step_ = Step::kOver;
}

bool WireConnection::connect() noexcept {
  const int fault = connecting_error(channel_.socket());
  if (fault != 0) {
    fail(std::strerror(fault));
    return false;
  }
  step_ = Step::kShakingHands;
  return true;
}

bool WireConnection::shake_hands() noexcept {
  const TlsAnswer answer = channel_.shake_hands();
  handshake_writes_ = answer == TlsAnswer::kWantsWrite;
  if (answer == TlsAnswer::kDone) {
    session_->name_peer(channel_.peer_name());
    step_ = Step::kTalking;
    return true;
  }
  if (answer == TlsAnswer::kFailed || answer == TlsAnswer::kEnd) fail(channel_.fault());
  return false;
}

void WireConnection::read(WireScratch& scratch, std::uint64_t now_ns) noexcept {
  if (!input_.empty()) {
    if (session_->is_blocked() && !session_->may_unblock()) return;
    std::span<const std::byte> rest(input_);
    session_->receive(rest, now_ns);
    if (!rest.empty() && session_->state() != Session::State::kEnded) {
      input_.erase(input_.begin(), input_.end() - static_cast<std::ptrdiff_t>(rest.size()));
      return;
    }
    input_ = {};
  }
  for (int turn = 0; turn < kReadsATurn && !session_->is_blocked(); ++turn) {
    if (session_->state() == Session::State::kEnded) return;
    std::size_t count = 0;
    const TlsAnswer answer = channel_.read(scratch.input, count);
    if (answer == TlsAnswer::kEnd) return fail({});
    if (answer == TlsAnswer::kFailed) return fail(channel_.fault());
    if (answer != TlsAnswer::kDone) return;
    std::span<const std::byte> input(scratch.input.data(), count);
    session_->receive(input, now_ns);
    if (session_->state() != Session::State::kEnded) input_.assign(input.begin(), input.end());
  }
}

// False if the socket takes no more; the rest is kept.
bool WireConnection::write_out(std::span<const std::byte> bytes) noexcept {
  const bool is_kept = !output_.empty();
  while (!bytes.empty()) {
    std::size_t count = 0;
    const TlsAnswer answer = channel_.write(bytes, count);
    if (answer == TlsAnswer::kDone) {
      bytes = bytes.subspan(count);
      continue;
    }
    if (answer == TlsAnswer::kFailed || answer == TlsAnswer::kEnd) {
      fail(channel_.fault());
      return false;
    }
    if (is_kept) {
      output_.erase(output_.begin(), output_.end() - static_cast<std::ptrdiff_t>(bytes.size()));
    } else {
      output_.assign(bytes.begin(), bytes.end());
    }
    return false;
  }
  output_ = {};
  return true;
}

void WireConnection::write(WireScratch& scratch) noexcept {
  if (!output_.empty() && !write_out(output_)) return;
  for (int turn = 0; turn < kWritesATurn && session_->has_output(); ++turn) {
    const std::size_t count = session_->send(scratch.output);
    if (count == 0 || !write_out(std::span(scratch.output).first(count))) return;
  }
}

// Whoever has said the last word hears the other side out: closing with bytes unread would take
// that word back.
void WireConnection::part(WireScratch& scratch) noexcept {
  for (int turn = 0; turn < kReadsATurn; ++turn) {
    std::size_t count = 0;
    const TlsAnswer answer = channel_.read(scratch.input, count);
    if (answer == TlsAnswer::kDone) continue;
    if (answer == TlsAnswer::kEnd || answer == TlsAnswer::kFailed) step_ = Step::kOver;
    return;
  }
}

void WireConnection::work(WireScratch& scratch, std::uint64_t now_ns) noexcept {
  if (step_ == Step::kConnecting && !connect()) return;
  if (step_ == Step::kShakingHands && !shake_hands()) return;
  if (step_ == Step::kTalking) {
    read(scratch, now_ns);
    if (step_ == Step::kTalking) write(scratch);
    if (step_ != Step::kTalking || !session_->is_over() || !output_.empty()) return;
    channel_.say_farewell();
    step_ = Step::kParting;
  }
  if (step_ == Step::kParting) part(scratch);
}

void WireConnection::tick(std::uint64_t now_ns, std::uint64_t parting_ns) noexcept {
  static_cast<void>(session_->tick(now_ns));
  if (session_->state() != Session::State::kEnded) return;
  if (ended_ns_ == 0) ended_ns_ = now_ns;
  // After a cut there is nothing to say, and nobody to hear it.
  const bool is_cut = session_->outcome() == SessionEnd::kCut ||
                      session_->outcome() == SessionEnd::kSilent ||
                      session_->outcome() == SessionEnd::kDisplaced;
  if (is_cut || now_ns - ended_ns_ >= parting_ns) step_ = Step::kOver;
}

bool WireConnection::has_work() const noexcept {
  if (step_ != Step::kTalking) return false;
  if (session_->is_over()) return output_.empty();
  if (session_->may_unblock() || (channel_.has_buffered() && !session_->is_blocked())) return true;
  return output_.empty() && session_->has_output();
}

bool WireConnection::wants_read() const noexcept {
  if (step_ == Step::kConnecting) return false;
  return step_ != Step::kTalking || !session_->is_blocked();
}

bool WireConnection::wants_write() const noexcept {
  return step_ == Step::kConnecting || (step_ == Step::kShakingHands && handshake_writes_) ||
         !output_.empty();
}

}  // namespace slipring::wire
