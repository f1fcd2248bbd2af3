#include "pipelines/link/link_audit.h"

#include <algorithm>
#include <atomic>
#include <string_view>

namespace slipring {
namespace {

// A finding that a look makes because an end went on meanwhile is not there at the next.
constexpr int kLookCount = 5;

template <typename Word>
[[nodiscard]] Word read(const std::atomic<Word>& word) noexcept {
  return word.load(std::memory_order_relaxed);  // relaxed: what is out of order is not confirmed
}

class Look {
 public:
  explicit Look(const LinkImage& image) noexcept
      : image_(image),
        producer_(*reinterpret_cast<const ProducerPage*>(image.writer.data())),
        consumer_(*reinterpret_cast<const ConsumerPage*>(image.reader.data())) {}

  LinkAudit run() {
    look_at_cursors();
    look_at_end(image_.writer, "the writer's state is none that there is");
    look_at_end(image_.reader, "the reader's state is none that there is");
    look_at_pool();
    const bool has_ring =
        image_.writer.size() >= image_.parts.ring_offset + image_.parts.ring_bytes;
    if (image_.shape.kind == SegmentKind::kRecordLink && has_ring) walk_records();
    return std::move(audit_);
  }

 private:
  void expect(bool holds, const char* what, std::uint64_t found, std::uint64_t wanted) {
    if (!holds) audit_.findings.push_back({what, found, wanted});
  }

  void look_at_cursors() {
    const bool is_bytes = is_counted_in_bytes(image_.shape);
    const std::uint64_t capacity = is_bytes ? image_.shape.capacity_bytes : image_.shape.slot_count;
    const std::uint64_t slack = image_.shape.kind == SegmentKind::kSlotLink ? 1 : 0;
    const std::uint64_t credit = read(consumer_.credit);
    const std::uint64_t done = read(consumer_.done);
    const std::uint64_t taken = read(consumer_.taken);
    const std::uint64_t abort_before = read(producer_.abort_before);
    const std::uint64_t tail = read(producer_.tail);
    const std::uint64_t done_later = read(consumer_.done);
    expect(credit <= done, "credit is beyond what is done", credit, done);
    expect(done <= tail + slack, "more is done than was published", done, tail);
    expect(taken <= tail + slack, "more is taken than was published", taken, tail);
    expect(abort_before <= tail + slack, "more is aborted than was published", abort_before, tail);
    expect(tail <= done_later || tail - done_later <= capacity + slack,
           "more is under way than the ring holds", tail - done_later, capacity);
    if (image_.shape.kind != SegmentKind::kRecordLink) return;
    expect(tail % 8 == 0, "tail is no multiple of 8", tail, tail & ~std::uint64_t{7});
    expect(done % 8 == 0, "done is no multiple of 8", done, done & ~std::uint64_t{7});
  }

  void look_at_end(std::span<const std::byte> region, const char* what) {
    const auto& page = *reinterpret_cast<const EndPage*>(region.data() + kEndPageOffset);
    const std::uint32_t state = read(page.state);
    expect(state <= static_cast<std::uint32_t>(EndState::kClosed), what, state,
           static_cast<std::uint32_t>(EndState::kClosed));
  }

  void look_at_pool() {
    const auto* lent = reinterpret_cast<const PoolWord*>(image_.writer.data() + kTableOffset);
    const auto* returned = reinterpret_cast<const PoolWord*>(image_.reader.data() + kTableOffset);
    for (std::uint32_t slot = 0; slot < image_.shape.pool_buffer_count; ++slot) {
      const std::uint64_t returned_before = read(returned[slot]);
      const std::uint64_t given = read(lent[slot]);
      const std::uint64_t returned_after = read(returned[slot]);
      expect(returned_before <= given, "a buffer came back that was never lent", slot,
             image_.shape.pool_buffer_count);
      expect(given <= returned_after + 1, "a buffer was lent twice at once", slot,
             image_.shape.pool_buffer_count);
    }
  }

  // From done to tail, record by record.  Where the reader has finished a record meanwhile, its
  // bytes may be another's: the walk goes on where the reader stands.
  void walk_records() {
    audit_.is_walked = true;
    const std::uint64_t capacity = image_.shape.capacity_bytes;
    const std::byte* ring = image_.writer.data() + image_.parts.ring_offset;
    const std::uint64_t tail = read(producer_.tail);
    std::uint64_t position = read(consumer_.done);
    // A damaged cursor has been found already, and would lead anywhere.
    if (position > tail || tail - position > capacity || position % 8 != 0 || tail % 8 != 0) return;
    bool ends_with_data = true;
    while (position < tail) {
      const auto& word =
          *reinterpret_cast<const std::atomic<std::uint64_t>*>(ring + (position & (capacity - 1)));
      const std::uint64_t header = read(word);
      if (const std::uint64_t done = read(consumer_.done); done > position) {
        if (done % 8 != 0) return;  // found already, or by the next look
        position = done;
        continue;
      }
      const std::uint64_t size_bytes = record_detail::payload_bytes(header);
      const std::uint32_t kind = record_detail::kind(header);
      const std::uint64_t whole = record_detail::whole_bytes(size_bytes);
      const std::uint64_t to_end = capacity - (position & (capacity - 1));
      const bool is_data = kind == record_detail::kData &&
                           size_bytes <= record_max_payload_bytes(capacity) && whole <= to_end;
      const bool is_padding = kind == record_detail::kPadding && whole == to_end;
      if ((!is_data && !is_padding) || whole > tail - position) {
        audit_.findings.push_back(
            {"what is published is no chain of records, from this position on", position, tail});
        return;
      }
      if (is_data) ++audit_.record_count;
      ends_with_data = is_data;
      position += whole;
    }
    expect(ends_with_data, "what is published ends with padding", position, tail);
  }

  const LinkImage& image_;
  const ProducerPage& producer_;
  const ConsumerPage& consumer_;
  LinkAudit audit_;
};

}  // namespace

LinkAudit audit_link(const LinkImage& image) {
  LinkAudit audit = Look(image).run();
  for (int look = 1; look < kLookCount && !audit.findings.empty(); ++look) {
    LinkAudit again = Look(image).run();
    std::erase_if(again.findings, [&](const AuditFinding& finding) {
      return std::none_of(audit.findings.begin(), audit.findings.end(),
                          [&](const AuditFinding& before) {
                            return std::string_view(before.what) == finding.what;
                          });
    });
    audit = std::move(again);
  }
  return audit;
}

}  // namespace slipring
