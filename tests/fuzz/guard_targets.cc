// What a guarded link's ends and broker are told: packets, grants, and the memory that a dead
// predecessor left.
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <optional>

#include "core/error/check.h"
#include "pipelines/link/guard_protocol.h"
#include "pipelines/link/guard_shape.h"
#include "pipelines/link/handover.h"
#include "pipelines/link/link_layout.h"
#include "platform/rendezvous/connection.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/guarded_block.h"
#include "tests/fuzz/targets.h"

namespace slipring::fuzz {
namespace {

constexpr std::uint64_t kPage = 4096;

[[nodiscard]] LinkShape records() {
  LinkShape shape;
  shape.kind = SegmentKind::kRecordLink;
  shape.capacity_bytes = 4096;
  return shape;
}
[[nodiscard]] LinkShape slots_and_pool() {
  LinkShape shape;
  shape.kind = SegmentKind::kSlotLink;
  shape.slot_count = 8;
  shape.slot_bytes = 24;
  shape.pool_buffer_count = 4;
  shape.pool_buffer_bytes = 64;
  return shape;
}

// A predecessor's memory with a few words changed is handed over, and its successor attaches.
class HandoverTarget : public FuzzTarget {
 public:
  explicit HandoverTarget(const LinkShape& shape)
      : shape_(shape),
        parts_(parts_of(shape, kPage)),
        before_(parts_.writer_bytes),
        peer_(parts_.reader_bytes),
        own_(parts_.writer_bytes),
        own_reader_(parts_.reader_bytes) {}

  void run(std::span<const std::uint8_t> bytes, Tally& tally) override {
    FuzzInput input(bytes);
    std::memset(before_.data(), 0, kTableOffset + 64);
    std::memset(peer_.data(), 0, kTableOffset + 64);
    std::memset(own_.data(), 0, own_.size_bytes());
    const bool is_slots = shape_.kind == SegmentKind::kSlotLink;
    const std::uint64_t fill = input.byte() % 9U * (is_slots ? 1U : 16U);
    before_.as<ProducerPage>().tail.store(fill, std::memory_order_relaxed);
    peer_.as<ConsumerPage>().done.store(fill / 2, std::memory_order_relaxed);
    for (std::uint64_t i = 0; is_slots && i < shape_.slot_count; ++i) {
      before_
          .as<std::atomic<std::uint64_t>>(parts_.ring_offset +
                                          i * slot_stride_bytes(shape_.slot_bytes))
          .store(i < fill ? i + 1 : 0, std::memory_order_relaxed);
    }
    for (int i = input.byte() % 4; i != 0; --i) {
      const std::uint8_t where = input.byte();
      const GuardedBlock& block = where % 3 == 0 ? peer_ : before_;
      // The positions, the rest of the words, or the ring.
      const std::uint32_t at = input.half();
      std::atomic<std::uint64_t>& word =
          where % 4 < 2 ? block.word(at % 4 == 3   ? 17
                                     : at % 4 == 2 ? 16
                                                   : 0)
                        : block.word(at % (where % 4 == 2 ? 192 : block.word_count()));
      word.store(hostile_value(input, {word.load(std::memory_order_relaxed), fill, 4096}),
                 std::memory_order_relaxed);
      ++tally.scribbles;
    }
    const Status done =
        hand_over_writer(shape_, parts_, before_.bytes(), peer_.bytes(), own_.bytes());
    hand_over_reader(shape_, peer_.bytes(), own_reader_.bytes());
    if (!done.ok()) return tally.count(Answer::kCorruptPeer);
    tally.count(attaches() ? Answer::kDone : Answer::kRefused);
  }
  std::size_t make_input(Random& random, std::span<std::uint8_t> place) override {
    random.fill(place.first(24));
    return 24;
  }

 private:
  [[nodiscard]] bool attaches() const {
    std::byte* ring = own_.data() + parts_.ring_offset;
    auto& own = own_.as<ProducerPage>();
    const auto& peer = peer_.as<ConsumerPage>();
    if (shape_.kind == SegmentKind::kSlotLink) {
      return SlotProducer::attach(own, ring, peer, slot_geometry(shape_)).ok();
    }
    return RecordProducer::attach(own, ring, peer, record_geometry(shape_)).ok();
  }

