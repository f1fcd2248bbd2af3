#include "tests/pipelines/posix/special_properties.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <limits.h>
#include <mqueue.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "pipelines/adapter/lane_meeting.h"
#include "pipelines/link/lane_reader.h"
#include "pipelines/link/link_segment.h"
#include "pipelines/link/stream_link.h"
#include "platform/memory/segment_file.h"
#include "platform/process/descriptor.h"
#include "platform/wait/clock.h"
#include "tests/pipelines/link/link_fixture.h"

namespace slipring::posix {
namespace {

using test::must;

constexpr const char* kName = "t.link";
constexpr int kWriters = 4;
constexpr int kMessages = 500;
constexpr std::uint64_t kPatienceNs = 60'000'000'000;

// A FIFO with a path of its own, gone with the object.
struct Fifo {
  Fifo() {
    char folder_name[] = "/tmp/slipring-fifo-XXXXXX";
    REQUIRE(mkdtemp(folder_name) != nullptr);
    folder = folder_name;
    path = folder + "/fifo";
    REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  }
  ~Fifo() {
    unlink(path.c_str());
    rmdir(folder.c_str());
  }
  [[nodiscard]] Descriptor open(int flags) const {
    return Descriptor(::open(path.c_str(), flags | O_CLOEXEC));
  }
  std::string folder;
  std::string path;
};

struct StreamLink {
  StreamLink() : directory(folder.open()) {
    REQUIRE(create_link(directory, kName, stream_link_shape(65536)).ok());
  }
  test::Directory folder;
  SegmentDirectory directory;
};

struct Queue {
  explicit Queue(int flags) {
    mq_attr attributes{};
    attributes.mq_maxmsg = 10;
    attributes.mq_msgsize = 64;
    fd = mq_open(name.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | flags, 0600, &attributes);
    REQUIRE(fd >= 0);
  }
  ~Queue() {
    mq_close(fd);
    mq_unlink(name.c_str());
  }
  std::string name = "/slipring-posix-special-" + std::to_string(getpid());
  mqd_t fd = -1;
};

// Whose message it is and which one, all over it.
struct Letter {
  std::int32_t who;
  std::int32_t number;
  std::array<std::int32_t, 14> echo;

