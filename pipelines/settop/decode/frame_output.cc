#include "pipelines/settop/decode/frame_output.h"

#include <cstring>

#include "core/error/check.h"
#include "pipelines/stage/error_text.h"

namespace slipring::settop {
namespace {

// A stamp this far below the last one sent belongs to another stretch of time, not to a repetition.
constexpr std::int64_t kLongestRepetitionTicks = 10 * 90'000;

constexpr Error kUnwanted{.code = ErrorCode::kInterrupted,
                          .doing = "waiting for the next stage to take frames"};

}  // namespace

FrameOutput::FrameOutput(Stage& stage, LinkReader& input, LinkWriter& output)
    : stage_(stage),
      input_(input),
      output_(output),
      pool_(*output.pool()),
      published_(stage.gauge(".resume_position"), stage.gauge(".resume_stamp"),
                 stage.gauge(".resume_stamp_next")),
      sent_until_pts_(published_.last(output.position())) {}

bool FrameOutput::is_wanted() const noexcept {
  return !input_.has_abort() && !stage_.stop_requested();
}

bool FrameOutput::is_free(std::uint32_t slot) const noexcept {
  return !used_[slot] && !pool_.is_lent(slot);
}

bool FrameOutput::has_free_buffer() const noexcept {
  for (std::uint32_t slot = 0; slot < pool_.buffer_count(); ++slot) {
    if (is_free(slot)) return true;
  }
  return false;
}

Result<FrameBuffer> FrameOutput::acquire(std::size_t size_bytes) {
  if (size_bytes > pool_.buffer_bytes()) {
    return Error{.code = ErrorCode::kNoSpace,
                 .doing = "decoding a frame larger than the pool's buffers; raise buffer_bytes",
                 .found = pool_.buffer_bytes(),
                 .wanted = size_bytes};
  }
  std::uint32_t slot = 0;
  while (true) {
    if (!is_wanted()) return kUnwanted;
    const Transfer answer = pool_.try_acquire(slot);
    if (answer == Transfer::kDone) break;
    if (answer == Transfer::kCorruptPeer) {
      return Error{.code = ErrorCode::kCorruptPeer, .doing = "looking for a free frame buffer"};
    }
    if (output_.is_peer_closed()) {
      return Error{.code = ErrorCode::kClosed, .doing = "waiting for a frame buffer"};
    }
    // In this order: what is given back after the count shows as free.
    const bool comes_back = pool_.lent_count() != 0;
    if (!comes_back && !has_free_buffer()) {
      return Error{.code = ErrorCode::kNoSpace,
                   .doing =
                       "decoding with every buffer of the pool kept by the decoder itself; "
                       "raise buffers",
                   .found = pool_.buffer_count()};
    }
    stage_.wait([this] { return has_free_buffer() || !is_wanted() || output_.is_peer_closed(); },
                kNoDeadline, {&output_});
  }
  used_[slot] = true;
  const std::span<std::byte> bytes = pool_.bytes(slot);
  return FrameBuffer{.data = bytes.data(), .size_bytes = bytes.size(), .token = slot};
}

void FrameOutput::release(std::uint64_t token) {
  check(token < pool_.buffer_count() && used_[token], "releasing a buffer that is in use");
  used_[token] = false;
  pool_.drop(static_cast<std::uint32_t>(token));
}

bool FrameOutput::was_sent_before(const FrameRecord& record) {
  if (sent_until_pts_ == kNoTimestamp) return false;
  const bool repeated = record.event == FrameEvent::kFrame && record.pts != kNoTimestamp &&
                        record.pts <= sent_until_pts_ &&
                        record.pts > sent_until_pts_ - kLongestRepetitionTicks;
  if (!repeated) sent_until_pts_ = kNoTimestamp;
  return repeated;
}

Status FrameOutput::frame(const FrameRecord& record, std::uint64_t token) {
  if (was_sent_before(record)) {
    ++repeated_count_;
    return {};
  }
  std::span<std::byte> place;
  switch (stage_.reserve(output_, sizeof(FrameRecord), place, [this] { return !is_wanted(); })) {
    case Reserved::kDone:
      break;
    case Reserved::kStopped:
    case Reserved::kInterrupted:
      return kUnwanted;
    case Reserved::kPeerClosed:
      return Error{.code = ErrorCode::kClosed, .doing = "sending a frame"};
    case Reserved::kCorruptPeer:
      return Error{.code = ErrorCode::kCorruptPeer, .doing = "sending a frame"};
  }
  FrameRecord sent = record;
  sent.buffer_slot = kNoBuffer;
  if (record.event == FrameEvent::kFrame) {
    const BufferHandle handle = pool_.lend(static_cast<std::uint32_t>(token));
    sent.buffer_slot = handle.slot;
    sent.buffer_generation = handle.generation;
  }
  std::memcpy(place.data(), &sent, sizeof sent);
  published_.before_publish(output_.position(), sent.pts);
  output_.commit(place.size());
  published_.after_publish();
  if (record.event == FrameEvent::kFrame) ++sent_count_;
  return {};
}

void FrameOutput::problem(const Error& error) {
  stage_.log(Severity::kWarning, "%s", describe_error(error).c_str());
}

void FrameOutput::abort_sent() {
  output_.abort_published();
  sent_until_pts_ = kNoTimestamp;
}

}  // namespace slipring::settop