  LinkShape shape_;
  LinkParts parts_;
  GuardedBlock before_;
  GuardedBlock peer_;
  GuardedBlock own_;
  GuardedBlock own_reader_;
};

class RecordHandover final : public HandoverTarget {
 public:
  RecordHandover() : HandoverTarget(records()) {}
};
class SlotHandover final : public HandoverTarget {
 public:
  SlotHandover() : HandoverTarget(slots_and_pool()) {}
};

// A broker's grant with a few words changed.
class GrantTarget final : public FuzzTarget {
 public:
  void run(std::span<const std::uint8_t> bytes, Tally& tally) override {
    FuzzInput input(bytes);
    const std::uint8_t mode = input.byte();
    const Result<GuardShape> sound =
        guard_shape(mode % 2 == 0 ? records() : slots_and_pool(), kPage);
    check(sound.ok(), "a sound shape");
    GuardGrant grant = grant_of(sound.value());
    for (int i = mode / 2 % 4; i != 0; --i) {
      const std::size_t at = input.byte() % (sizeof grant / 8) * 8;
      std::uint64_t word = 0;
      std::memcpy(&word, reinterpret_cast<std::byte*>(&grant) + at, 8);
      word = hostile_value(input, {word, word, kPage});
      std::memcpy(reinterpret_cast<std::byte*>(&grant) + at, &word, 8);
    }
    const Result<GuardShape> shape = guard_shape_of(grant);
    tally.count(shape.ok() ? Answer::kDone : Answer::kCorruptPeer);
    if (!shape.ok() || shape.value().is_solo) return;
    const LinkParts& parts = shape.value().parts;
    tally.expect(parts.ring_offset < parts.buffers_offset &&
                     parts.ring_bytes <= parts.buffers_offset - parts.ring_offset &&
                     parts.buffers_offset <= parts.writer_bytes,
                 "parts that overlap");
    tally.expect(parts.ring_offset >= kTableOffset + shape.value().shape.pool_buffer_count * 8ULL,
                 "the ring over the table");
  }
  std::size_t make_input(Random& random, std::span<std::uint8_t> place) override {
    random.fill(place.first(16));
    return 16;
  }
};

// Any bytes over a rendezvous, mostly a packet of ours with some bytes changed.
class PacketTarget final : public FuzzTarget {
 public:
  PacketTarget() {
    int ends[2];
    check(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0,
          "no sockets");
    hostile_.emplace(ends[0]);
    honest_.emplace(Connection::adopt(Descriptor(ends[1])).value());
  }

  void run(std::span<const std::uint8_t> bytes, Tally& tally) override {
    if (bytes.empty()) return;
    check(::send(hostile_->get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
              static_cast<ssize_t>(bytes.size()),
          "not sent");
    Packet packet;
    const Result<Arrival> got = honest_->receive(packet);
    if (!got.ok()) return tally.count(Answer::kCorruptPeer);
    tally.expect(got.value() == Arrival::kPacket, "a packet that did not come");
    tally.expect(packet.body_bytes <= kMaxBodyBytes && packet.body_bytes + 16 == bytes.size(),
                 "a body of another size");
    tally.expect(packet.descriptor_count == 0, "descriptors that nobody sent");
    if (tally.broken == nullptr) tally.look_at(packet.bytes());
    tally.count(Answer::kDone);
    static_cast<void>(guard_body<GuardAsk>(packet.bytes()));
    static_cast<void>(guard_body<GuardNews>(packet.bytes()));
  }
  std::size_t make_input(Random& random, std::span<std::uint8_t> place) override {
    const std::size_t size = 16 + random.below(8) * 8 + random.below(4) / 3 * random.below(240);
    random.fill(place.first(size));
    PacketHeader header{kPacketMagic, kPacketVersion, static_cast<std::uint16_t>(random.below(10)),
                        static_cast<std::uint32_t>(size - 16), 0};
    std::memcpy(place.data(), &header, sizeof header);
    for (std::size_t changes = random.below(3); changes != 0; --changes) {
      place[random.below(16)] ^= static_cast<std::uint8_t>(1U << random.below(8));
    }
    return random.below(8) == 0 ? 1 + random.below(size) : size;
  }

 private:
  std::optional<Descriptor> hostile_;
  std::optional<Connection> honest_;
};

constexpr std::array<TargetInfo, 4> kTargets{{
    {"handover_records", TargetKind::kShared,
     "a dead writer's and its reader's memory with at most 3 words changed, handed over; the "
     "successor attaches",
     make_target<RecordHandover>},
    {"handover_slots", TargetKind::kShared, "the same of slots and a pool",
     make_target<SlotHandover>},
    {"guard_grant", TargetKind::kParser, "a broker's grant with at most 3 words changed",
     make_target<GrantTarget>},
    {"rendezvous_packet", TargetKind::kParser,
     "one packet of 1 to 312 bytes sent and received, its header changed or not",
     make_target<PacketTarget>},
}};

}  // namespace

std::span<const TargetInfo> guard_targets() {
  return kTargets;
}

}  // namespace slipring::fuzz
