#include "pipelines/link/stream_link.h"

namespace slipring {
namespace {

Result<LinkEnd> take_end(const SegmentDirectory& directory, std::string_view name, Role role,
                         MemoryLock memory_lock) noexcept {
  Result<LinkHold> hold = take_role(directory, name, role, memory_lock);
  if (!hold) return hold.error();
  if (hold->shape.kind != SegmentKind::kStreamLink) {
    return Error{ErrorCode::kVersion, 0, "not a stream link",
                 static_cast<std::uint64_t>(hold->shape.kind),
                 static_cast<std::uint64_t>(SegmentKind::kStreamLink)};
  }
  return LinkEnd(std::move(hold).value());
}

}  // namespace

Result<StreamWriter> StreamWriter::attach(const SegmentDirectory& directory, std::string_view name,
                                          MemoryLock memory_lock) noexcept {
  Result<LinkEnd> end = take_end(directory, name, Role::kWriter, memory_lock);
  if (!end) return end.error();
  Result<StreamProducer> ring = StreamProducer::attach(
      *reinterpret_cast<ProducerPage*>(end->own_bytes()),
      end->own_bytes() + end->parts().ring_offset,
      *reinterpret_cast<const ConsumerPage*>(end->peer_bytes()), stream_geometry(end->shape()));
  if (!ring) return ring.error();
  end->open();
  return StreamWriter(std::move(end).value(), *ring);
}

void StreamReader::obey_commands() noexcept {
  const std::optional<AbortCommand> command = end_.take_command();
  if (command && has_command()) end_.note_obeyed(*command, drop_before(command->boundary.position));
}

// False when the position is impossible.
bool StreamReader::drop_before(std::uint64_t position) noexcept {
  const std::uint64_t done = ring_.done();
  if (position <= done) return true;
  const std::uint64_t dropped = ring_.take_before(position);
  if (dropped == 0) return false;
  begin_drop(end_.own().drops, done, position, {0, dropped});
  count(end_.own().counters.abort_count);
  ring_.consume(dropped);
  ring_.publish_credit();
  ring_for_credit();
  return true;
}

Result<StreamReader> StreamReader::attach(const SegmentDirectory& directory, std::string_view name,
                                          MemoryLock memory_lock) noexcept {
  Result<LinkEnd> end = take_end(directory, name, Role::kReader, memory_lock);
  if (!end) return end.error();
  Result<StreamConsumer> ring = StreamConsumer::attach(
      *reinterpret_cast<ConsumerPage*>(end->own_bytes()),
      *reinterpret_cast<const ProducerPage*>(end->peer_bytes()),
      end->peer_bytes() + end->parts().ring_offset, stream_geometry(end->shape()));
  if (!ring) return ring.error();
  end->open();
  return StreamReader(std::move(end).value(), *ring);
}

}  // namespace slipring
