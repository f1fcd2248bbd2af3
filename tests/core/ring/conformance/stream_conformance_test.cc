#include <doctest/doctest.h>

#include <deque>

#include "core/ring/byte_stream.h"
#include "tests/core/ring/conformance/pair_memory.h"
#include "tests/core/ring/conformance/suite_parts.h"

namespace slipring {
namespace {

// A stream has no messages: where one ends is remembered here.  What lies in two parts in the ring
// is shown in one piece beside it.
class StreamAdapter {
 public:
  static constexpr bool kIsVariable = true;
  static constexpr std::size_t kAlignment = 1;

  static std::vector<RingShape> shapes() {
    std::vector<RingShape> all;
    for (const std::uint64_t capacity : {1U, 2U, 8U, 32U}) {
      for (const std::uint64_t start : near_wraps()) all.push_back({capacity, capacity, start});
    }
    return all;
  }
  static std::uint64_t footprint(std::uint64_t size) { return size; }

  explicit StreamAdapter(const RingShape& shape)
      : geometry_{shape.capacity, shape.start_position},
        memory_(shape.capacity),
        producer_(new_producer().value()),
        consumer_(new_consumer().value()) {}

  Transfer push(std::span<const std::byte> message) {
    if (!message.empty() && !producer_.has_space(message.size())) return Transfer::kBlocked;
    std::size_t count = 0;
    const Transfer answer = producer_.try_write(message, count);
    if (answer == Transfer::kDone) sizes_.push_back(count);
    return answer;
  }
  Transfer pop(Message& message) {
    message.resize(sizes_.empty() ? 1 : sizes_.front());
    std::size_t count = 0;
    const Transfer answer = consumer_.try_read(message, count);
    if (answer != Transfer::kDone) return answer;
    message.resize(count);
    sizes_.pop_front();
    return answer;
  }
  void flush() { consumer_.publish_credit(); }
  bool is_intact() { return memory_.is_intact(); }
  bool has_space(std::uint64_t size) { return producer_.has_space(size); }
  bool has_message() {
    if (!sizes_.empty() && sizes_.front() == 0) return true;
    return consumer_.has_bytes(sizes_.empty() ? 1 : sizes_.front());
  }

  Transfer reserve(std::uint64_t size, std::span<std::byte>& room) {
    room = {};
    if (size == 0) return Transfer::kDone;
    const Transfer answer = producer_.try_reserve(parts_, size);
    if (answer != Transfer::kDone) return answer;
    if (parts_.size() < size) return Transfer::kBlocked;
    is_split_ = parts_.first.size() < size;
    split_.resize(static_cast<std::size_t>(size));
    room = is_split_ ? std::span(split_) : parts_.first.first(static_cast<std::size_t>(size));
    return answer;
  }
  void commit(std::uint64_t size) {
    if (size != 0 && is_split_) {
      const auto middle = split_.begin() + static_cast<std::ptrdiff_t>(parts_.first.size());
      std::copy(split_.begin(), middle, parts_.first.begin());
      std::copy(middle, split_.end(), parts_.second.begin());
    }
    if (size != 0) producer_.commit(size);
    sizes_.push_back(static_cast<std::size_t>(size));
  }
  void abandon() {}
  Transfer peek(std::span<const std::byte>& seen, bool& redelivered) {
    std::uint64_t before = 0;
    for (std::size_t i = 0; i < held_count_; ++i) before += sizes_[i];
    const std::uint64_t size = held_count_ < sizes_.size() ? sizes_[held_count_] : 1;
    StreamView view;
    if (const Transfer answer = consumer_.try_peek(view, before + size);
        answer != Transfer::kDone && size != 0) {
      return answer;
    }
    if (view.bytes.size() < before + size) return Transfer::kBlocked;
    redelivered = size != 0 && before < view.redelivered_bytes;
    Message& whole = wholes_.emplace_back();
    for (const auto part : {view.bytes.first, view.bytes.second}) {
      whole.insert(whole.end(), part.begin(), part.end());
    }
    const bool is_first = before + size <= view.bytes.first.size();
    seen = (is_first ? view.bytes.first : std::span<const std::byte>(whole))
               .subspan(static_cast<std::size_t>(before), static_cast<std::size_t>(size));
    ++held_count_;
    return Transfer::kDone;
  }
  void release() {
    consumer_.consume(sizes_.front());
    sizes_.pop_front();
    --held_count_;
  }
  // try_peek() has looked at all there was.
  std::uint64_t taken_count() {
    const std::uint64_t taken = consumer_.position() - consumer_.done();
    std::uint64_t count = 0;
    std::uint64_t before = 0;
    while (count < sizes_.size() && before < taken) before += sizes_[count++];
    return count;
  }
  bool contains(std::span<const std::byte> part) {
    const auto holds = [part](std::span<const std::byte> bytes) {
      return part.data() >= bytes.data() &&
             part.data() + part.size() <= bytes.data() + bytes.size();
    };
    return memory_.ring.contains(part) || holds(split_) || std::ranges::any_of(wholes_, holds);
  }

  bool reattach_producer() { return succeed(producer_, new_producer()); }
  bool reattach_consumer() {
    held_count_ = 0;
    return succeed(consumer_, new_consumer());
  }

 private:
  Result<StreamProducer> new_producer() {
    return StreamProducer::attach(memory_.producer_page(), memory_.ring.data(),
                                  memory_.consumer_page(), geometry_);
  }
  Result<StreamConsumer> new_consumer() {
    return StreamConsumer::attach(memory_.consumer_page(), memory_.producer_page(),
                                  memory_.ring.data(), geometry_);
  }

  StreamGeometry geometry_;
  PairMemory memory_;
  StreamProducer producer_;
  StreamConsumer consumer_;
  std::deque<std::size_t> sizes_;  // of the messages from done on
  std::size_t held_count_ = 0;
  StreamParts<std::byte> parts_;
  bool is_split_ = false;
  Message split_;               // being written
  std::deque<Message> wholes_;  // being read
};
static_assert(InPlaceAdapter<StreamAdapter> && HandOverAdapter<StreamAdapter> &&
              AskableAdapter<StreamAdapter>);

TEST_CASE("conformance: the byte stream") {
  conformance::conforms<StreamAdapter>("byte stream");
}

}  // namespace
}  // namespace slipring