  static Letter of(int who, int number) {
    Letter letter{who, number, {}};
    letter.echo.fill(who * kMessages + number);
    return letter;
  }
  [[nodiscard]] bool is_whole() const {
    const Letter wanted = of(who, number);
    return std::memcmp(this, &wanted, sizeof wanted) == 0;
  }
};
static_assert(sizeof(Letter) == 64);

// Whether each writer's letters came whole, all of them, in their order.
struct LetterJudge {
  std::map<int, int> next;
  bool is_right = true;
  void take(const Letter& letter) {
    is_right = is_right && letter.is_whole() && letter.number == next[letter.who]++;
  }
  [[nodiscard]] int count() const {
    int sum = 0;
    for (const auto& [who, number] : next) sum += number;
    return sum;
  }
};

// Four processes that send their letters with `send`, each by itself.
template <typename Send>
std::array<pid_t, kWriters> start_writers(Send send) {
  std::array<pid_t, kWriters> writers{};
  for (int who = 0; who < kWriters; ++who) {
    writers[static_cast<std::size_t>(who)] = test::in_child([&] { return send(who) ? 0 : 1; });
  }
  return writers;
}

bool all_ended_well(const std::array<pid_t, kWriters>& writers) {
  bool is_well = true;
  for (const pid_t writer : writers) is_well = test::reap(writer) == 0 && is_well;
  return is_well;
}

}  // namespace

bool fifo_needs_a_reader() {
  const Fifo fifo;
  return !fifo.open(O_WRONLY | O_NONBLOCK).is_open() && errno == ENXIO;
}
bool link_needs_a_reader() {
  const StreamLink link;
  return !StreamWriter::attach(link.directory, kName).ok();
}

bool fifo_opening_waits() {
  const Fifo fifo;
  // The child cannot get beyond its opening before we open: what it says comes after.
  std::array<int, 2> said{};
  REQUIRE(pipe2(said.data(), O_CLOEXEC) == 0);
  const pid_t child = test::in_child([&] {
    const Descriptor end = fifo.open(O_WRONLY);
    return write(said[1], "x", 1) == 1 && end.is_open() ? 0 : 1;
  });
  pollfd early{said[0], POLLIN, 0};
  const bool is_early = poll(&early, 1, 50) == 1;
  const Descriptor reader = fifo.open(O_RDONLY);
  char byte = 0;
  const bool was_said = read(said[0], &byte, 1) == 1;
  close(said[0]);
  close(said[1]);
  return test::reap(child) == 0 && was_said && !is_early;
}
bool link_opening_waits() {
  const StreamLink link;
  return !StreamWriter::attach(link.directory, kName).ok();
}

bool fifo_forgets() {
  const Fifo fifo;
  {
    const Descriptor reader = fifo.open(O_RDONLY | O_NONBLOCK);
    const Descriptor writer = fifo.open(O_WRONLY | O_NONBLOCK);
    if (write(writer.get(), "x", 1) != 1) return false;
  }
  const Descriptor reader = fifo.open(O_RDONLY | O_NONBLOCK);
  char byte = 0;
  return read(reader.get(), &byte, 1) == 0;
}
bool link_remembers() {
  const StreamLink link;
  std::size_t count = 0;
  {
    StreamReader reader = must(StreamReader::attach(link.directory, kName));
    StreamWriter writer = must(StreamWriter::attach(link.directory, kName));
    static_cast<void>(writer.try_write(std::as_bytes(std::span("x", 1)), count));
  }
  std::byte byte{};
  StreamReader reader = must(StreamReader::attach(link.directory, kName));
  return reader.try_read({&byte, 1}, count) == Transfer::kDone && byte == std::byte{'x'};
}
bool link_forgets() {
  return !link_remembers();
}
bool queue_remembers() {
  const Queue queue(O_NONBLOCK);
  const mqd_t writer = mq_open(queue.name.c_str(), O_WRONLY | O_CLOEXEC);
  const bool was_sent = mq_send(writer, "x", 1, 0) == 0;
  mq_close(writer);
  const mqd_t reader = mq_open(queue.name.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  std::array<char, 64> bytes{};
  const ssize_t got = mq_receive(reader, bytes.data(), bytes.size(), nullptr);
  mq_close(reader);
  return was_sent && got == 1;
}

bool fifo_outlives_its_name() {
  const Fifo fifo;
  const Descriptor reader = fifo.open(O_RDONLY | O_NONBLOCK);
  const Descriptor writer = fifo.open(O_WRONLY | O_NONBLOCK);
  REQUIRE(unlink(fifo.path.c_str()) == 0);
  char byte = 0;
  return write(writer.get(), "x", 1) == 1 && read(reader.get(), &byte, 1) == 1;
}
bool link_outlives_its_name() {
  const StreamLink link;
  StreamReader reader = must(StreamReader::attach(link.directory, kName));
  StreamWriter writer = must(StreamWriter::attach(link.directory, kName));
  REQUIRE(remove_segment(link.directory, kName).ok());
  std::size_t count = 0;
  std::byte byte{};
  return writer.try_write(std::as_bytes(std::span("x", 1)), count) == Transfer::kDone &&
         reader.try_read({&byte, 1}, count) == Transfer::kDone;
}

bool fifo_writes_of_several_are_whole() {
  const Fifo fifo;
  const Descriptor reader = fifo.open(O_RDONLY | O_NONBLOCK);
  const auto writers = start_writers([&](int who) {
    const Descriptor writer = fifo.open(O_WRONLY);
    for (int number = 0; number < kMessages; ++number) {
      const Letter letter = Letter::of(who, number);
      if (write(writer.get(), &letter, sizeof letter) != sizeof letter) return false;
    }
    return true;
  });
  LetterJudge judge;
  while (judge.count() != kWriters * kMessages && judge.is_right) {
    pollfd watched{reader.get(), POLLIN, 0};
    if (poll(&watched, 1, 60'000) != 1) break;
    Letter letter{};
    // As many as fit are there whole: a pipe gives them out as they were written.
    if (read(reader.get(), &letter, sizeof letter) == sizeof letter) judge.take(letter);
  }
  return all_ended_well(writers) && judge.is_right && judge.count() == kWriters * kMessages;
}
bool stream_writes_of_several_are_whole() {
  const StreamLink link;
  StreamReader reader = must(StreamReader::attach(link.directory, kName));
  StreamWriter writer = must(StreamWriter::attach(link.directory, kName));
  const pid_t second =
      test::in_child([&] { return StreamWriter::attach(link.directory, kName).ok() ? 0 : 1; });
  return test::reap(second) == 0;
}

bool queue_messages_of_several_are_whole() {
  const Queue queue(0);
  const auto writers = start_writers([&](int who) {
    for (int number = 0; number < kMessages; ++number) {
      const Letter letter = Letter::of(who, number);
      if (mq_send(queue.fd, reinterpret_cast<const char*>(&letter), sizeof letter, 0) != 0) {
        return false;
      }
    }
    return true;
  });
  LetterJudge judge;
  while (judge.count() != kWriters * kMessages && judge.is_right) {
    Letter letter{};
    pollfd watched{queue.fd, POLLIN, 0};
    if (poll(&watched, 1, 60'000) != 1) break;
    if (mq_receive(queue.fd, reinterpret_cast<char*>(&letter), sizeof letter, nullptr) !=
        sizeof letter) {
      break;
    }
    judge.take(letter);
  }
  return all_ended_well(writers) && judge.is_right && judge.count() == kWriters * kMessages;
}

bool lane_messages_of_several_are_whole() {
  test::Directory folder;
  const SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, kName, lane_set_shape(kWriters, 4096)).ok());
  LaneReader reader = must(LaneReader::attach(directory, kName));
  const auto writers = start_writers([&](int who) {
    Result<LinkWriter> writer = LinkWriter::attach(directory, kName);
    if (!writer) return false;
    for (int number = 0; number < kMessages;) {
      std::span<std::byte> place;
      const Transfer answer = writer->try_reserve(sizeof(Letter), place);
      if (answer == Transfer::kCorruptPeer) return false;
      if (answer == Transfer::kBlocked) {
        sched_yield();
        continue;
      }
      const Letter letter = Letter::of(who, number++);
      std::memcpy(place.data(), &letter, sizeof letter);
      writer->commit(sizeof letter);
    }
    return true;
  });
  LetterJudge judge;
  const std::uint64_t deadline_ns = deadline_after(kPatienceNs);
  while (judge.count() != kWriters * kMessages && judge.is_right && monotonic_ns() < deadline_ns) {
    LaneMessage message;
    if (reader.try_peek(message) != Transfer::kDone) {
      sched_yield();
      continue;
    }
    Letter letter{};
    std::memcpy(&letter, message.message.bytes.data(), sizeof letter);
    judge.take(letter);
    reader.release(message);
  }
  return all_ended_well(writers) && judge.is_right;
}

bool queue_has_priorities() {
  const Queue queue(O_NONBLOCK);
  if (mq_send(queue.fd, "later", 5, 1) != 0 || mq_send(queue.fd, "urgent", 6, 9) != 0) return false;
  std::array<char, 64> bytes{};
  return mq_receive(queue.fd, bytes.data(), bytes.size(), nullptr) == 6;
}
bool link_has_priorities() {
  const StreamLink link;
  StreamReader reader = must(StreamReader::attach(link.directory, kName));
  StreamWriter writer = must(StreamWriter::attach(link.directory, kName));
  std::size_t count = 0;
  static_cast<void>(writer.try_write(std::as_bytes(std::span("later", 5)), count));
  static_cast<void>(writer.try_write(std::as_bytes(std::span("urgent", 6)), count));
  std::byte byte{};
  return reader.try_read({&byte, 1}, count) == Transfer::kDone && byte == std::byte{'u'};
}

bool socket_knows_its_sender() {
  std::array<int, 2> fds{};
  REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()) == 0);
  const Descriptor one(fds[0]);
  const Descriptor other(fds[1]);
  ucred sender{};
  socklen_t size = sizeof sender;
  return getsockopt(one.get(), SOL_SOCKET, SO_PEERCRED, &sender, &size) == 0 &&
         sender.pid == getpid() && sender.uid == geteuid();
}
bool lane_knows_its_sender() {
  test::Directory folder;
  const SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, kName, lane_set_shape(2, 4096)).ok());
  LaneReader reader = must(LaneReader::attach(directory, kName));
  LinkWriter writer = must(LinkWriter::attach(directory, kName));
  LaneMessage message;
  return test::put(writer, 7) && reader.try_peek(message) == Transfer::kDone &&
         message.sender.is_known && message.sender.process_id == getpid() &&
         message.sender.user == geteuid();
}

