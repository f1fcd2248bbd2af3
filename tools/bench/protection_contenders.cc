// Every kind of link, as two unrelated processes use it: in a named segment, or guarded, in sealed
// memory with ends that the kernel has named.  The rings and the instructions of a message's way
// are the same; the workloads show whether the clock says so, too.

#include <cstring>
#include <span>
#include <utility>

#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/link/stream_link.h"
#include "pipelines/link/value_link.h"
#include "tools/bench/contenders.h"
#include "tools/bench/link_place.h"
#include "tools/bench/record_loop.h"

namespace slipring::bench {
namespace {

constexpr const char* kName = LinkPlace::kName;

// Slots or records, in place.
template <SegmentKind kKind, bool kGuarded>
class MessageCarrier {
 public:
  MessageCarrier(Arena&, std::size_t size_bytes) : place_(shape_for(size_bytes), kGuarded) {}

  struct Producer {
    LinkWriter end;
    template <typename Fill>
    [[nodiscard]] bool try_send(std::size_t size_bytes, Fill&& fill) {
      std::span<std::byte> at;
      if (end.try_reserve(size_bytes, at) != Transfer::kDone) return false;
      fill(at);
      end.commit(size_bytes);
      return true;
    }
  };
  struct Consumer {
    LinkReader end;
    template <typename Look>
    [[nodiscard]] bool try_receive(Look&& look) {
      slipring::Message message;
      if (end.try_peek(message) != Transfer::kDone) return false;
      look(message.bytes);
      end.release(message);
      return true;
    }
  };
  [[nodiscard]] Producer producer() const {
    return {LinkWriter::attach(place_.directory(), kName).value()};
  }
  [[nodiscard]] Consumer consumer() const {
    return {LinkReader::attach(place_.directory(), kName).value()};
  }

 private:
  [[nodiscard]] static LinkShape shape_for(std::size_t size_bytes) {
    LinkShape shape;
    shape.kind = kKind;
    if (kKind == SegmentKind::kRecordLink) {
      shape.capacity_bytes = kRecordRingBytes;
    } else {
      shape.slot_count = 1024;
      shape.slot_bytes = static_cast<std::uint32_t>(size_bytes);
    }
    return shape;
  }
  LinkPlace place_;
};

// Bytes: each record at a multiple of its size, so that none wraps.
template <bool kGuarded>
class StreamCarrier {
 public:
  StreamCarrier(Arena&, std::size_t size_bytes)
      : place_(stream_link_shape(kRecordRingBytes), kGuarded), size_bytes_(size_bytes) {}

  struct Producer {
    StreamWriter end;
    template <typename Fill>
    [[nodiscard]] bool try_send(std::size_t size_bytes, Fill&& fill) {
      StreamParts<std::byte> room;
      if (end.try_reserve(room, size_bytes) != Transfer::kDone) return false;
      if (room.first.size() < size_bytes) return false;
      fill(room.first.first(size_bytes));
      end.commit(size_bytes);
      return true;
    }
  };
  struct Consumer {
    StreamReader end;
    std::size_t size_bytes;
    template <typename Look>
    [[nodiscard]] bool try_receive(Look&& look) {
      StreamView view;
      if (end.try_peek(view, size_bytes) != Transfer::kDone) return false;
      if (view.bytes.first.size() < size_bytes) return false;
      look(view.bytes.first.first(size_bytes));
      end.consume(size_bytes);
      return true;
    }
  };
  [[nodiscard]] Producer producer() const {
    return {StreamWriter::attach(place_.directory(), kName).value()};
  }
  [[nodiscard]] Consumer consumer() const {
    return {StreamReader::attach(place_.directory(), kName).value(), size_bytes_};
  }

 private:
  LinkPlace place_;
  std::size_t size_bytes_;
};

template <bool kGuarded>
class ValueCarrier {
 public:
  ValueCarrier(Arena&, std::size_t) : place_(value_link_shape<std::uint64_t>(1024), kGuarded) {}

  struct Producer {
    ValueWriter<std::uint64_t> end;
    template <typename Fill>
    [[nodiscard]] bool try_send(std::size_t, Fill&& fill) {
      std::uint64_t value = 0;
      fill(std::as_writable_bytes(std::span<std::uint64_t, 1>(&value, 1)));
      return end.try_push(value) == Transfer::kDone;
    }
  };
  struct Consumer {
    ValueReader<std::uint64_t> end;
    template <typename Look>
    [[nodiscard]] bool try_receive(Look&& look) {
      std::uint64_t value = 0;
      if (end.try_pop(value) != Transfer::kDone) return false;
      look(std::as_bytes(std::span<const std::uint64_t, 1>(&value, 1)));
      return true;
    }
  };
  [[nodiscard]] Producer producer() const {
    return {ValueWriter<std::uint64_t>::attach(place_.directory(), kName).value()};
  }
  [[nodiscard]] Consumer consumer() const {
    return {ValueReader<std::uint64_t>::attach(place_.directory(), kName).value()};
  }

 private:
  LinkPlace place_;
};

// A record link whose reader looks at its control lane at every so many messages.
template <std::uint32_t kInterval>
class LookingCarrier : public MessageCarrier<SegmentKind::kRecordLink, false> {
 public:
  using Base = MessageCarrier<SegmentKind::kRecordLink, false>;
  using Base::Base;
  [[nodiscard]] typename Base::Consumer consumer() const {
    typename Base::Consumer consumer = Base::consumer();
    consumer.end.set_control_interval(kInterval);
    return consumer;
  }
};

const Contender kNamed{"slipring.named", "slipring link, named", Family::kOurs, ""};
const Contender kGuarded{"slipring.guarded", "slipring link, guarded", Family::kOurs,
                         "sealed memory, both ends authenticated"};
const Contender kLooking{"slipring.link", "slipring record link", Family::kOurs, ""};

template <bool kIsGuarded>
void add_kinds(Registry& registry, const Contender& contender) {
  registry.add("link.values8", contender,
               run_records<ValueCarrier<kIsGuarded>, 8, Sides::kProcesses>);
  registry.add(
      "link.slots64", contender,
      run_records<MessageCarrier<SegmentKind::kSlotLink, kIsGuarded>, 64, Sides::kProcesses>);
  registry.add(
      "link.records1k", contender,
      run_records<MessageCarrier<SegmentKind::kRecordLink, kIsGuarded>, 1024, Sides::kProcesses>);
  registry.add("link.stream4k", contender,
               run_records<StreamCarrier<kIsGuarded>, 4096, Sides::kProcesses>);
}

// Messages a second, of a workload that has them.
template <std::uint32_t kInterval>
CellResult run_looking(const CellSettings& settings) {
  CellResult result = run_records<LookingCarrier<kInterval>, 64, Sides::kProcesses>(settings);
  result.value /= 64;
  return result;
}

}  // namespace

void add_protection(Registry& registry) {
  add_kinds<false>(registry, kNamed);
  add_kinds<true>(registry, kGuarded);
}

void add_control_looks(Registry& registry) {
  registry.add("look.never", kLooking, run_looking<kControlByHand>);
  registry.add("look.1", kLooking, run_looking<1>);
  registry.add("look.16", kLooking, run_looking<16>);
}

}  // namespace slipring::bench
