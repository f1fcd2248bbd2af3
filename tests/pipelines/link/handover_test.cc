// A successor's memory against its predecessor's: what must be there is there, bugs that are
// planted are seen, and no value in the predecessor's memory does harm.
#include "pipelines/link/handover.h"

#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "pipelines/link/link_segment.h"
#include "tests/pipelines/link/link_fixture.h"

namespace slipring {
namespace {

constexpr std::uint64_t kPageBytes = 4096;

using Bytes = std::span<std::byte>;
using ConstBytes = std::span<const std::byte>;
using WriterCopy =
    std::function<Status(const LinkShape&, const LinkParts&, ConstBytes, ConstBytes, Bytes)>;
using ReaderCopy = std::function<void(const LinkShape&, ConstBytes, Bytes)>;

// Memory as a role has it: pages of zeros, aligned.
class Memory {
 public:
  explicit Memory(std::uint64_t size_bytes) : words_((size_bytes + kPageBytes) / 8) {}
  [[nodiscard]] Bytes bytes() {
    auto at = reinterpret_cast<std::uintptr_t>(words_.data());
    at = (at + kPageBytes - 1) / kPageBytes * kPageBytes;
    return {reinterpret_cast<std::byte*>(at), words_.size() * 8 - kPageBytes};
  }

