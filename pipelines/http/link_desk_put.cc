#include "pipelines/http/link_desk.h"

#include <algorithm>
#include <string>
#include <utility>

namespace slipring::http {

DeskAnswer LinkDesk::need_writer() {
  touch();
  if (!has_writer()) {
    constexpr const char* kDoing = "its writing end cannot be taken";
    if (is_stream()) {
      Result<StreamWriter> end = StreamWriter::attach(*directory_, name_);
      if (!end) return refuse(kDoing, end.error());
      stream_writer_.emplace(std::move(end).value());
    } else if (is_values()) {
      Result<ValueBytesWriter> end = ValueBytesWriter::attach(*directory_, name_);
      if (!end) return refuse(kDoing, end.error());
      value_writer_.emplace(std::move(end).value());
    } else {
      Result<LinkWriter> end = LinkWriter::attach(*directory_, name_);
      if (!end) return refuse(kDoing, end.error());
      writer_.emplace(std::move(end).value());
    }
  }
  const bool is_closed = writer_         ? writer_->is_peer_closed()
                         : value_writer_ ? value_writer_->is_peer_closed()
                                         : stream_writer_->is_peer_closed();
  if (!is_closed) return DeskAnswer::kDone;
  return refuse(410, "its reader has closed", "nobody will read what is put",
                "remove the link and make it anew");
}

DeskAnswer LinkDesk::put_value(std::span<const std::byte> value, std::uint64_t& position) {
  if (value.size() != shape_.slot_bytes) {
    return refuse(422, "a value is sent whole", std::to_string(value.size()) + " bytes",
                  "send " + std::to_string(shape_.slot_bytes) + " bytes");
  }
  StreamParts<std::byte> place;
  const Transfer answer = value_writer_->try_reserve(place, 1);
  if (answer == Transfer::kCorruptPeer) return refuse_corrupt("reader", std::nullopt);
  if (answer == Transfer::kBlocked) return DeskAnswer::kBlocked;
  std::copy(value.begin(), value.end(), place.first.begin());
  position = value_writer_->position();
  value_writer_->commit(1);
  return DeskAnswer::kDone;
}

DeskAnswer LinkDesk::put(std::span<const std::byte> message, std::uint64_t& position) {
  if (const DeskAnswer answer = need_writer(); answer != DeskAnswer::kDone) return answer;
  if (value_writer_) return put_value(message, position);
  if (shape_.kind == SegmentKind::kSlotLink && message.size() != shape_.slot_bytes) {
    return refuse(422, "a slot is filled whole", std::to_string(message.size()) + " bytes",
                  "send " + std::to_string(shape_.slot_bytes) + " bytes");
  }
  std::span<std::byte> place;
  const Transfer answer = writer_->try_reserve(message.size(), place);
  if (answer == Transfer::kCorruptPeer) return refuse_corrupt("reader", writer_->offender());
  if (answer == Transfer::kBlocked) return DeskAnswer::kBlocked;
  std::copy(message.begin(), message.end(), place.begin());
  position = writer_->position();
  writer_->commit(message.size());
  return DeskAnswer::kDone;
}

DeskAnswer LinkDesk::begin_stream_put() {
  if (const DeskAnswer answer = need_writer(); answer != DeskAnswer::kDone) return answer;
  if (has_putter_) return DeskAnswer::kBlocked;
  has_putter_ = true;
  return DeskAnswer::kDone;
}

DeskAnswer LinkDesk::put_some(std::span<const std::byte> bytes, std::size_t& count) {
  count = 0;
  if (const DeskAnswer answer = need_writer(); answer != DeskAnswer::kDone) return answer;
  switch (stream_writer_->try_write(bytes, count)) {
    case Transfer::kDone:
      return DeskAnswer::kDone;
    case Transfer::kBlocked:
      return DeskAnswer::kBlocked;
    case Transfer::kCorruptPeer:
      break;
  }
  return refuse_corrupt("reader", std::nullopt);
}

void LinkDesk::close_writer() noexcept {
  if (writer_) writer_->close();
  if (value_writer_) value_writer_->close();
  if (stream_writer_) stream_writer_->close();
  writer_.reset();
  value_writer_.reset();
  stream_writer_.reset();
}

}  // namespace slipring::http
