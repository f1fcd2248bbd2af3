#include "pipelines/wire/stream_link_source.h"

#include <algorithm>
#include <utility>

#include "pipelines/wire/wire_shape.h"

namespace slipring::wire {

Result<std::unique_ptr<LinkSource>> attach_stream_source(const SegmentDirectory& directory,
                                                         std::string_view name,
                                                         MemoryLock memory_lock) noexcept {
  Result<StreamReader> stream = StreamReader::attach(directory, name, memory_lock);
  if (!stream) return stream.error();
  if (Status fits = check_wire_shape(stream->shape()); !fits) return fits.error();
  return std::unique_ptr<LinkSource>(new StreamLinkSource(std::move(stream).value()));
}

StreamLinkSource::StreamLinkSource(StreamReader stream) noexcept : stream_(std::move(stream)) {
  form_ = wire_form_of(stream_.shape());
  cursor_ = stream_.done();
  stream_.set_control_interval(kControlByHand);
}

Transfer StreamLinkSource::next(Piece& piece, std::size_t bytes_max) noexcept {
  const std::uint64_t under_way = cursor_ - stream_.done();
  StreamView view;
  const Transfer answer = stream_.try_peek(view, under_way + 1);
  if (answer != Transfer::kDone) return answer;
  const std::size_t there = view.bytes.size();
  if (there <= under_way) return Transfer::kBlocked;
  const auto begin = static_cast<std::size_t>(under_way);
  const std::size_t count = std::min(there - begin, bytes_max);
  const std::size_t first_bytes = view.bytes.first.size();
  piece = {};
  if (begin < first_bytes) {
    piece.first = view.bytes.first.subspan(begin, std::min(count, first_bytes - begin));
    piece.second = view.bytes.second.first(count - piece.first.size());
  } else {
    piece.first = view.bytes.second.subspan(begin - first_bytes, count);
  }
  piece.begin = cursor_;
  piece.end = cursor_ + count;
  cursor_ = piece.end;
  return Transfer::kDone;
}

bool StreamLinkSource::release(std::uint64_t position) noexcept {
  if (position > cursor_ || position < stream_.done()) return false;
  stream_.consume(position - stream_.done());
  return true;
}

bool StreamLinkSource::rewind(std::uint64_t position) noexcept {
  if (position < stream_.done()) return false;
  const std::uint64_t ahead = position - stream_.done();
  if (ahead != 0) {
    StreamView view;
    if (ahead > stream_.shape().capacity_bytes) return false;
    if (stream_.try_peek(view, ahead) != Transfer::kDone) return false;
    if (view.bytes.size() < ahead) return false;
    stream_.consume(ahead);
  }
  cursor_ = position;
  return true;
}

}  // namespace slipring::wire
