// A subscriber's end of a topic: every message of every publisher.  Specified in TOPIC.md.
//
// Protocol.  Reads the topic's lanes in turns, at most kTopicQuantum messages of one before the
// next; each is a broadcast link with a place of ours.  look_for_lanes() joins those that came.
//
// Delivery, deaths, losses: as broadcast_receiver.h, of each lane.
//
// Allocates when a lane is joined, and at no other time.  One thread at a time.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error/result.h"
#include "core/ring/transfer.h"
#include "pipelines/link/broadcast_receiver.h"
#include "pipelines/link/topic_lanes.h"
#include "platform/memory/segment_directory.h"

namespace slipring {

inline constexpr std::uint32_t kTopicQuantum = 16;

// A message, copied out of its lane; valid until the next try_receive().
struct TopicMessage {
  BroadcastMessage message;  // position and loss are the lane's
  std::uint32_t lane = 0;
  LinkPeer sender;  // as BroadcastReceiver::look_at_publisher()
};

class TopicReader {
 public:
  // Joins lane 0 and the others that are there, `from` where it is said.  Requires: `directory`
  // outlives the object.  Errors: as BroadcastReceiver::attach(), of lane 0 or any other.
  static Result<TopicReader> attach(const SegmentDirectory& directory, std::string_view topic,
                                    BroadcastJoin from = BroadcastJoin::kNewest,
                                    MemoryLock memory_lock = MemoryLock::kTry) noexcept;

  // The next message of any lane.  kBlocked when there is none.  kCorruptPeer once for each lane
  // that has to be cut off, with its number in `message`.
  [[nodiscard]] Transfer try_receive(TopicMessage& message) noexcept;
  // Finishes the message and all before it in its lane.
  void release(const TopicMessage& message) noexcept;

  // Joins the lanes that have come since; we are owed all of them.  Answers whether there were any.
  // Errors: as attach().
  Result<bool> look_for_lanes() noexcept;

  // Whether try_receive() might not answer kBlocked.  Changes nothing.
  [[nodiscard]] bool has_message() const noexcept;
  // There have been publishers, and all of them have closed.  What they published before is seen
  // afterwards.
  [[nodiscard]] bool is_closed() const noexcept;
  // Living publishers.  Asks the kernel once a lane.  Errors: kSystem.
  [[nodiscard]] Result<std::uint32_t> count_publishers() noexcept;
  // Since we joined there was a publisher, by what was read and counted until now.
  [[nodiscard]] bool had_publisher() const noexcept;
  // One of those has not closed: with nobody left it has died.
  [[nodiscard]] bool has_unclosed() const noexcept;

  // What to sleep on until somebody publishes or closes in a lane that we have; valid until the
  // next call.
  [[nodiscard]] std::span<const WaitPoint> message_points() noexcept;

  // Every message that we were owed and did not get, of all lanes.
  [[nodiscard]] std::uint64_t lost_count() const noexcept;
  [[nodiscard]] std::uint32_t lane_count() const noexcept {
    return static_cast<std::uint32_t>(lanes_.size());
  }
  [[nodiscard]] bool is_cut(std::uint32_t lane) const noexcept { return lanes_[lane].is_cut; }

 private:
  struct Lane {
    BroadcastReceiver receiver;
    std::uint32_t number = 0;    // by which the lane is named
    LinkPeer sender = {};        // of what was read last
    bool had_publisher = false;  // while we were there
    bool is_cut = false;
  };

  TopicReader(const SegmentDirectory& directory, std::string_view topic,
              MemoryLock memory_lock) noexcept
      : directory_(&directory), topic_(topic), memory_lock_(memory_lock) {}
  Status join(std::uint32_t number, const BroadcastReadOptions& options) noexcept;
  Result<bool> join_missing(BroadcastReadOptions options) noexcept;
  [[nodiscard]] bool is_joined(std::uint32_t number) const noexcept;
  void name_sender(Lane& lane, TopicMessage& message) noexcept;
  void end_turn() noexcept;

  const SegmentDirectory* directory_;
  std::string topic_;
  MemoryLock memory_lock_;
  bool has_lanes_beside_ = false;
  std::vector<Lane> lanes_;
  std::vector<WaitPoint> points_;
  std::size_t at_ = 0;  // whose turn it is
  std::uint32_t taken_in_turn_ = 0;
};

}  // namespace slipring
