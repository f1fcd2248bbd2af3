#include "pipelines/wire/stream_link_sink.h"

#include "pipelines/wire/wire_shape.h"

namespace slipring::wire {

Result<std::unique_ptr<LinkSink>> attach_stream_sink(const SegmentDirectory& directory,
                                                     std::string_view name,
                                                     MemoryLock memory_lock) noexcept {
  Result<StreamWriter> stream = StreamWriter::attach(directory, name, memory_lock);
  if (!stream) return stream.error();
  if (Status fits = check_wire_shape(stream->shape()); !fits) return fits.error();
  return std::unique_ptr<LinkSink>(new StreamLinkSink(std::move(stream).value()));
}

StreamLinkSink::StreamLinkSink(StreamWriter stream) noexcept : stream_(std::move(stream)) {
  form_ = wire_form_of(stream_.shape());
}

Transfer StreamLinkSink::open(std::uint32_t bytes) noexcept {
  StreamParts<std::byte> room;
  const Transfer answer = stream_.try_reserve(room, bytes);
  if (answer == Transfer::kDone && room.size() < bytes) return Transfer::kBlocked;
  place_ = room;
  return answer;
}

}  // namespace slipring::wire
