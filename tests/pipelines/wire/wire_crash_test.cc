// The two sides of a wire, led through an exchange one instruction at a time and killed between any
// two instants that differ for those who are left (tests/crash/link/crash_walk.h).

#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pipelines/link/broadcast_receiver.h"
#include "pipelines/link/broadcast_sender.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/wire/session.h"
#include "platform/memory/segment_file.h"
#include "tests/crash/link/crash_report.h"
#include "tests/crash/link/private_tmpfs.h"

namespace slipring::crash {
namespace {

using wire::LinkSide;
using wire::Session;
using wire::WirePort;

constexpr const char* kHere = "here";
constexpr const char* kThere = "there";
constexpr int kMessages = 3;

class Book : public wire::PortBook {
 public:
  explicit Book(WirePort& port) : port_(port) {}
  [[nodiscard]] WirePort* find(const wire::Hello& hello, wire::ErrorReason&) noexcept override {
    return other(hello.side) == port_.side() ? &port_ : nullptr;
  }

 private:
  WirePort& port_;
};

// Both ports of one process, and a connection between them.
struct Carrier {
  bool open(const SegmentDirectory& segments) {
    return source.open(segments, kHere, "line", LinkSide::kSender).ok() &&
           sink.open(segments, kThere, "line", LinkSide::kReceiver).ok();
  }
  void run() {
    Book book(sink);
    Session client(source, {}, 0);
    Session server(book, {}, 0);
    static std::byte place[wire::kOutputBytes];
    for (bool moves = true; moves;) {
      moves = false;
      for (Session* from : {&client, &server}) {
        if (!from->has_output()) continue;
        const std::size_t count = from->send(place);
        std::span<const std::byte> input(place, count);
        (from == &client ? server : client).receive(input, 0);
        moves = true;
      }
    }
  }
  WirePort source;
  WirePort sink;
};

class WireScene : public Scene {
 public:
  WireScene(const PrivateTmpfs& tmpfs, SegmentKind kind, bool forgets)
      : path_(tmpfs.path()), forgets_(forgets) {
    Result<SegmentDirectory> opened = SegmentDirectory::open_at(path_);
    if (!opened) abort();
    segments_.emplace(std::move(opened).value());
    LinkShape shape;
    shape.kind = kind;
    shape.capacity_bytes = kind == SegmentKind::kRecordLink ? 1024 : 0;
    shape.slot_count = kind == SegmentKind::kSlotLink ? 16 : 0;
    shape.slot_bytes = kind == SegmentKind::kSlotLink ? 8 : 0;
    for (const char* name : {kHere, kThere}) {
      if (!create_link(*segments_, name, shape)) abort();
    }
    writer_.emplace(std::move(LinkWriter::attach(*segments_, kHere)).value());
    for (int i = 0; i < kMessages; ++i) put(static_cast<std::uint64_t>(i));
  }

  int child() override {
    Carrier carrier;
    if (!carrier.open(*segments_)) return 1;
    mark();
    carrier.run();
    mark();
    return 0;
  }

  void settle(Verdict& verdict, int) override {
    image().forget_files();
    if (forgets_) static_cast<void>(remove_segment(*segments_, std::string(kThere) + ".wire-in"));
    put(kMessages);
    {
      Carrier successor;
      verdict.expect(successor.open(*segments_), "a successor cannot take the ports");
      successor.run();
    }
    {
      Result<LinkReader> reader = LinkReader::attach(*segments_, kThere);
      if (verdict.expect(reader.ok(), "the reader cannot attach")) read(verdict, *reader);
    }
    writer_.reset();
    for (const char* name : {"here", "there", "here.wire-out", "there.wire-in"}) {
      static_cast<void>(remove_segment(*segments_, name));
    }
  }
  [[nodiscard]] std::string directory() const override { return path_; }

 private:
  void put(std::uint64_t number) {
    std::span<std::byte> place;
    if (writer_->try_reserve(sizeof number, place) != Transfer::kDone) abort();
    std::memcpy(place.data(), &number, sizeof number);
    writer_->commit(sizeof number);
  }
  static void read(Verdict& verdict, LinkReader& reader) {
    std::uint64_t next = 0;
    Message message;
    while (reader.try_peek(message) == Transfer::kDone) {
      std::uint64_t number = 0;
      if (message.bytes.size() == sizeof number) {
        std::memcpy(&number, message.bytes.data(), sizeof number);
      }
      verdict.expect(number == next, "a message is lost, repeated or out of order");
      ++next;
      reader.release(message);
    }
    verdict.expect(next == kMessages + 1, "a message is missing at the end, or too many came");
  }

