#include "tests/pipelines/wire/kill_exchange.h"

#include <sched.h>

#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>

#include "pipelines/link/lane_reader.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/link/stream_link.h"
#include "platform/wait/clock.h"
#include "tests/pipelines/link/guarded_fixture.h"
#include "tests/pipelines/link/link_fixture.h"
#include "tests/pipelines/wire/message_programs.h"
#include "tests/pipelines/wire/wire_process.h"

namespace slipring::wire {
namespace {

using test::Directory;
using test::must;

constexpr const char* kLink = "line";
constexpr std::uint64_t kPatienceNs = 120'000'000'000;
constexpr std::uint32_t kSlotBytes = 24;
// Messages that pass between two kills, at most.
constexpr std::uint64_t kBetweenKills = 400;

LinkShape shape_of(WireKind kind) {
  LinkShape shape;
  shape.kind = SegmentKind::kRecordLink;
  shape.capacity_bytes = 16384;
  if (kind == WireKind::kSlots) shape = test::slots(256, kSlotBytes);
  if (kind == WireKind::kStream) shape.kind = SegmentKind::kStreamLink;
  if (kind == WireKind::kValues) shape = text_values(300);
  if (kind == WireKind::kPooled) shape = pooled_slots(256, 100);
  return shape;
}

std::uint64_t mixed(std::uint64_t number) {
  number ^= number >> 33;
  number *= 0xff51afd7ed558ccdULL;
  return number ^ number >> 29;
}

std::string text_of(const MessagePrograms& programs, std::uint64_t number) {
  std::string text(programs.length(number, 8 + mixed(number) % 300), '\0');
  for (std::size_t i = 0; i < text.size(); ++i) {
    text[i] = static_cast<char>(i < 8 ? number >> 8 * i : mixed(number + i));
  }
  return text;
}

// The byte of a stream at a position.
std::byte stream_byte(std::uint64_t at) {
  return static_cast<std::byte>(mixed(at / 8) >> at % 8 * 8);
}

// The programs at the two ends.
class Programs {
 public:
  Programs(WireKind kind, const SegmentDirectory& here, const SegmentDirectory& there) {
    if (kind == WireKind::kStream) {
      stream_writer_.emplace(must(StreamWriter::attach(here, kLink)));
      stream_reader_.emplace(must(StreamReader::attach(there, kLink)));
    } else {
      messages_ = MessagePrograms::start(here, there, kLink, shape_of(kind));
    }
  }

  // As much as there is room for, up to `most`.
  void write(std::uint64_t most) {
    for (; written_ < most; ++written_) {
      if (messages_) {
        if (!messages_->push(text_of(*messages_, written_))) return;
        continue;
      }
      const std::byte one = stream_byte(written_);
      std::size_t count = 0;
      if (stream_writer_->try_write({&one, 1}, count) != Transfer::kDone) return;
    }
  }

  // Everything that is there; false if it is not what comes next.
  bool read() {
    if (!messages_) return read_stream();
    for (const std::string& got : messages_->pop_all()) {
      if (got != text_of(*messages_, read_)) return false;
      ++read_;
    }
    return true;
  }
  void close() {
    if (messages_) {
      messages_->close();
    } else {
      stream_writer_->close();
    }
  }
  [[nodiscard]] bool is_finished() const {
    return messages_ ? messages_->is_finished() : stream_reader_->is_finished();
  }
  [[nodiscard]] std::uint64_t read_count() const { return read_; }
  [[nodiscard]] std::uint64_t written_count() const { return written_; }

 private:
  bool read_stream() {
    StreamView view;
    while (stream_reader_->try_peek(view) == Transfer::kDone) {
      for (const auto& part : {view.bytes.first, view.bytes.second}) {
        for (const std::byte one : part) {
          if (one != stream_byte(read_)) return false;
          ++read_;
        }
      }
      stream_reader_->consume(view.bytes.size());
    }
    return true;
  }

