#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "pipelines/adapter/other_end.h"
#include "pipelines/link/lane_reader.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/link/role_watch.h"
#include "pipelines/link/stream_link.h"
#include "platform/wait/arming.h"
#include "platform/wait/event_bell.h"
#include "tests/pipelines/link/link_fixture.h"
#include "tests/pipelines/posix/channel.h"

namespace slipring::posix {
namespace {

using test::must;
using What = Answer::What;

constexpr const char* kName = "t.link";
constexpr std::uint64_t kCapacityBytes = 65536;

// One end in a poll loop: an event bell that the other end rings, and an arming while it polls.
class Polling {
 public:
  explicit Polling(const EventBell& bell) : bell_(bell) {}
  void begin(WaitPoint point) {
    point_ = point;
    point_.signals_event = true;
    arming_.emplace(std::span<const WaitPoint>(&point_, 1), &bell_);
  }
  void end() { arming_.reset(); }
  // The descriptor that stands in the loop.
  [[nodiscard]] bool is_rung() const {
    pollfd watched{bell_.fd(), POLLIN, 0};
    return poll(&watched, 1, 0) == 1;
  }

 private:
  const EventBell& bell_;
  WaitPoint point_{};
  std::optional<Arming> arming_;
};

// What both kinds of ends have in common.  Stream and record ends differ in their words alone.
template <typename End>
struct Side {
  Side(const SegmentDirectory& directory, Role other, const EventBell& bell)
      : end(must(End::attach(directory, kName))),
        watch(must(RoleWatch::open(directory, kName, other))),
        other_end(end, watch, false),
        polling(bell) {}

  // Closed, or dead by the kernel's certificate.
  [[nodiscard]] bool is_other_gone() { return end.is_peer_closed() || must(other_end.has_died()); }

  End end;
  RoleWatch watch;
  OtherEnd<End> other_end;
  Polling polling;
};

Answer put(StreamWriter& link, std::string_view bytes) {
  std::size_t count = 0;
  const Transfer answer = link.try_write(std::as_bytes(std::span(bytes)), count);
  if (answer == Transfer::kBlocked) return {What::kBlocked};
  return {answer == Transfer::kDone ? What::kDone : What::kFault, count};
}
Answer put(LinkWriter& link, std::string_view bytes) {
  if (bytes.size() > link.max_message_bytes()) return {What::kTooLong};
  std::span<std::byte> place;
  const Transfer answer = link.try_reserve(bytes.size(), place);
  if (answer != Transfer::kDone) {
    return {answer == Transfer::kBlocked ? What::kBlocked : What::kFault};
  }
  std::copy_n(std::as_bytes(std::span(bytes)).begin(), bytes.size(), place.begin());
  link.commit(bytes.size());
  return {What::kDone, bytes.size()};
}
Answer get(StreamReader& link, std::string& bytes, std::size_t most) {
  bytes.resize(most);
  std::size_t count = 0;
  const Transfer answer = link.try_read(std::as_writable_bytes(std::span(bytes)), count);
  bytes.resize(count);
  if (answer == Transfer::kBlocked) return {What::kBlocked};
  return {answer == Transfer::kDone ? What::kDone : What::kFault, count};
}
Answer get(LinkReader& link, std::string& bytes, std::size_t) {
  Message message;
  const Transfer answer = link.try_peek(message);
  if (answer != Transfer::kDone) {
    return {answer == Transfer::kBlocked ? What::kBlocked : What::kFault};
  }
  bytes.assign(reinterpret_cast<const char*>(message.bytes.data()), message.bytes.size());
  link.release(message);
  return {What::kDone, bytes.size()};
}
bool has_some(const StreamReader& link) {
  return link.has_bytes();
}
bool has_some(const LinkReader& link) {
  return link.has_message();
}
bool has_room(const StreamWriter& link) {
  return link.has_space();
}
bool has_room(const LinkWriter& link) {
  return link.has_space(link.max_message_bytes() / 2);
}
WaitPoint point_of(StreamReader& link) {
  return link.byte_point();
}
WaitPoint point_of(LinkReader& link) {
  return link.message_point();
}

template <typename End>
class LinkSideWriter final : public Writer {
 public:
  LinkSideWriter(const SegmentDirectory& directory, const EventBell& bell)
      : side(directory, Role::kReader, bell) {
    static_cast<void>(side.is_other_gone());  // who reads now, if anybody does
  }
  ~LinkSideWriter() override { side.end.close(); }
  Answer write(std::string_view bytes) override {
    if (side.is_other_gone()) return {What::kBroken};
    return put(side.end, bytes);
  }
  void begin_poll() override {
    side.polling.begin(side.end.space_point());
    was_writable_ = has_room(side.end);
  }
  // Of the loop's descriptor, unless there was room before the loop went to sleep.
  bool is_writable() override { return was_writable_ || side.polling.is_rung(); }
  bool is_broken() override { return side.is_other_gone(); }
  void end_poll() override { side.polling.end(); }

  Side<End> side;

