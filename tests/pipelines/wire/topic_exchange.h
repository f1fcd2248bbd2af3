// A topic carried to another machine over a wire that is cut, with whoever carries it; and the
// judgement: for every reader over there, what it received and what it counts as lost make up for
// everything that was published since it joined, in order, message by message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "pipelines/link/broadcast_receiver.h"
#include "pipelines/link/broadcast_sender.h"
#include "tests/pipelines/wire/wire_fixture.h"

namespace slipring::wire {

// A reader of a topic whose messages bear their numbers.
class Follower {
 public:
  // Joins now; `next`: the number of the message that would come next if none were lost.
  Follower(const SegmentDirectory& segments, std::string_view topic, std::uint64_t next);

  // Reads all that is there.  Empty, or what is wrong.
  std::string read();
  // Empty if it has got or counted all of `published`.
  [[nodiscard]] std::string judge(std::uint64_t published) const;
  [[nodiscard]] std::uint64_t received() const { return received_; }
  [[nodiscard]] std::uint64_t lost() const { return reader_.lost_count(); }
  [[nodiscard]] BroadcastReceiver& reader() { return reader_; }

 private:
  BroadcastReceiver reader_;
  std::uint64_t joined_;
  std::uint64_t next_;
  std::uint64_t received_ = 0;
};

// The text of the message of that number.
[[nodiscard]] std::string numbered(std::uint64_t number, std::size_t bytes);

enum class TopicKilled : std::uint8_t { kNobody, kSender, kReceiver, kBoth };

class TopicExchange {
 public:
  TopicExchange(const BroadcastShape& here, const BroadcastShape& there, LinkSide client);

  struct Round {
    Cut cut;
    TopicKilled killed = TopicKilled::kNobody;
    bool aborts = false;
    bool reads_early = false;
    std::size_t piece_bytes = SIZE_MAX;
  };
  // Messages, a connection that is cut, more messages than the topic holds, and a connection that
  // is not.  Empty if all is as it has to be.
  std::string run(const Round& round);

  struct Lengths {
    std::size_t to_server = 0;
    std::size_t to_client = 0;
  };
  Lengths measure();

  // For planted mistakes.
  std::function<void(const SegmentDirectory& there)> while_dead;

  [[nodiscard]] std::uint64_t published() const { return published_; }
  [[nodiscard]] std::uint64_t received() const { return received_; }
  [[nodiscard]] std::uint64_t lost() const { return lost_; }

 private:
  void publish(std::size_t count);
  void connect(const Cut& cut, const Round& round);
  void restart(TopicKilled killed);
  std::string read_all();

  Machine here_;
  Machine there_;
  LinkSide client_;
  BroadcastSender writer_;
  std::unique_ptr<Connection> connection_;
  std::list<Follower> followers_;  // the first from the beginning; the others joined later
  std::uint64_t published_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t lost_ = 0;
};

}  // namespace slipring::wire
