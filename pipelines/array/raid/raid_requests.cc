// The RAID stage's requests: reads and writes, many at a time.
#include <errno.h>

#include <cstring>

#include "pipelines/array/raid/raid_stage.h"
#include "pipelines/array/raid/range_request.h"
#include "pipelines/stage/error_text.h"

namespace slipring::array {
namespace {

constexpr std::size_t kReadsAtOnce = 64;
constexpr std::size_t kBlocksAtOnce = 512;
constexpr std::uint64_t kZeroesAtOnce = std::uint64_t{1} << 28;  // bytes

void give_back(LinkReader& requests, const BlockRequest& request) {
  const BufferHandle data{request.buffer_slot, request.buffer_generation};
  if (requests.pool() != nullptr && requests.pool()->holds(data)) requests.give_back(data);
}

}  // namespace

bool RaidStage::is_range(const BlockRequest& request) const {
  return is_whole_blocks(request, array_.block_count());
}

int RaidStage::fault_of(const BlockRequest& request) const {
  return is_range(request) && request.length <= kBlockBufferBytes ? 0 : EINVAL;
}

bool RaidStage::next(LinkReader& requests, const LinkWriter& replies, Message& message,
                     BlockRequest& request) {
  for (;;) {
    const Transfer answer = requests.try_peek(message);
    if (answer == Transfer::kCorruptPeer) complain(requests.offender());
    if (answer != Transfer::kDone) return false;
    std::memcpy(&request, message.bytes.data(), sizeof request);
    if (message.position >= replies.position()) return true;
    give_back(requests, request);
    requests.release(message);
  }
}

bool RaidStage::reserve(LinkWriter& replies, std::span<std::byte>& place) {
  for (;;) {
    switch (replies.try_reserve(sizeof(BlockReply), place)) {
      case Transfer::kDone:
        return true;
      case Transfer::kCorruptPeer:
        complain(replies.offender());
        return false;
      case Transfer::kBlocked:
        break;
    }
    if (replies.is_peer_closed()) return false;
    stage_.wait([&] { return replies.has_space(sizeof(BlockReply)) || replies.is_peer_closed(); },
                kNoDeadline, {&replies});
  }
}

void RaidStage::publish(LinkWriter& replies, const BlockReply& reply) {
  std::span<std::byte> place;
  if (!reserve(replies, place)) return;
  std::memcpy(place.data(), &reply, sizeof reply);
  replies.commit(sizeof reply);
}

bool RaidStage::serve_reads() {
  std::vector<Read> batch;
  Message message;
  BlockRequest request;
  PoolOwner& pool = *read_data_.pool();
  std::vector<ReadBlock> blocks;
  // A message that is looked at is answered, so a buffer comes first.
  std::uint32_t slot = 0;
  while (batch.size() < kReadsAtOnce && reads_.has_message() &&
         pool.try_acquire(slot) == Transfer::kDone) {
    if (!next(reads_, read_data_, message, request)) {
      pool.drop(slot);
      break;
    }
    Read& read = batch.emplace_back(Read{message, request, slot, 0});
    if (request.operation == BlockOperation::kDescribe) continue;
    if (request.operation == BlockOperation::kBlockStatus) {
      read.error = is_range(request) ? 0 : EINVAL;
      continue;
    }
    read.error = request.operation == BlockOperation::kRead ? fault_of(request) : EINVAL;
    if (read.error != 0) continue;
    for (std::uint32_t at = 0; at < request.length; at += kBlockBytes) {
      blocks.push_back({(request.offset + at) / kBlockBytes, pool.bytes(slot).data() + at, 0});
    }
  }
  if (batch.empty()) {
    if (reads_.has_message() && !is_corrupt_ && pool.lent_count() == pool.buffer_count()) {
      stage_.wait(
          [&] {
            return pool.lent_count() < pool.buffer_count() || writes_.has_message() ||
                   read_data_.is_peer_closed();
          },
          kNoDeadline, {&read_data_});
    }
    return false;
  }
  array_.read(blocks);
  std::size_t next_block = 0;
  for (Read& read : batch) {
    if (read.error == 0 && read.request.operation == BlockOperation::kRead) {
      for (std::uint32_t at = 0; at < read.request.length; at += kBlockBytes) {
        if (blocks[next_block++].error != 0) read.error = EIO;
      }
    }
    answer(read);
  }
  return true;
}

void RaidStage::answer(Read& read) {
  PoolOwner& pool = *read_data_.pool();
  BlockReply reply{kNoBufferSlot, 0, read.request.id, static_cast<std::uint32_t>(read.error), 0};
  if (read.error == 0) {
    reply.length = read.request.length;
    if (read.request.operation == BlockOperation::kDescribe) {
      const BlockExport description = this->description();
      std::memcpy(pool.bytes(*read.slot).data(), &description, sizeof description);
      reply.length = sizeof description;
    } else if (read.request.operation == BlockOperation::kBlockStatus) {
      reply.length = put_extents(array_, read.request, pool.bytes(*read.slot));
    }
    const BufferHandle lent = pool.lend(*read.slot);
    reply.buffer_slot = lent.slot;
    reply.buffer_generation = lent.generation;
  }
  publish(read_data_, reply);
  pool.drop(*read.slot);
  reads_.release(read.message);
}

bool RaidStage::serve_writes() {
  std::vector<Write> batch;
  std::vector<WriteBlock> blocks;
  std::unordered_set<std::uint64_t> seen;
  Message message;
  BlockRequest request;
  bool flushes = false;
  ZeroRun zeroes;
  while (!flushes && blocks.size() < kBlocksAtOnce && zeroes.length < kZeroesAtOnce) {
    if (held_write_) {
      message = held_write_->message;
      request = held_write_->request;
      held_write_.reset();
    } else if (!next(writes_, write_acks_, message, request)) {
      break;
    }
    Write write{message, request, 0};
    flushes = request.operation == BlockOperation::kFlush;
    if (request.operation == BlockOperation::kWriteZeroes) {
      // Zeroes and writes go after each other.
      if (!blocks.empty() || !zeroes.takes(request)) {
        held_write_ = write;
        break;
      }
      write.error = is_range(request) ? 0 : EINVAL;
      if (write.error == 0) zeroes.add(request);
    } else if (!flushes && zeroes.length != 0) {
      held_write_ = write;
      break;
    } else if (!flushes) {
      write.error = request.operation == BlockOperation::kWrite ? fault_of(request) : EINVAL;
      const BufferHandle data{request.buffer_slot, request.buffer_generation};
      const bool has_data = writes_.pool()->holds(data);
      // A predecessor gave the buffer back because it had written it, and died before saying so.
      const bool was_done = message.redelivered && !has_data;
      if (write.error == 0 && !has_data && !was_done) write.error = EINVAL;
      if (write.error == 0 && !was_done && !add_blocks(request, data, seen, blocks)) {
        // It writes a block anew: after the others.
        held_write_ = write;
        break;
      }
    }
    batch.push_back(write);
  }
  if (batch.empty()) return false;
  Status written = blocks.empty() ? Status() : array_.write(blocks);
  if (zeroes.length != 0) {
    written = array_.zero(zeroes.offset / kBlockBytes, zeroes.length / kBlockBytes);
  }
  if (written && flushes) written = array_.flush();
  if (!written) {
    stage_.log(Severity::kError, "writing: %s", describe_error(written.error()).c_str());
  }
  for (const Write& write : batch) {
    const int error = write.error != 0 ? write.error : written ? 0 : EIO;
    // Before the answer, so that who sees it finds the buffer free; an error is answered first.
    if (error == 0) give_back(writes_, write.request);
    publish(write_acks_,
            {kNoBufferSlot, 0, write.request.id, static_cast<std::uint32_t>(error), 0});
    give_back(writes_, write.request);
    writes_.release(write.message);
  }
  return true;
}

bool RaidStage::add_blocks(const BlockRequest& request, const BufferHandle& data,
                           std::unordered_set<std::uint64_t>& seen,
                           std::vector<WriteBlock>& blocks) {
  const std::span<const std::byte> bytes = writes_.pool()->bytes(data);
  const std::uint64_t first = request.offset / kBlockBytes;
  const std::uint64_t end = first + request.length / kBlockBytes;
  for (std::uint64_t block = first; block < end; ++block) {
    if (seen.contains(block)) return false;
  }
  for (std::uint64_t block = first; block < end; ++block) {
    seen.insert(block);
    blocks.push_back({block, bytes.data() + (block - first) * kBlockBytes});
  }
  return true;
}

BlockExport RaidStage::description() const {
  const std::uint64_t stripe_bytes = array_.layout().stripe_blocks() * kBlockBytes;
  return {array_.block_count() * kBlockBytes, kBlockBytes, kBlockBytes, kExportCanFastZero,
          static_cast<std::uint32_t>(stripe_bytes)};
}

}  // namespace slipring::array
