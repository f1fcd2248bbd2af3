// Topics of several publishers, as pipelines/link/TOPIC.md has them.

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <list>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "pipelines/link/broadcast_layout.h"
#include "pipelines/link/publisher_notes.h"
#include "pipelines/link/topic_lanes.h"
#include "pipelines/link/topic_reader.h"
#include "tests/pipelines/link/link_fixture.h"
#include "tests/platform/other_process.h"

namespace slipring {
namespace {

using test::Directory;
using test::must;

constexpr const char* kTopic = "t.news";
constexpr std::uint64_t kSlots = 16;

SegmentDirectory open_topic(const Directory& folder,
                            BroadcastPolicy policy = BroadcastPolicy::kOverwrite) {
  SegmentDirectory directory = folder.open();
  const std::uint64_t lag_limit = policy == BroadcastPolicy::kEvict ? kSlots / 2 : 0;
  REQUIRE(create_broadcast(directory, kTopic, {kSlots, 64, 4, policy, lag_limit}).ok());
  return directory;
}

// Whose, and which.
struct Word {
  std::uint32_t publisher = 0;
  std::uint32_t number = 0;
};

void send(BroadcastSender& sender, Word word) {
  REQUIRE(sender.try_send(std::as_bytes(std::span(&word, 1))) == Transfer::kDone);
}

Word word_in(const TopicMessage& message) {
  Word word;
  REQUIRE(message.message.bytes.size() == sizeof word);
  std::memcpy(&word, message.message.bytes.data(), sizeof word);
  return word;
}

// A process that publishes what it is told to: a word a 'p' on its line, of this publisher.
class PublisherProcess {
 public:
  PublisherProcess(const SegmentDirectory& directory, std::uint32_t publisher)
      : process_([&directory, publisher](Line line) {
          Result<BroadcastSender> sender = attach_publisher(directory, kTopic);
          line.say(sender ? 'y' : 'n');
          if (!sender) return 1;
          for (std::uint32_t number = 0; line.hear() == 'p'; ++number) {
            const Word word{publisher, number};
            static_cast<void>(sender->try_send(std::as_bytes(std::span(&word, 1))));
            line.say('d');
          }
          sender->close();
          return 0;
        }) {
    REQUIRE(process_.line().hear() == 'y');
  }
  void publish() {
    process_.line().say('p');
    REQUIRE(process_.line().hear() == 'd');
  }
  void kill() {
    process_.kill_now();
    CHECK(process_.wait() == -SIGKILL);
  }
  void end() {
    process_.line().say('e');
    CHECK(process_.wait() == 0);
  }
  [[nodiscard]] pid_t pid() const { return process_.pid(); }

