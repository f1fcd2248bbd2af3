#include "tests/pipelines/wire/topic_exchange.h"

#include <cstring>
#include <iterator>
#include <span>
#include <utility>

namespace slipring::wire {
namespace {

constexpr std::size_t kBefore = 5;
constexpr std::size_t kWhileCut = 3;
constexpr std::size_t kAfterCut = 13;  // more than the topics of these tests hold
constexpr std::size_t kFollowersMax = 4;

}  // namespace

std::string numbered(std::uint64_t number, std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) {
    text[i] = static_cast<char>(i < 8 ? number >> 8 * i : number * 7 + i);
  }
  return text;
}

Follower::Follower(const SegmentDirectory& segments, std::string_view topic, std::uint64_t next)
    : reader_(must(BroadcastReceiver::attach(segments, topic))), joined_(next), next_(next) {}

std::string Follower::read() {
  BroadcastMessage message;
  for (;;) {
    const Transfer answer = reader_.try_receive(message);
    if (answer == Transfer::kBlocked) return {};
    if (answer == Transfer::kCorruptPeer) return "the topic is corrupt";
    if (message.bytes.size() < sizeof next_) return "a message too short";
    std::uint64_t number = 0;
    std::memcpy(&number, message.bytes.data(), sizeof number);
    const std::string_view got(reinterpret_cast<const char*>(message.bytes.data()),
                               message.bytes.size());
    if (got != numbered(number, got.size())) return "a torn message";
    if (number < next_) return "message " + std::to_string(number) + " comes twice";
    if (number - next_ != message.lost) {
      return "in front of message " + std::to_string(number) + ", " +
             std::to_string(number - next_) + " are missing and " + std::to_string(message.lost) +
             " were counted";
    }
    next_ = number + 1;
    ++received_;
    reader_.release(message);
  }
}

std::string Follower::judge(std::uint64_t published) const {
  const std::uint64_t known = received_ + lost();
  if (known == published - joined_) return {};
  return "of " + std::to_string(published - joined_) + " messages " + std::to_string(received_) +
         " were received and " + std::to_string(lost()) + " counted as lost";
}

TopicExchange::TopicExchange(const BroadcastShape& here, const BroadcastShape& there,
                             LinkSide client)
    : here_(here),
      there_(there),
      client_(client),
      writer_(must(BroadcastSender::attach(here_.segments, kLink))) {
  here_.start(LinkSide::kSender);
  there_.start(LinkSide::kReceiver);
  followers_.emplace_back(there_.segments, kLink, 0);
}

// As many as there is room for.
void TopicExchange::publish(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const std::string text = numbered(published_, 8 + published_ % 13);
    if (writer_.try_send(std::as_bytes(std::span(text))) != Transfer::kDone) return;
    ++published_;
  }
}

void TopicExchange::connect(const Cut& cut, const Round& round) {
  Machine& client = client_ == LinkSide::kSender ? here_ : there_;
  Machine& server = client_ == LinkSide::kSender ? there_ : here_;
  connection_ = std::make_unique<Connection>(client, server, SessionOptions{}, cut);
  connection_->set_piece_bytes(round.piece_bytes);
  connection_->run();
}

void TopicExchange::restart(TopicKilled killed) {
  if (killed == TopicKilled::kSender || killed == TopicKilled::kBoth) {
    here_.kill();
    here_.start(LinkSide::kSender);
  }
  if (killed != TopicKilled::kReceiver && killed != TopicKilled::kBoth) return;
  there_.kill();
  if (while_dead) while_dead(there_.segments);
  there_.start(LinkSide::kReceiver);
}

std::string TopicExchange::read_all() {
  for (Follower& one : followers_) {
    if (std::string fault = one.read(); !fault.empty()) return fault;
  }
  return {};
}

std::string TopicExchange::run(const Round& round) {
  publish(kBefore);
  connect(round.cut, round);
  if (round.reads_early) {
    if (std::string fault = read_all(); !fault.empty()) return fault;
  }
  if (round.aborts) writer_.abort_published();
  publish(kWhileCut);
  connection_->run();
  connection_.reset();
  publish(kAfterCut);
  restart(round.killed);
  connect({}, round);
  // Readers that are waited for let it go on.
  for (int i = 0; i < 8; ++i) {
    if (std::string fault = read_all(); !fault.empty()) return fault;
    connection_->run();
  }
  const SessionEnd ends[] = {connection_->client().outcome(), connection_->server().outcome()};
  connection_.reset();
  for (const SessionEnd end : ends) {
    if (end != SessionEnd::kNone) return "the second connection ended";
  }
  for (const Follower& one : followers_) {
    if (std::string fault = one.judge(published_); !fault.empty()) return fault;
  }
  received_ = followers_.front().received();
  lost_ = followers_.front().lost();
  // One more, that is owed nothing of all this; the second goes.
  if (followers_.size() == kFollowersMax) followers_.erase(std::next(followers_.begin()));
  followers_.emplace_back(there_.segments, kLink, published_);
  return {};
}

TopicExchange::Lengths TopicExchange::measure() {
  publish(kBefore);
  connect({}, {});
  publish(kWhileCut);
  connection_->run();
  const Lengths lengths{connection_->moved_to_server(), connection_->moved_to_client()};
  connection_.reset();
  REQUIRE(read_all().empty());
  return lengths;
}

}  // namespace slipring::wire