 private:
  std::vector<std::uint64_t> words_;
};

SlotProducer producer_on(Bytes writer, ConstBytes reader, const LinkShape& shape,
                         const LinkParts& parts) {
  return test::must(SlotProducer::attach(
      *reinterpret_cast<ProducerPage*>(writer.data()), writer.data() + parts.ring_offset,
      *reinterpret_cast<const ConsumerPage*>(reader.data()), slot_geometry(shape)));
}

SlotConsumer consumer_on(Bytes reader, ConstBytes writer, const LinkShape& shape,
                         const LinkParts& parts) {
  return test::must(SlotConsumer::attach(*reinterpret_cast<ConsumerPage*>(reader.data()),
                                         *reinterpret_cast<const ProducerPage*>(writer.data()),
                                         writer.data() + parts.ring_offset, slot_geometry(shape)));
}

// A link on which `sent` were sent, `taken` taken, `finished` finished, and then both ends died and
// have successors.  Empty, or what is wrong with what the successors see.
std::string fault_of(std::uint64_t sent, std::uint64_t taken, std::uint64_t finished,
                     const WriterCopy& copy_writer, const ReaderCopy& copy_reader) {
  const LinkShape shape = test::slots(8, 64);
  const LinkParts parts = parts_of(shape, kPageBytes);
  Memory old_writer(parts.writer_bytes);
  Memory old_reader(parts.reader_bytes);
  {
    SlotProducer producer = producer_on(old_writer.bytes(), old_reader.bytes(), shape, parts);
    SlotConsumer consumer = consumer_on(old_reader.bytes(), old_writer.bytes(), shape, parts);
    std::uint64_t put = 0;
    const auto fill = [&](std::uint64_t upto) {
      for (; put < upto; ++put) {
        std::byte message[64];
        std::memset(message, static_cast<int>(put + 1), sizeof message);
        REQUIRE(producer.try_push(message) == Transfer::kDone);
      }
    };
    SlotView view;
    std::vector<SlotView> held;
    for (std::uint64_t i = 0; i < taken; ++i) {
      fill(std::min(sent, i + 1));
      REQUIRE(consumer.try_peek(view) == Transfer::kDone);
      held.push_back(view);
      if (i < finished) consumer.release(view);
    }
    fill(sent);
  }
  Memory writer(parts.writer_bytes);
  Memory reader(parts.reader_bytes);
  copy_reader(shape, old_reader.bytes(), reader.bytes());
  if (!copy_writer(shape, parts, old_writer.bytes(), reader.bytes(), writer.bytes())) {
    return "the writer's memory was refused";
  }
  Result<SlotProducer> producer = SlotProducer::attach(
      *reinterpret_cast<ProducerPage*>(writer.bytes().data()),
      writer.bytes().data() + parts.ring_offset,
      *reinterpret_cast<const ConsumerPage*>(reader.bytes().data()), slot_geometry(shape));
  if (!producer) return std::string("producer: ") + producer.error().doing;
  if (producer->position() != sent) return "another position";
  Result<SlotConsumer> consumer =
      SlotConsumer::attach(*reinterpret_cast<ConsumerPage*>(reader.bytes().data()),
                           *reinterpret_cast<const ProducerPage*>(writer.bytes().data()),
                           writer.bytes().data() + parts.ring_offset, slot_geometry(shape));
  if (!consumer) return std::string("consumer: ") + consumer.error().doing;
  for (std::uint64_t i = finished; i < sent; ++i) {
    SlotView view;
    if (consumer->try_peek(view) != Transfer::kDone) return "a message is lost";
    for (const std::byte byte : view.message) {
      if (byte != static_cast<std::byte>(i + 1)) return "a message is torn";
    }
    if (view.redelivered != (i < taken)) return "a mark is missing, or too many";
    consumer->release(view);
  }
  SlotView view;
  if (consumer->try_peek(view) != Transfer::kBlocked) return "a message too many";
  // And on they go.
  const std::byte more[64] = {};
  for (int i = 0; i < 20; ++i) {
    if (producer->try_push(more) != Transfer::kDone) return "no room";
    if (consumer->try_peek(view) != Transfer::kDone) return "no message";
    consumer->release(view);
  }
  return "";
}

// The first fault over all small histories, and how many there were.
std::string first_fault(const WriterCopy& copy_writer, const ReaderCopy& copy_reader, int& count) {
  count = 0;
  for (std::uint64_t finished = 0; finished < 20; ++finished) {
    for (std::uint64_t taken = finished; taken <= finished + 8; ++taken) {
      for (std::uint64_t sent = taken; sent <= finished + 8; ++sent) {
        ++count;
        std::string fault = fault_of(sent, taken, finished, copy_writer, copy_reader);
        if (!fault.empty()) return fault;
      }
    }
  }
  return "";
}

TEST_CASE("handover: successors of both ends find what was unfinished, in every small history") {
  int count = 0;
  CHECK(first_fault(hand_over_writer, hand_over_reader, count) == "");
  MESSAGE(count << " histories");
}

TEST_CASE("handover: planted bugs are seen") {
  int count = 0;
  // Forgets what a predecessor had taken and not finished.
  const ReaderCopy forgets_marks = [](const LinkShape& shape, ConstBytes from, Bytes to) {
    hand_over_reader(shape, from, to);
    reinterpret_cast<ConsumerPage*>(to.data())->taken = 0;
  };
  CHECK(first_fault(hand_over_writer, forgets_marks, count) == "a mark is missing, or too many");
  const ReaderCopy forgets_done = [](const LinkShape& shape, ConstBytes from, Bytes to) {
    hand_over_reader(shape, from, to);
    reinterpret_cast<ConsumerPage*>(to.data())->done = 0;
  };
  CHECK(first_fault(hand_over_writer, forgets_done, count) != "");
  // Copies what is below tail, and not what a finished lap left in the slots beyond.
  const WriterCopy forgets_laps = [](const LinkShape& shape, const LinkParts& parts,
                                     ConstBytes from, ConstBytes peer, Bytes to) {
    Status copied = hand_over_writer(shape, parts, from, peer, to);
    const std::uint64_t done = reinterpret_cast<const ConsumerPage*>(peer.data())->done;
    for (std::uint64_t slot = 0; slot < shape.slot_count; ++slot) {
      auto& sequence = *reinterpret_cast<std::atomic<std::uint64_t>*>(
          to.data() + parts.ring_offset + slot * slot_stride_bytes(shape.slot_bytes));
      if (sequence <= done) sequence = 0;
    }
    return copied;
  };
  CHECK(first_fault(forgets_laps, hand_over_reader, count) != "");
  const WriterCopy forgets_payload = [](const LinkShape& shape, const LinkParts& parts,
                                        ConstBytes from, ConstBytes peer, Bytes to) {
    Status copied = hand_over_writer(shape, parts, from, peer, to);
    to[parts.ring_offset + 8] = std::byte{0xee};
    return copied;
  };
  CHECK(first_fault(forgets_payload, hand_over_reader, count) == "a message is torn");
}

// Every 64-bit word of the predecessor's control page, with every value that is near a limit.
TEST_CASE("handover: no value in a predecessor's page does more than make its successor refuse") {
  const std::uint64_t values[] = {0,
                                  1,
                                  7,
                                  8,
                                  9,
                                  15,
                                  16,
                                  63,
                                  64,
                                  65,
                                  1000,
                                  UINT32_MAX,
                                  1ULL << 32,
                                  1ULL << 62,
                                  1ULL << 63,
                                  UINT64_MAX,
                                  UINT64_MAX - 7,
                                  UINT64_MAX - 8};
  std::uint64_t case_count = 0;
  std::uint64_t refused_count = 0;
  for (LinkShape shape : {test::slots(8, 16), test::records(64)}) {
    if (shape.kind == SegmentKind::kSlotLink) {
      shape.pool_buffer_count = 4;
      shape.pool_buffer_bytes = 64;
    }
    const LinkParts parts = parts_of(shape, kPageBytes);
    for (std::size_t word = 0; word < kTableOffset / 8 + 8; ++word) {
      for (const std::uint64_t value : values) {
        for (const std::uint64_t done : values) {
          Memory old_writer(parts.writer_bytes);
          Memory reader(parts.reader_bytes);
          Memory writer(parts.writer_bytes);
          std::memcpy(old_writer.bytes().data() + word * 8, &value, 8);
          reinterpret_cast<ConsumerPage*>(reader.bytes().data())->done = done;
          ++case_count;
          const Status copied =
              hand_over_writer(shape, parts, old_writer.bytes(), reader.bytes(), writer.bytes());
          bool is_refused = !copied;
          if (copied && shape.kind == SegmentKind::kSlotLink) {
            is_refused =
                !SlotProducer::attach(*reinterpret_cast<ProducerPage*>(writer.bytes().data()),
                                      writer.bytes().data() + parts.ring_offset,
                                      *reinterpret_cast<const ConsumerPage*>(reader.bytes().data()),
                                      slot_geometry(shape));
          } else if (copied) {
            is_refused = !RecordProducer::attach(
                *reinterpret_cast<ProducerPage*>(writer.bytes().data()),
                writer.bytes().data() + parts.ring_offset,
                *reinterpret_cast<const ConsumerPage*>(reader.bytes().data()),
                record_geometry(shape));
          }
          refused_count += is_refused ? 1 : 0;
        }
      }
    }
  }
  CHECK(refused_count > 0);
  CHECK(refused_count < case_count);
  MESSAGE(case_count << " cases, " << refused_count << " refused, none out of bounds");
}

}  // namespace
}  // namespace slipring
