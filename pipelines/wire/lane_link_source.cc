#include "pipelines/wire/lane_link_source.h"

namespace slipring::wire {

LaneLinkSource::LaneLinkSource(LinkReader lane, SourceSession& session) noexcept
    : MessageLinkSource(std::move(lane)), session_(session) {
  if (messages().is_corrupt()) cut_off();
}

// By the broker's word, where there is one.
std::uint32_t LaneLinkSource::present_writer() const noexcept {
  const LinkPeer known = messages().sender();
  return known.is_known ? known.incarnation : messages().writer_incarnation();
}

Transfer LaneLinkSource::next(Piece& piece, std::size_t bytes_max) noexcept {
  if (is_succeeded_ || is_cut_) return Transfer::kBlocked;
  const Transfer answer = MessageLinkSource::next(piece, bytes_max);
  if (answer == Transfer::kCorruptPeer) cut_off();
  if (answer != Transfer::kDone) return answer;
  // The message is held, and so the lane keeps its writer.
  const std::uint32_t writer = present_writer();
  if (turn() == 0) session_.begin_turn(writer);
  if (turn() == writer) return answer;
  put_back(piece);
  is_succeeded_ = true;
  return Transfer::kBlocked;
}

// Nothing more is read of its writer.
void LaneLinkSource::cut_off() noexcept {
  is_cut_ = true;
  drop_held();
  look_for_news();
}

void LaneLinkSource::look_for_news() noexcept {
  if (!is_cut_) return MessageLinkSource::look_for_news();
  is_cut_ = messages().rejoin() != Transfer::kDone;
}

WriterName LaneLinkSource::writer() noexcept {
  if (turn() == 0 || is_succeeded_) return {};
  if (name_) return *name_;
  const LinkPeer known = messages().sender();
  const LinkPeer peer = known.is_known ? known : messages().look_at_writer();
  name_ = WriterName{static_cast<std::uint32_t>(peer.process_id), peer.user, peer.group, turn(),
                     peer.is_known};
  return *name_;
}

bool LaneLinkSource::has_more() const noexcept {
  if (is_succeeded_ || is_cut_) return has_abort();
  return MessageLinkSource::has_more();
}

bool LaneLinkSource::is_at_end() const noexcept {
  if (turn() == 0) return false;
  if (is_succeeded_ || is_cut_) return true;
  // In this order: what was published before closing is seen now.  Whoever is there now came when
  // everything before it was finished.
  const bool is_over = present_writer() != turn() || is_gone_ || messages().is_peer_closed();
  return is_over && !has_more();
}

void LaneLinkSource::look_for_end() noexcept {
  if (turn() == 0 || is_gone_ || has_more()) return;
  const Result<bool> is_held = messages().has_writer();
  // In this order, again.
  is_gone_ = is_held.ok() && !is_held.value() && !has_more();
}

void LaneLinkSource::finish() noexcept {
  session_.renew();
  name_.reset();
  is_succeeded_ = false;
  is_gone_ = false;
}

bool LaneLinkSource::wants_carrying() const noexcept {
  return turn() != 0 || (!is_cut_ && (is_any_held() || messages().has_message()));
}

bool LaneLinkSource::is_quiet() const noexcept {
  if (wants_carrying()) return false;
  return is_cut_ || present_writer() == 0 || messages().is_peer_closed();
}

}  // namespace slipring::wire
