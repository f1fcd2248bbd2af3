#include "pipelines/link/value_bytes.h"

#include "core/error/check.h"

namespace slipring {
namespace {

Result<LinkEnd> take_end(const SegmentDirectory& directory, std::string_view name, Role role,
                         MemoryLock memory_lock) noexcept {
  Result<LinkHold> hold = take_role(directory, name, role, memory_lock);
  if (!hold) return hold.error();
  if (hold->shape.kind != SegmentKind::kValueLink) {
    return Error{ErrorCode::kVersion, 0, "not a value link",
                 static_cast<std::uint64_t>(hold->shape.kind),
                 static_cast<std::uint64_t>(SegmentKind::kValueLink)};
  }
  return LinkEnd(std::move(hold).value());
}

// The bytes of the run of `count` values from `position` on.  Requires: count <= slot_count.
template <typename Byte>
StreamParts<Byte> run_of(Byte* ring, const LinkShape& shape, std::uint64_t position,
                         std::uint64_t count) noexcept {
  const std::uint64_t places = spsc_place_count(value_geometry(shape));
  const std::uint64_t index = position & (places - 1);
  const std::uint64_t first = std::min(count, places - index);
  const std::uint64_t bytes = shape.slot_bytes;
  return {{ring + index * bytes, static_cast<std::size_t>(first * bytes)},
          {ring, static_cast<std::size_t>((count - first) * bytes)}};
}

}  // namespace

Result<ValueBytesWriter> ValueBytesWriter::attach(const SegmentDirectory& directory,
                                                  std::string_view name,
                                                  MemoryLock memory_lock) noexcept {
  Result<LinkEnd> end = take_end(directory, name, Role::kWriter, memory_lock);
  if (!end) return end.error();
  Result<SpscProducer<std::byte>> ring = SpscProducer<std::byte>::attach(
      *reinterpret_cast<ProducerPage*>(end->own_bytes()),
      end->own_bytes() + end->parts().ring_offset,
      *reinterpret_cast<const ConsumerPage*>(end->peer_bytes()), value_geometry(end->shape()));
  if (!ring) return ring.error();
  end->open();
  return ValueBytesWriter(std::move(end).value(), *ring);
}

Transfer ValueBytesWriter::try_reserve(StreamParts<std::byte>& place,
                                       std::uint64_t count) noexcept {
  const auto try_it = [&] { return ring_.try_reserve_run(count); };
  Transfer answer = try_it();
  if (answer != Transfer::kDone) answer = end_.settle(answer, try_it);
  if (answer != Transfer::kDone) return answer;
  place =
      run_of(end_.own_bytes() + end_.parts().ring_offset, end_.shape(), ring_.position(), count);
  return Transfer::kDone;
}

Result<ValueBytesReader> ValueBytesReader::attach(const SegmentDirectory& directory,
                                                  std::string_view name,
                                                  MemoryLock memory_lock) noexcept {
  Result<LinkEnd> end = take_end(directory, name, Role::kReader, memory_lock);
  if (!end) return end.error();
  Result<SpscConsumer<std::byte>> ring = SpscConsumer<std::byte>::attach(
      *reinterpret_cast<ConsumerPage*>(end->own_bytes()),
      *reinterpret_cast<const ProducerPage*>(end->peer_bytes()),
      end->peer_bytes() + end->parts().ring_offset, value_geometry(end->shape()));
  if (!ring) return ring.error();
  end->open();
  return ValueBytesReader(std::move(end).value(), *ring);
}

Transfer ValueBytesReader::try_peek(std::uint64_t position, std::uint64_t count_max,
                                    StreamParts<const std::byte>& values,
                                    std::uint64_t& count) noexcept {
  check(position >= ring_.done(), "a look at what is finished");
  if (position >= ring_.position()) {
    const auto try_it = [&] { return ring_.try_hold_all(); };
    Transfer answer = try_it();
    if (answer != Transfer::kDone) {
      ring_for_credit();  // an empty ring gives its credit back
      answer = end_.settle(answer, try_it);
    }
    if (answer != Transfer::kDone) return answer;
    if (position >= ring_.position()) return Transfer::kBlocked;
  }
  count = std::min(count_max, ring_.position() - position);
  values = run_of(end_.peer_bytes() + end_.parts().ring_offset, end_.shape(), position, count);
  return Transfer::kDone;
}

void ValueBytesReader::skip_aborted() noexcept {
  static_cast<void>(drop_before(end_.peer_abort_before()));
  const std::optional<AbortCommand> command = end_.take_command();
  if (!command || !end_.control().has_command()) return;
  end_.note_obeyed(*command, drop_before(command->boundary.position));
}

// False when the position is impossible.
bool ValueBytesReader::drop_before(std::uint64_t position) noexcept {
  const std::uint64_t done = ring_.done();
  if (position <= done) return true;
  static_cast<void>(ring_.take_before(position));
  if (position > ring_.position()) return false;
  const std::uint64_t dropped = position - done;
  begin_drop(end_.own().drops, done, position, {dropped, dropped * end_.shape().slot_bytes});
  count(end_.own().counters.abort_count, dropped);
  ring_.release(static_cast<std::size_t>(dropped));
  ring_.publish_credit();
  ring_for_credit();
  return true;
}

}  // namespace slipring
