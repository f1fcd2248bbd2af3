#include "tests/crash/link/broker_session.h"

#include <poll.h>

#include <cstring>
#include <optional>
#include <utility>

#include "pipelines/link/guarded_broker.h"
#include "pipelines/link/link_observer.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"

namespace slipring::crash {
namespace {

constexpr std::uint32_t kMessages = 300;  // laps of the ring

Word word_of(const Error& error) {
  return error.code == ErrorCode::kClosed || error.code == ErrorCode::kNotFound ? Word::kBrokerGone
                                                                                : Word::kWrong;
}

class User {
 public:
  explicit User(const SegmentDirectory& directory) : directory_(&directory) {}

  Word obey(Command command) {
    switch (command) {
      case Command::kWrite:
        return attach(writer_);
      case Command::kRead:
        return attach(reader_);
      case Command::kExchange:
        return writer_ && reader_ ? exchange() : Word::kDone;
      case Command::kStopWriting:
        writer_.reset();
        return Word::kDone;
      case Command::kStopReading:
        reader_.reset();
        return Word::kDone;
      case Command::kGuest:
      case Command::kLook:
        return Word::kDone;
    }
    return Word::kWrong;
  }

 private:
  template <typename End>
  Word attach(std::optional<End>& end) {
    Result<End> attached = End::attach(*directory_, kBrokeredLink, MemoryLock::kOff);
    if (!attached) return word_of(attached.error());
    end.emplace(std::move(attached).value());
    return Word::kDone;
  }

  Word exchange() {
    std::uint32_t sent = 0;
    for (std::uint32_t got = 0; got != kMessages;) {
      std::span<std::byte> place;
      if (sent != kMessages && writer_->try_reserve(24, place) == Transfer::kDone) {
        std::memset(place.data(), static_cast<int>(sent & 0xff), place.size());
        std::memcpy(place.data(), &sent, sizeof sent);
        writer_->commit(24);
        ++sent;
        continue;
      }
      Message message;
      if (reader_->try_peek(message) != Transfer::kDone) return Word::kWrong;
      std::uint32_t number = 0;
      if (message.bytes.size() != 24) return Word::kWrong;
      std::memcpy(&number, message.bytes.data(), sizeof number);
      if (number != got++) return Word::kWrong;
      for (const std::byte byte : message.bytes.subspan(4)) {
        if (byte != static_cast<std::byte>(number & 0xff)) return Word::kWrong;
      }
      reader_->release(message);
    }
    return Word::kDone;
  }

  const SegmentDirectory* directory_;
  std::optional<LinkWriter> writer_;
  std::optional<LinkReader> reader_;
};

}  // namespace

LinkShape brokered_shape() {
  LinkShape shape;
  shape.kind = SegmentKind::kRecordLink;
  shape.capacity_bytes = 4096;
  return shape;
}

int serve_user(const SegmentDirectory& directory, const Line& line) {
  User user(directory);
  while (const char command = line.hear()) {
    line.say(static_cast<char>(user.obey(static_cast<Command>(command))));
  }
  return 0;
}

namespace {

template <typename End>
int stay_with(const Result<End>& end, const Line& line) {
  line.say(static_cast<char>(end ? Word::kDone : word_of(end.error())));
  static_cast<void>(line.hear());
  return 0;
}

}  // namespace

int serve_guest(const SegmentDirectory& directory, Command command, const Line& line) {
  if (command == Command::kLook) {
    return stay_with(LinkObserver::attach(directory, kBrokeredLink), line);
  }
  return stay_with(LinkReader::attach(directory, kBrokeredLink, MemoryLock::kOff), line);
}

int serve_broker(const SegmentDirectory& directory, const Line& line) {
  Result<GuardedBroker> broker =
      GuardedBroker::create(directory, kBrokeredLink, brokered_shape(), {});
  line.say(broker ? '+' : '!');
  if (!broker) return 1;
  while (line.hear() != '\0') {
    pollfd watched{broker->poll_fd(), POLLIN, 0};
    const bool is_due = ::poll(&watched, 1, 1) > 0;
    mark();
    if (is_due) broker->turn();
    mark();
    line.say('.');
  }
  return 0;
}

}  // namespace slipring::crash
