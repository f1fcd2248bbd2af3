#include "pipelines/array/raid/link_disks.h"

#include <errno.h>
#include <poll.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "core/error/check.h"
#include "platform/wait/clock.h"

namespace slipring::array {
namespace {

constexpr int kEndingLookMs = 1;
constexpr std::uint64_t kPlaceLookNs = 200'000;

DiskRequestKind kind_of(DiskOperation operation) noexcept {
  switch (operation) {
    case DiskOperation::kRead:
      return DiskRequestKind::kRead;
    case DiskOperation::kWrite:
      return DiskRequestKind::kWrite;
    case DiskOperation::kWriteDurable:
      return DiskRequestKind::kWriteDurable;
    case DiskOperation::kZero:
      return DiskRequestKind::kZero;
    case DiskOperation::kExtents:
      return DiskRequestKind::kExtents;
    case DiskOperation::kSync:
      break;
  }
  return DiskRequestKind::kSync;
}

}  // namespace

void LinkDisks::add(LinkWriter& requests, LinkReader& replies) {
  const std::string name = "disk" + std::to_string(members_.size());
  Member& member = members_.emplace_back();
  member.requests = &requests;
  member.replies = &replies;
  member.latency = stage_.gauge(name + "_latency_us");
}

void LinkDisks::cut(Member& member, DiskCommand& command) {
  command.error = member.is_gone ? ENXIO : 0;
  if (member.is_gone) return;
  // These bring no data, or little whatever their length.
  const bool is_whole =
      command.operation == DiskOperation::kZero || command.operation == DiskOperation::kExtents;
  const std::uint64_t most = is_whole ? UINT32_MAX
                                      : std::min(member.requests->pool()->buffer_bytes(),
                                                 member.replies->pool()->buffer_bytes());
  std::uint32_t at = 0;
  do {
    const auto length =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(command.length_bytes - at, most));
    member.waiting.push_back({&command, at, length, 0});
    at += length;
  } while (at < command.length_bytes);
}

bool LinkDisks::ask(Member& member) {
  bool has_asked = false;
  while (!member.waiting.empty()) {
    Piece& piece = member.waiting.front();
    const DiskCommand& command = *piece.command;
    std::span<std::byte> place;
    const Transfer answer = member.requests->try_reserve(sizeof(DiskRequest), place);
    if (answer == Transfer::kCorruptPeer) give_up(member, "its page holds impossible values");
    if (answer != Transfer::kDone) break;
    DiskRequest request{kNoBufferSlot, 0, command.offset_bytes + piece.at_bytes, piece.length_bytes,
                        kind_of(command.operation)};
    if (is_identifying_) request.kind = DiskRequestKind::kIdentify;
    const bool is_write =
        request.kind == DiskRequestKind::kWrite || request.kind == DiskRequestKind::kWriteDurable;
    std::uint32_t slot = 0;
    if (is_write) {
      PoolOwner& pool = *member.requests->pool();
      if (pool.try_acquire(slot) != Transfer::kDone) {
        member.requests->abandon();
        break;
      }
      std::memcpy(pool.bytes(slot).data(), command.from + piece.at_bytes, piece.length_bytes);
      const BufferHandle lent = pool.lend(slot);
      request.buffer_slot = lent.slot;
      request.buffer_generation = lent.generation;
    }
    std::memcpy(place.data(), &request, sizeof request);
    piece.position = member.requests->position();
    member.requests->commit(sizeof request);
    if (is_write) member.requests->pool()->drop(slot);
    member.asked.push_back(piece);
    member.waiting.pop_front();
    has_asked = true;
  }
  return has_asked;
}

bool LinkDisks::hear(Member& member) {
  bool has_heard = false;
  for (;;) {
    Message message;
    const Transfer answer = member.replies->try_peek(message);
    if (answer == Transfer::kCorruptPeer) give_up(member, "its ring holds impossible values");
    if (answer != Transfer::kDone) break;
    has_heard = true;
    DiskReply reply{};
    std::memcpy(&reply, message.bytes.data(), sizeof reply);
    // Below the first of ours: meant for our predecessor.
    const bool is_ours = !member.asked.empty() && message.position == member.asked.front().position;
    if (is_ours) {
      take(member, member.asked.front(), reply);
      member.asked.pop_front();
    }
    const BufferHandle data{reply.buffer_slot, reply.buffer_generation};
    if (member.replies->pool()->holds(data)) member.replies->give_back(data);
    member.replies->release(message);
  }
  return has_heard;
}

void LinkDisks::take(Member& member, const Piece& piece, const DiskReply& reply) {
  DiskCommand& command = *piece.command;
  if (reply.error != 0) {
    if (command.error == 0) command.error = static_cast<int>(std::min(reply.error, 4095U));
    return;
  }
  if (is_identifying_) {
    member.size_bytes = reply.size_bytes;
    return;
  }
  const bool is_read = command.operation == DiskOperation::kRead;
  if (!is_read && command.operation != DiskOperation::kExtents) return;
  const BufferHandle data{reply.buffer_slot, reply.buffer_generation};
  if (!member.replies->pool()->holds(data)) {
    command.error = EIO;
    return;
  }
  std::memcpy(command.into + piece.at_bytes, member.replies->pool()->bytes(data).data(),
              is_read ? piece.length_bytes : kDiskExtentsBytes);
}