  std::string path_;
  bool forgets_;
  std::optional<SegmentDirectory> segments_;
  std::optional<LinkWriter> writer_;
};

// A topic of which more is published than it holds while nobody carries it.
class TopicScene : public Scene {
 public:
  TopicScene(const PrivateTmpfs& tmpfs, bool forgets) : path_(tmpfs.path()), forgets_(forgets) {
    Result<SegmentDirectory> opened = SegmentDirectory::open_at(path_);
    if (!opened) abort();
    segments_.emplace(std::move(opened).value());
    for (const char* name : {kHere, kThere}) {
      if (!create_broadcast(*segments_, name, {4, 8, 2, BroadcastPolicy::kOverwrite, 0})) abort();
    }
    writer_.emplace(std::move(BroadcastSender::attach(*segments_, kHere)).value());
    reader_.emplace(std::move(BroadcastReceiver::attach(*segments_, kThere)).value());
    // What has begun has to be gone on with.
    Carrier first;
    if (!first.open(*segments_)) abort();
    put(1);
    first.run();
  }

  int child() override {
    Carrier carrier;
    if (!carrier.open(*segments_)) return 1;
    mark();
    carrier.run();
    mark();
    return 0;
  }
  void child_is_ready() override { put(kMessages); }

  void settle(Verdict& verdict, int) override {
    image().forget_files();
    if (forgets_) static_cast<void>(remove_segment(*segments_, std::string(kThere) + ".wire-in"));
    put(3);
    {
      Carrier successor;
      verdict.expect(successor.open(*segments_), "a successor cannot take the ports");
      successor.run();
    }
    std::uint64_t next = 0;
    BroadcastMessage message;
    while (reader_->try_receive(message) == Transfer::kDone) {
      std::uint64_t number = 0;
      std::memcpy(&number, message.bytes.data(), sizeof number);
      verdict.expect(number == next + message.lost, "a loss is not counted, or a message repeated");
      next = number + 1;
    }
    verdict.expect(next == published_, "a message is missing at the end");
    reader_.reset();
    writer_.reset();
    for (const char* name : {kHere, kThere, "there.wire-in"}) {
      static_cast<void>(remove_segment(*segments_, name));
    }
  }
  [[nodiscard]] std::string directory() const override { return path_; }

 private:
  void put(int count) {
    for (int i = 0; i < count; ++i, ++published_) {
      const auto word = std::as_bytes(std::span(&published_, 1));
      if (writer_->try_send(word) != Transfer::kDone) abort();
    }
  }

  std::string path_;
  bool forgets_;
  std::optional<SegmentDirectory> segments_;
  std::optional<BroadcastSender> writer_;
  std::optional<BroadcastReceiver> reader_;
  std::uint64_t published_ = 0;
};

Report walk_wire(bool forgets) {
  const PrivateTmpfs tmpfs;
  std::vector<Operation> operations;
  for (const SegmentKind kind : {SegmentKind::kRecordLink, SegmentKind::kSlotLink}) {
    const char* name = kind == SegmentKind::kRecordLink ? "wire, records" : "wire, slots";
    operations.push_back({name, [&tmpfs, kind, forgets] {
                            return std::make_unique<WireScene>(tmpfs, kind, forgets);
                          }});
  }
  operations.push_back({"wire, a topic", [&tmpfs, forgets] {
                          return std::make_unique<TopicScene>(tmpfs, forgets);
                        }});
  // Nobody waits for a stopped wire: only deaths are of interest.
  return walk_all(operations, {.stop_every = 1'000'000, .long_operation = 1, .seed = 1});
}

TEST_CASE("wire crash: killed at every instruction of an exchange, nothing is lost or repeated") {
  const Report report = walk_wire(false);
  for (const std::string& line : report.lines) MESSAGE(line);
  for (const std::string& failure : report.failures) FAIL_CHECK(failure);
  CHECK(report.sum.violations == 0);
  CHECK(report.sum.is_whole());
  CHECK(report.sum.kills >= report.sum.classes);
}

TEST_CASE("wire crash, planted: without its ledger a receiver is seen to repeat") {
  const Report report = walk_wire(true);
  MESSAGE(report.sum.text());
  CHECK(report.sum.violations > 0);
}

}  // namespace
}  // namespace slipring::crash