  std::unique_ptr<MessagePrograms> messages_;  // or
  std::optional<StreamWriter> stream_writer_;
  std::optional<StreamReader> stream_reader_;
  std::uint64_t written_ = 0;
  std::uint64_t read_ = 0;
};

// If there is a lane that is free and read.
void send_locally(const SegmentDirectory& there, std::size_t bytes) {
  Result<LinkWriter> writer = LinkWriter::attach(there, kLink);
  if (!writer) return;
  const std::string text = std::string(kLocalText) + std::string(bytes, '.');
  std::span<std::byte> place;
  REQUIRE(writer->try_reserve(text.size(), place) == Transfer::kDone);
  std::memcpy(place.data(), text.data(), text.size());
  writer->commit(text.size());
}

// The link of the receiving machine; the broker of a guarded one.
std::unique_ptr<test::BrokerProcess> make_receivers(const KillOptions& options,
                                                    const SegmentDirectory& there) {
  const LinkShape shape = options.into_lanes ? lane_set_shape(3, 16384) : shape_of(options.kind);
  if (options.lanes_are_guarded) {
    return std::make_unique<test::BrokerProcess>(there, shape, GuardOptions{}, kLink);
  }
  REQUIRE(create_link(there, kLink, shape).ok());
  return nullptr;
}

}  // namespace

KillReport run_kills(const KillOptions& options) {
  const Directory here;
  const Directory there;
  const SegmentDirectory here_segments = here.open();
  const SegmentDirectory there_segments = there.open();
  REQUIRE(create_link(here_segments, kLink, shape_of(options.kind)).ok());
  const std::unique_ptr<test::BrokerProcess> broker = make_receivers(options, there_segments);
  Programs programs(options.kind, here_segments, there_segments);
  const std::string address = "unix://" + here.path() + ".socket";
  const bool sender_dials = options.dials == LinkSide::kSender;
  WireProcess sender({here.path(), address, kLink, LinkSide::kSender, !sender_dials});
  WireProcess receiver({there.path(), address, kLink, LinkSide::kReceiver, sender_dials});
  receiver.start();
  sender.start();

  KillReport report;
  std::mt19937_64 draw(options.seed);
  const std::uint64_t until_ns = deadline_after(kPatienceNs + options.kill_count * 100'000'000);
  std::uint64_t kill_at = draw() % kBetweenKills;
  const auto fail = [&](std::string what) {
    report.fault = what + " after " + std::to_string(programs.read_count()) + " messages, " +
                   std::to_string(report.kills) + " kills, seed " + std::to_string(options.seed);
    return report;
  };
  while (report.kills < options.kill_count) {
    programs.write(programs.read_count() + 2 * kBetweenKills);
    if (!programs.read()) return fail("lost, repeated, or out of order");
    if (monotonic_ns() > until_ns) return fail("no progress");
    if (const std::optional<int> status = sender.try_reap()) {
      return fail("the sender ended with " + std::to_string(*status));
    }
    if (const std::optional<int> status = receiver.try_reap()) {
      return fail("the receiver ended with " + std::to_string(*status));
    }
    if (programs.read_count() < kill_at) {
      sched_yield();
      continue;
    }
    const std::uint64_t who = draw() % 3;  // one of them, or both
    if (who != 0) receiver.kill_now();
    if (who != 1) sender.kill_now();
    if (who != 0 && options.forgets) {
      static_cast<void>(remove_segment(there_segments, std::string(kLink) + ".wire-in"));
    }
    if (who != 0 && options.into_lanes) send_locally(there_segments, draw() % 40);
    if (who != 0) receiver.start();
    if (who != 1) sender.start();
    report.kills += who == 2 ? 2 : 1;
    // Sometimes before anything has passed at all.
    kill_at = programs.read_count() + (draw() % 4 == 0 ? 0 : draw() % kBetweenKills);
  }
  const std::uint64_t last = programs.written_count();
  programs.close();
  // The lanes of the killed were never closed.
  const auto is_over = [&] {
    return options.into_lanes ? programs.read_count() == last : programs.is_finished();
  };
  while (!is_over()) {
    if (!programs.read()) return fail("lost, repeated, or out of order");
    if (monotonic_ns() > until_ns) return fail("no end");
    sched_yield();
  }
  if (programs.read_count() != last) return fail("something is missing at the end");
  report.messages = last;
  std::remove((here.path() + ".socket").c_str());
  return report;
}

}  // namespace slipring::wire