 private:
  bool was_writable_ = false;
};

template <typename End>
class LinkSideReader final : public Reader {
 public:
  LinkSideReader(const SegmentDirectory& directory, const EventBell& bell)
      : side(directory, Role::kWriter, bell) {}
  ~LinkSideReader() override { side.end.close(); }
  Answer read(std::string& bytes, std::size_t most) override {
    // Before the ring is looked at: what was published before the end is seen then.
    const bool is_gone = side.is_other_gone();
    const Answer answer = get(side.end, bytes, most);
    return answer.what == What::kBlocked && is_gone ? Answer{What::kEnd} : answer;
  }
  void begin_poll() override {
    side.polling.begin(point_of(side.end));
    was_readable_ = has_some(side.end) || side.end.is_peer_closed();
  }
  // Of the loop's descriptor, unless there was something before the loop went to sleep.
  bool is_readable() override { return was_readable_ || side.polling.is_rung(); }
  bool is_hung_up() override { return side.is_other_gone(); }
  void end_poll() override { side.polling.end(); }

  Side<End> side;

 private:
  bool was_readable_ = false;
};

template <typename WritingEnd, typename ReadingEnd>
class LinkChannel final : public Channel {
 public:
  explicit LinkChannel(SegmentKind kind) : directory_(folder_.open()) {
    LinkShape shape;
    shape.kind = kind;
    shape.capacity_bytes = kCapacityBytes;
    REQUIRE(create_link(directory_, kName, shape).ok());
  }
  std::unique_ptr<Reader> reader() override {
    auto made = std::make_unique<LinkSideReader<ReadingEnd>>(directory_, readers_bell_);
    made->side.end.attach_event(writers_bell_.fd());
    return made;
  }
  std::unique_ptr<Writer> writer() override {
    auto made = std::make_unique<LinkSideWriter<WritingEnd>>(directory_, writers_bell_);
    made->side.end.attach_event(readers_bell_.fd());
    return made;
  }
  pid_t fork_writer(const std::function<int(Writer&)>& body) override {
    const pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid != 0) return pid;
    LinkSideWriter<WritingEnd> writer(directory_, writers_bell_);
    writer.side.end.attach_event(readers_bell_.fd());
    _exit(body(writer));
  }

 private:
  test::Directory folder_;
  SegmentDirectory directory_;
  // Each is given to the other end once, as to a process that inherits it; they outlive both.
  EventBell readers_bell_ = must(EventBell::create());
  EventBell writers_bell_ = must(EventBell::create());
};

// A lane of a set, and the reader of all.
class LaneSideWriter final : public Writer {
 public:
  explicit LaneSideWriter(const SegmentDirectory& directory)
      : end_(must(LinkWriter::attach(directory, kName))) {}
  ~LaneSideWriter() override { end_.close(); }
  Answer write(std::string_view bytes) override {
    return end_.is_peer_closed() ? Answer{What::kBroken} : put(end_, bytes);
  }
  // A set's ends signal no event: a loop sleeps on their futexes (Waiter).
  void begin_poll() override {}
  bool is_writable() override { return has_room(end_); }
  bool is_broken() override { return end_.is_peer_closed(); }
  void end_poll() override {}

 private:
  LinkWriter end_;
};

class LaneSideReader final : public Reader {
 public:
  explicit LaneSideReader(const SegmentDirectory& directory)
      : set_(must(LaneReader::attach(directory, kName))) {}
  ~LaneSideReader() override { set_.close(); }
  Answer read(std::string& bytes, std::size_t) override {
    // Before the lanes are looked at: what was published before the end is seen then.
    const bool is_gone = is_hung_up();
    LaneMessage message;
    const Transfer answer = set_.try_peek(message);
    if (answer == Transfer::kBlocked) return {is_gone ? What::kEnd : What::kBlocked};
    if (answer != Transfer::kDone) return {What::kFault};
    const std::span<const std::byte> got = message.message.bytes;
    bytes.assign(reinterpret_cast<const char*>(got.data()), got.size());
    set_.release(message);
    return {What::kDone, bytes.size()};
  }
  void begin_poll() override {}
  bool is_readable() override { return set_.has_message(); }
  bool is_hung_up() override {
    return set_.lanes_with_writers() != 0 && must(set_.count_writers()) == 0;
  }
  void end_poll() override {}

 private:
  LaneReader set_;
};

class LaneChannel final : public Channel {
 public:
  LaneChannel() : directory_(folder_.open()) {
    REQUIRE(create_link(directory_, kName, lane_set_shape(2, kCapacityBytes)).ok());
  }
  std::unique_ptr<Reader> reader() override { return std::make_unique<LaneSideReader>(directory_); }
  std::unique_ptr<Writer> writer() override { return std::make_unique<LaneSideWriter>(directory_); }
  pid_t fork_writer(const std::function<int(Writer&)>& body) override {
    const pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid != 0) return pid;
    LaneSideWriter writer(directory_);
    _exit(body(writer));
  }

 private:
  test::Directory folder_;
  SegmentDirectory directory_;
};

std::unique_ptr<Channel> make_lanes() {
  return std::make_unique<LaneChannel>();
}
std::unique_ptr<Channel> make_stream() {
  return std::make_unique<LinkChannel<StreamWriter, StreamReader>>(SegmentKind::kStreamLink);
}
std::unique_ptr<Channel> make_records() {
  return std::make_unique<LinkChannel<LinkWriter, LinkReader>>(SegmentKind::kRecordLink);
}

}  // namespace

const Kind& our_kind(std::string_view name) {
  static const std::vector<Kind> kAll{
      {"stream link", make_stream}, {"record link", make_records}, {"lane set", make_lanes}};
  const auto found =
      std::find_if(kAll.begin(), kAll.end(), [&](const Kind& kind) { return name == kind.name; });
  REQUIRE(found != kAll.end());
  return *found;
}

}  // namespace slipring::posix