 private:
  OtherProcess process_;
};

TEST_CASE("topic: each publisher's messages come once, in order, and say whose they are") {
  const Directory folder;
  const SegmentDirectory directory = open_topic(folder);
  TopicReader early = must(TopicReader::attach(directory, kTopic));
  std::array<PublisherProcess, 3> publishers{PublisherProcess(directory, 0),
                                             PublisherProcess(directory, 1),
                                             PublisherProcess(directory, 2)};
  CHECK(must(early.look_for_lanes()));
  CHECK_FALSE(must(early.look_for_lanes()));
  TopicReader late = must(TopicReader::attach(directory, kTopic));
  CHECK(early.lane_count() == 3);
  CHECK(late.lane_count() == 3);
  CHECK(must(late.count_publishers()) == 3);
  for (int round = 0; round < 10; ++round) {
    for (PublisherProcess& publisher : publishers) publisher.publish();
  }
  for (TopicReader* reader : {&early, &late}) {
    std::map<std::uint32_t, std::uint32_t> next;
    TopicMessage message;
    while (reader->try_receive(message) == Transfer::kDone) {
      const Word word = word_in(message);
      CHECK(word.number == next[word.publisher]++);
      CHECK(message.message.lost == 0);
      CHECK(message.lane == word.publisher);
      CHECK(message.sender.process_id == publishers[word.publisher].pid());
      CHECK(message.sender.is_known);
      CHECK(message.sender.user == geteuid());
      reader->release(message);
    }
    CHECK(next == std::map<std::uint32_t, std::uint32_t>{{0, 10}, {1, 10}, {2, 10}});
    CHECK(reader->lost_count() == 0);
    CHECK_FALSE(reader->is_closed());
  }
  for (PublisherProcess& publisher : publishers) publisher.end();
  CHECK(early.is_closed());
  CHECK_FALSE(early.has_unclosed());
}

TEST_CASE("topic: a killed publisher's place is used again, and its messages stay its own") {
  const Directory folder;
  const SegmentDirectory directory = open_topic(folder);
  TopicReader reader = must(TopicReader::attach(directory, kTopic));
  PublisherProcess stays(directory, 0);
  PublisherProcess dies(directory, 1);
  dies.publish();
  const pid_t dead = dies.pid();
  dies.kill();
  CHECK(must(reader.look_for_lanes()));
  CHECK(must(reader.count_publishers()) == 1);
  stays.publish();  // nobody waits for the dead
  PublisherProcess follows(directory, 2);
  follows.publish();
  CHECK_FALSE(must(reader.look_for_lanes()));
  std::map<std::uint32_t, TopicMessage> got;
  TopicMessage message;
  while (reader.try_receive(message) == Transfer::kDone) got[word_in(message).publisher] = message;
  REQUIRE(got.size() == 3);
  CHECK(got[1].lane == 1);
  CHECK(got[2].lane == 1);
  CHECK(got[1].sender.process_id == dead);
  CHECK_FALSE(got[1].sender.is_known);
  CHECK(got[2].sender.process_id == follows.pid());
  CHECK(got[2].sender.is_known);
  CHECK(got[2].sender.incarnation == got[1].sender.incarnation + 1);
  follows.kill();
  stays.end();
  CHECK(must(reader.count_publishers()) == 0);
  CHECK_FALSE(reader.is_closed());
  CHECK(reader.has_unclosed());
}

TEST_CASE("topic: what a lane lost before its subscriber found it is counted, and no more") {
  const Directory folder;
  const SegmentDirectory directory = open_topic(folder);
  BroadcastSender first = must(attach_publisher(directory, kTopic));
  TopicReader reader = must(TopicReader::attach(directory, kTopic));
  BroadcastSender second = must(attach_publisher(directory, kTopic));
  for (std::uint32_t number = 0; number < 3 * kSlots; ++number) send(second, {1, number});
  send(first, {0, 0});
  CHECK(must(reader.look_for_lanes()));
  std::uint64_t next = 0;
  std::uint64_t lost = 0;
  TopicMessage message;
  while (reader.try_receive(message) == Transfer::kDone) {
    const Word word = word_in(message);
    if (word.publisher != 1) continue;
    CHECK(message.message.lost == word.number - next);
    lost += message.message.lost;
    next = word.number + 1;
  }
  CHECK(next == 3 * kSlots);
  CHECK(lost >= 2 * kSlots);
  CHECK(reader.lost_count() == lost);
  // Who joins now is owed what comes now.
  TopicReader late = must(TopicReader::attach(directory, kTopic));
  send(second, {1, 3 * kSlots});
  CHECK(late.try_receive(message) == Transfer::kDone);
  CHECK(word_in(message).number == 3 * kSlots);
  CHECK(late.lost_count() == 0);
}

// Of a process that publishes as fast as it can, until it is killed.
auto flood(const SegmentDirectory& directory, std::uint32_t publisher) {
  return [&directory, publisher](Line line) {
    Result<BroadcastSender> sender = attach_publisher(directory, kTopic);
    line.say(sender ? 'y' : 'n');
    for (Word word{publisher, 1}; sender; ++word.number) {
      static_cast<void>(sender->try_send(std::as_bytes(std::span(&word, 1))));
    }
    return 1;
  };
}

// What one subscriber may find, whoever dies: each lane's positions without a gap that is not told,
// each publisher's messages in order, and all of them of one process.
class Ledger {
 public:
  void enter(const TopicMessage& message, const std::map<std::uint32_t, pid_t>& processes) {
    const Word word = word_in(message);
    const std::uint64_t expected = next_position_[message.lane] + message.message.lost;
    wrong_count += message.message.position != expected;
    next_position_[message.lane] = message.message.position + 1;
    lost_count += message.message.lost;
    wrong_count += word.number <= last_[word.publisher];
    last_[word.publisher] = word.number;
    wrong_count += message.sender.process_id != processes.at(word.publisher);
    ++message_count;
  }

  std::uint64_t message_count = 0;
  std::uint64_t lost_count = 0;
  std::uint64_t wrong_count = 0;

