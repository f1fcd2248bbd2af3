// A link by its address: of this machine, or of another.
//
//   Result<BusEnd<LinkWriter>> to = open_end<LinkWriter>(*directory, where);
//   if ((*to)->try_reserve(…) == Transfer::kDone) …
//
// With `where` the name of a link it is End::attach(), and nothing else.  With an address
// (wire_address.h) the end is one of a ring on this machine, and a wire carries what is in it to
// the link of that name over there, or from it; the program is the same.
//
// The ring on this machine is called NAME.to.HOST.PORT or NAME.from.HOST.PORT, and is made if there
// is none.  It stays when the program ends, killed or not, with what has not been carried or read;
// the next one that opens the address goes on there.  As with a link here, one process at a time
// holds an end.
//
// A sender into a lane set over there has a record link here; the owner of one (LaneReader) a lane
// set, the lanes of which are the other's writers'.
//
// Topics.  open_topic() is the same of a broadcast link: a BroadcastReceiver subscribes to a topic
// of another machine through one of this machine's own, and counts exactly what it lost on the
// whole way; a BroadcastSender publishes into one that the wire subscribes to.
//
// One thread at a time, as the end.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/error/result.h"
#include "pipelines/link/broadcast_layout.h"
#include "pipelines/link/broadcast_receiver.h"
#include "pipelines/link/broadcast_sender.h"
#include "pipelines/link/lane_reader.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_segment.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/link/stream_link.h"
#include "pipelines/link/value_link.h"
#include "pipelines/wire/wire_address.h"
#include "pipelines/wire/wire_carrier.h"
#include "pipelines/wire/wire_shape.h"
#include "platform/memory/segment_directory.h"

namespace slipring::wire {

// An end, and what carries its link if it is another machine's.
template <typename End>
class BusEnd {
 public:
  BusEnd(End end, std::unique_ptr<WireCarrier> carrier) noexcept
      : carrier_(std::move(carrier)), end_(std::move(end)) {}

  [[nodiscard]] End& operator*() noexcept { return end_; }
  [[nodiscard]] End* operator->() noexcept { return &end_; }

  // nullptr for a link of this machine.
  [[nodiscard]] const WireCarrier* carrier() const noexcept { return carrier_.get(); }
  // After close(), of a writer: waits until all of it is in the other machine's link; at once for a
  // link of this machine.  False at the deadline, or if it cannot be carried.
  bool wait_until_carried(std::uint64_t deadline_ns) const noexcept {
    if (!carrier_) return true;
    return carrier_->wait_until_over(deadline_ns) && carrier_->is_carried();
  }

 private:
  std::unique_ptr<WireCarrier> carrier_;
  End end_;
};

// Which side of a wire is at the other end of a program's end.
template <typename End>
inline constexpr LinkSide kWireSide = LinkSide::kSender;
template <>
inline constexpr LinkSide kWireSide<LinkReader> = LinkSide::kReceiver;
template <>
inline constexpr LinkSide kWireSide<StreamReader> = LinkSide::kReceiver;
template <>
inline constexpr LinkSide kWireSide<LaneReader> = LinkSide::kReceiver;
template <typename T>
inline constexpr LinkSide kWireSide<ValueReader<T>> = LinkSide::kReceiver;
template <>
inline constexpr LinkSide kWireSide<BroadcastReceiver> = LinkSide::kReceiver;

// The name of this machine's ring for a link of another.  Errors: kInvalidArgument (an address
// without a link's name; a name too long).
Result<std::string> local_name_of(const WireAddress& address, LinkSide side) noexcept;

// Reads an address that has to be one.  Errors: kInvalidArgument.
Result<WireAddress> address_of(std::string_view where) noexcept;

// As open_end(); `create(name)` makes the ring of this machine.
template <typename End, typename Create>
Result<BusEnd<End>> open_bus(const SegmentDirectory& directory, std::string_view where,
                             const Create& create) noexcept {
  if (!is_wire_address(where)) {
    Result<End> end = End::attach(directory, where);
    if (!end) return end.error();
    return BusEnd<End>(std::move(end).value(), nullptr);
  }
  Result<WireAddress> address = address_of(where);
  if (!address) return address.error();
  Result<std::string> name = local_name_of(*address, kWireSide<End>);
  if (!name) return name.error();
  const Status made = create(*name);
  if (!made && made.error().code != ErrorCode::kExists) return made.error();
  Result<End> end = End::attach(directory, *name);
  if (!end) return end.error();
  Result<std::unique_ptr<WireCarrier>> carrier =
      WireCarrier::start(directory, *address, *name, kWireSide<End>);
  if (!carrier) return carrier.error();
  return BusEnd<End>(std::move(end).value(), std::move(carrier).value());
}

// `shape` is of the ring that is made on this machine; it has to match the link over there.
// Errors: as End::attach(); of an address also kInvalidArgument, and as WireCarrier::start().
template <typename End>
Result<BusEnd<End>> open_end(const SegmentDirectory& directory, std::string_view where,
                             const LinkShape& shape) noexcept {
  return open_bus<End>(directory, where, [&](const std::string& name) -> Status {
    // Before anything is made: what no wire carries leaves nothing behind.
    if (Status fits = check_wire_shape(shape); !fits) return fits;
    return create_link(directory, name, shape);
  });
}

// A topic: End is BroadcastSender or BroadcastReceiver.  `shape` is of the topic that is made on
// this machine; who publishes under kBlock waits for what is not yet over there, and loses nothing.
// Errors: as open_end().
template <typename End>
Result<BusEnd<End>> open_topic(const SegmentDirectory& directory, std::string_view where,
                               const BroadcastShape& shape) noexcept {
  return open_bus<End>(directory, where, [&](const std::string& name) {
    return create_broadcast(directory, name, shape);
  });
}

}  // namespace slipring::wire