bool a_second_reader_may_share_the_fifo() {
  const Fifo fifo;
  const Descriptor one = fifo.open(O_RDONLY | O_NONBLOCK);
  const Descriptor other = fifo.open(O_RDONLY | O_NONBLOCK);
  return one.is_open() && other.is_open();
}
bool a_second_reader_may_share_the_link() {
  const StreamLink link;
  StreamReader reader = must(StreamReader::attach(link.directory, kName));
  const pid_t second =
      test::in_child([&] { return StreamReader::attach(link.directory, kName).ok() ? 0 : 1; });
  return test::reap(second) == 0;
}

// ---- mailboxes, met on by name alone ----

namespace {

struct Mailbox {
  Mailbox() : directory(folder.open()) { REQUIRE(make_lane_set(directory, kName, 65536).ok()); }
  [[nodiscard]] Result<LinkWriter> sender(bool waits, std::uint64_t wait_ns = 0) const {
    LaneMeetingOptions options;
    options.waits = waits;
    options.wait_ns = wait_ns;
    return meet_as_sender(directory, kName, options);
  }
  test::Directory folder;
  SegmentDirectory directory;
};

}  // namespace

bool mailbox_needs_a_reader() {
  const Mailbox box;
  return !box.sender(false).ok();
}
bool mailbox_opening_waits() {
  const Mailbox box;
  // For as long as it is let, and it says what for.
  const Result<LinkWriter> alone = box.sender(true, 1'000'000);
  if (alone.ok() || alone.error().code != ErrorCode::kBusy || alone.error().os_errno != ENXIO) {
    return false;
  }
  const LaneReader reader = must(LaneReader::attach(box.directory, kName));
  const pid_t child = test::in_child([&] { return box.sender(true).ok() ? 0 : 1; });
  return test::reap(child) == 0;
}
bool mailbox_remembers() {
  const Mailbox box;
  {
    LaneReader reader = must(LaneReader::attach(box.directory, kName));
    LinkWriter sender = must(box.sender(true));
    if (!test::put(sender, 7)) return false;
  }
  // Whoever leaves last does not take it along, either.
  if (must(remove_if_idle(box.directory, kName))) return false;
  LaneReader reader = must(LaneReader::attach(box.directory, kName));
  LaneMessage message;
  return reader.try_peek(message) == Transfer::kDone && test::number_in(message.message) == 7;
}
bool mailbox_forgets() {
  return !mailbox_remembers();
}
bool a_second_reader_may_share_the_mailbox() {
  const Mailbox box;
  const LaneReader reader = must(LaneReader::attach(box.directory, kName));
  const pid_t second =
      test::in_child([&] { return LaneReader::attach(box.directory, kName).ok() ? 0 : 1; });
  return test::reap(second) == 0;
}

}  // namespace slipring::posix