 private:
  std::map<std::uint32_t, std::uint64_t> next_position_;
  std::map<std::uint32_t, std::uint32_t> last_;
};

TEST_CASE("topic: publishers killed at random; nothing is repeated or mixed, every loss is told") {
  const Directory folder;
  const SegmentDirectory directory = open_topic(folder);
  TopicReader reader = must(TopicReader::attach(directory, kTopic));
  std::mt19937_64 random(3);
  std::map<std::uint32_t, pid_t> processes;
  std::list<OtherProcess> living;
  Ledger ledger;
  TopicMessage message;
  std::uint32_t started_count = 0;
  for (int round = 0; round < 60; ++round) {
    while (living.size() < 3) {
      living.emplace_back(flood(directory, started_count));
      REQUIRE(living.back().line().hear() == 'y');
      processes[started_count++] = living.back().pid();
    }
    static_cast<void>(must(reader.look_for_lanes()));
    for (std::uint64_t left = 50 + random() % 500; left != 0;) {
      if (reader.try_receive(message) != Transfer::kDone) continue;
      ledger.enter(message, processes);
      --left;
    }
    living.erase(std::next(living.begin(), static_cast<std::ptrdiff_t>(random() % 3)));
  }
  living.clear();
  static_cast<void>(must(reader.look_for_lanes()));
  while (reader.try_receive(message) == Transfer::kDone) ledger.enter(message, processes);
  MESSAGE(started_count << " publishers killed, " << ledger.message_count << " messages, "
                        << ledger.lost_count << " lost and told");
  CHECK(ledger.wrong_count == 0);
  CHECK(ledger.lost_count == reader.lost_count());
  CHECK(reader.lane_count() == 3);
}

TEST_CASE("topic: sixteen publish, the next is refused, and gets the place of one that has gone") {
  const Directory folder;
  const SegmentDirectory directory = open_topic(folder);
  std::vector<BroadcastSender> senders;
  for (std::uint32_t lane = 0; lane < kMaxTopicLanes; ++lane) {
    senders.push_back(must(attach_publisher(directory, kTopic)));
  }
  const Result<BroadcastSender> refused = attach_publisher(directory, kTopic);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == ErrorCode::kBusy);
  CHECK(refused.error().found == 0);
  CHECK(refused.error().wanted == kMaxTopicLanes);
  senders.pop_back();
  CHECK(attach_publisher(directory, kTopic).ok());
}

TEST_CASE("topic: one that blocks or evicts has one publisher, who is named") {
  for (const auto policy : {BroadcastPolicy::kBlock, BroadcastPolicy::kEvict}) {
    const Directory folder;
    const SegmentDirectory directory = open_topic(folder, policy);
    BroadcastSender alone = must(attach_publisher(directory, kTopic));
    const Result<BroadcastSender> refused = attach_publisher(directory, kTopic);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == ErrorCode::kBusy);
    CHECK(refused.error().found == static_cast<std::uint64_t>(getpid()));
  }
}

TEST_CASE("topic: a corrupt lane is answered once, and the others go on") {
  const Directory folder;
  const SegmentDirectory directory = open_topic(folder);
  BroadcastSender good = must(attach_publisher(directory, kTopic));
  BroadcastSender bad = must(attach_publisher(directory, kTopic));
  TopicReader reader = must(TopicReader::attach(directory, kTopic));
  send(bad, {1, 0});
  {
    // A message longer than its slot.
    const OpenBroadcast link = must(OpenBroadcast::open(directory, topic_lane_name(kTopic, 1)));
    const std::string path = folder.path() + "/" + topic_lane_name(kTopic, 1);
    const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
    REQUIRE(fd >= 0);
    const std::uint32_t nonsense = 0xffffffff;
    const auto offset = static_cast<off_t>(link.writer_offset() + link.parts.slots_offset + 8);
    REQUIRE(pwrite(fd, &nonsense, sizeof nonsense, offset) == sizeof nonsense);
    close(fd);
  }
  send(good, {0, 0});
  std::vector<std::uint32_t> corrupt;
  std::vector<Word> words;
  TopicMessage message;
  for (Transfer answer; (answer = reader.try_receive(message)) != Transfer::kBlocked;) {
    if (answer == Transfer::kCorruptPeer) {
      corrupt.push_back(message.lane);
    } else {
      words.push_back(word_in(message));
    }
  }
  CHECK(corrupt == std::vector<std::uint32_t>{1});
  REQUIRE(words.size() == 1);
  CHECK(words.front().publisher == 0);
  CHECK_FALSE(reader.has_message());
}

TEST_CASE("topic: a lane's name and its topic's are told from each other") {
  CHECK(topic_lane_name("news", 0) == "news");
  CHECK(topic_lane_name("news", 15) == "news.pub15");
  CHECK(topic_of_lane("news.pub1") == "news");
  CHECK(topic_of_lane("a.pub3.pub2") == "a.pub3");
  for (const char* name : {"news", "news.pub", "news.pub0", "news.pub01", "news.pub16", ".pub1",
                           "news.pub1x", "news.pub-1"}) {
    CHECK_FALSE(topic_of_lane(name).has_value());
  }
}

TEST_CASE("publisher notes: the last eight are known, and an overwritten one is not another's") {
  std::array<PublisherNote, kPublisherNoteCount> notes{};
  CHECK_FALSE(find_publisher(notes, 0).has_value());
  CHECK_FALSE(find_publisher(notes, 1).has_value());
  for (std::uint32_t life = 1; life <= 20; ++life) note_publisher(notes, {life, 100 + life, 2, 3});
  for (std::uint32_t life = 1; life <= 20; ++life) {
    const std::optional<Publisher> found = find_publisher(notes, life);
    CHECK(found.has_value() == (life > 12));
    if (found) CHECK(found->process_id == 100 + life);
  }
  // Its writer died between the two.
  notes[20 % kPublisherNoteCount].incarnation.store(0);
  CHECK_FALSE(find_publisher(notes, 20).has_value());
}

}  // namespace
}  // namespace slipring