void LinkDisks::give_up(Member& member, const char* why) {
  const auto number = static_cast<std::size_t>(&member - members_.data());
  stage_.log(Severity::kError, "disk %zu is used no more: %s", number, why);
  member.is_gone = true;
  member.size_bytes = 0;
  for (const std::deque<Piece>* pieces : {&member.waiting, &member.asked}) {
    for (const Piece& piece : *pieces) piece.command->error = ENXIO;
  }
  member.waiting.clear();
  member.asked.clear();
}

void LinkDisks::obey() {
  commands_.collect();
  for (std::uint32_t i = 0; i < members_.size(); ++i) {
    Member& member = members_[i];
    const bool is_waited_for = !member.waiting.empty() || !member.asked.empty();
    if (is_waited_for && commands_.has_failed(i)) give_up(member, "it was told to have failed");
  }
}

bool LinkDisks::is_over() const noexcept {
  return std::all_of(members_.begin(), members_.end(), [](const Member& member) {
    return member.waiting.empty() && member.asked.empty();
  });
}

void LinkDisks::note_latencies(std::uint64_t begin_ns) {
  static constexpr std::uint64_t kMeanOf = 16;
  for (Member& member : members_) {
    if (!member.is_timed || !member.waiting.empty() || !member.asked.empty()) continue;
    member.is_timed = false;
    const std::uint64_t took_ns = monotonic_ns() - begin_ns;
    member.mean_ns = member.mean_ns - member.mean_ns / kMeanOf + took_ns / kMeanOf;
    member.latency.set(member.mean_ns / 1000);
    if (took_ns <= slowest_ns_) continue;
    slowest_ns_ = took_ns;
    slowest_.set(took_ns / 1000);
    slowest_disk_.set(static_cast<std::uint64_t>(&member - members_.data()) + 1);
  }
}

std::uint64_t LinkDisks::only_one_waited_for() const noexcept {
  std::uint64_t found = 0;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    if (members_[i].waiting.empty() && members_[i].asked.empty()) continue;
    if (found != 0) return 0;
    found = i + 1;
  }
  return found;
}

void LinkDisks::exchange() {
  const std::uint64_t begin_ns = monotonic_ns();
  for (Member& member : members_) member.is_timed = !member.waiting.empty();
  for (;;) {
    bool has_moved = false;
    for (Member& member : members_) {
      if (!member.waiting.empty() && ask(member)) has_moved = true;
      if (hear(member)) has_moved = true;
      if (!member.is_gone && !member.asked.empty() && member.replies->is_finished()) {
        give_up(member, "its stage has finished");
      }
    }
    if (has_moved) note_latencies(begin_ns);
    if (is_over()) break;
    if (has_moved) continue;
    waits_for_.set(only_one_waited_for());
    if (commands_.has_new()) {
      obey();
      continue;
    }
    // Whoever asks us goes first: a stop ends this stage when its requests have ended.
    if (stage_.stop_requested()) poll(nullptr, 0, kEndingLookMs);
    // A disk that has answered all is about to give the place in its ring back, which rings nobody.
    const bool is_place_due = std::any_of(
        members_.begin(), members_.end(),
        [](const Member& member) { return member.asked.empty() && !member.waiting.empty(); });
    const auto has_answer = [this] {
      return commands_.has_new() ||
             std::any_of(members_.begin(), members_.end(), [](const Member& member) {
               return !member.is_gone && (member.replies->has_message() ||
                                          (!member.asked.empty() && member.replies->is_finished()));
             });
    };
    if (LinkReader* last = last_asked()) {
      stage_.wait_on(*last, has_answer);
    } else {
      stage_.wait(has_answer, is_place_due ? deadline_after(kPlaceLookNs) : kNoDeadline);
    }
  }
  waits_for_.set(0);
}

// Once everything is asked, all of it is waited for: a sleep that only the member which was asked
// last ends finds the others' answers there, most of the time.
LinkReader* LinkDisks::last_asked() noexcept {
  LinkReader* last = nullptr;
  for (Member& member : members_) {
    if (!member.waiting.empty()) return nullptr;
    if (!member.is_gone && !member.asked.empty()) last = member.replies;
  }
  return last;
}

void LinkDisks::run(std::span<DiskCommand> commands) {
  for (DiskCommand& command : commands) {
    check(command.member < members_.size(), "a member that there is");
    cut(members_[command.member], command);
  }
  exchange();
}

void LinkDisks::identify() {
  std::vector<DiskCommand> commands(members_.size());
  is_identifying_ = true;
  for (std::uint32_t member = 0; member < members_.size(); ++member) {
    commands[member].operation = DiskOperation::kSync;
    commands[member].member = member;
  }
  run(commands);
  is_identifying_ = false;
  for (const DiskCommand& command : commands) {
    if (command.error != 0) members_[command.member].size_bytes = 0;
  }
}

std::uint64_t LinkDisks::size_bytes(std::uint32_t member) {
  DiskCommand command;
  command.operation = DiskOperation::kSync;
  command.member = member;
  members_[member].is_gone = false;
  is_identifying_ = true;
  run({&command, 1});
  is_identifying_ = false;
  return command.error == 0 ? members_[member].size_bytes : 0;
}

}  // namespace slipring::array
