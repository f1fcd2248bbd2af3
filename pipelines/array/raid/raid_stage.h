// The RAID stage: one array of blocks over the disks' stages.
//
// Two pairs of links, reads and writes, so that reads do not stand behind writes.  Each request has
// exactly one reply, in the requests' order and at the same position of its ring; a successor goes
// on where the replies end.  Reads see every write that was answered before they were asked.
//
// A successor asks every disk first how large it is: the answers come after all that its
// predecessor had asked, so that nobody else writes any more.  Then it assembles the array as after
// a power cut.

#pragma once

#include <errno.h>
#include <poll.h>

#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "pipelines/array/block_request.h"
#include "pipelines/array/raid/raid_array.h"
#include "pipelines/array/raid/raid_report.h"
#include "pipelines/array/raid/range_request.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/stage/error_text.h"
#include "pipelines/stage/stage.h"

namespace slipring::array {

// One thread.
class RaidStage {
 public:
  RaidStage(Stage& stage, RaidArray array)
      : stage_(stage),
        array_(std::move(array)),
        reads_(*stage.input("reads")),
        read_data_(*stage.output("read_data")),
        writes_(*stage.input("writes")),
        write_acks_(*stage.output("write_acks")),
        report_(stage, array_.layout().members()) {}

  int run() {
    for (;;) {
      take_commands();
      bool has_moved = serve_reads();
      if (serve_writes()) has_moved = true;
      if (is_corrupt_) return 1;
      if (work_aside()) has_moved = true;
      report_.update(array_, scrub_row_);
      if (has_moved) continue;
      if (reads_.is_finished() && writes_.is_finished()) return end();
      // Whoever asks goes first: a stop ends this stage when its requests have ended.
      if (stage_.stop_requested()) poll(nullptr, 0, kEndingLookMs);
      stage_.wait([this] {
        return reads_.has_message() || writes_.has_message() || stage_.has_command() ||
               (reads_.is_finished() && writes_.is_finished());
      });
    }
  }

 private:
  int end() {
    const Status written = array_.is_broken() ? Status() : array_.checkpoint();
    if (!written) {
      stage_.log(Severity::kError, "the last checkpoint: %s",
                 describe_error(written.error()).c_str());
    }
    report_.update(array_, scrub_row_);
    return stage_.finish();
  }

  void complain(const std::optional<LinkPeer>& offender) {
    stage_.log(Severity::kError, "the stage before wrote impossible values: %s",
               offender_text(offender).c_str());
    is_corrupt_ = true;
  }

  // A member's number behind the verb, or nothing.
  [[nodiscard]] std::optional<std::uint32_t> member_in(std::string_view text,
                                                       std::string_view verb) const {
    if (!text.starts_with(verb)) return std::nullopt;
    text.remove_prefix(verb.size());
    for (std::uint32_t i = 0; i < array_.layout().members(); ++i) {
      if (text == std::to_string(i)) return i;
    }
    return std::nullopt;
  }

  void take_commands() {
    while (const std::optional<Command> command = stage_.next_command()) {
      const std::string& text = command->text;
      Status done;
      if (const auto failed = member_in(text, "fail ")) {
        done = array_.fail(*failed);
      } else if (const auto replaced = member_in(text, "replace ")) {
        done = array_.replace(*replaced);
      } else if (text == "scrub") {
        scrub_row_ = 0;
      } else if (text == "checkpoint") {
        done = array_.checkpoint();
      } else {
        stage_.log(Severity::kWarning,
                   "unknown command '%s'; there are: fail N, replace N, scrub, checkpoint",
                   text.c_str());
        continue;
      }
      if (done) {
        stage_.log(Severity::kInfo, "%s: done", text.c_str());
      } else {
        stage_.log(Severity::kWarning, "%s: %s", text.c_str(),
                   describe_error(done.error()).c_str());
      }
    }
  }

  // A little of a rebuild or a scrub; whether there is more.
  bool work_aside() {
    if (array_.is_broken()) return false;
    if (array_.is_rebuilding()) {
      Result<bool> more = array_.rebuild(kRowsAtOnce);
      if (!more) {
        stage_.log(Severity::kError, "rebuild: %s", describe_error(more.error()).c_str());
        return false;
      }
      if (!*more) stage_.log(Severity::kInfo, "the rebuild is done");
      return true;
    }
    if (scrub_row_ == kNoScrub) return false;
    static_cast<void>(array_.scrub(scrub_row_, kRowsAtOnce));
    scrub_row_ += kRowsAtOnce;
    if (scrub_row_ >= array_.layout().shape().row_count) {
      scrub_row_ = kNoScrub;
      report_.count_scrub();
      stage_.log(Severity::kInfo,
                 "the scrub is done: %llu blocks were mended so far, %llu are lost",
                 static_cast<unsigned long long>(array_.counters().repaired_blocks),
                 static_cast<unsigned long long>(array_.counters().lost_blocks));
    }
    return true;
  }

  [[nodiscard]] bool is_range(const BlockRequest& request) const {
    return is_whole_blocks(request, array_.block_count());
  }
  // 0 when the request is one of whole blocks within the array that fit a buffer.
  [[nodiscard]] int fault_of(const BlockRequest& request) const {
    return is_range(request) && request.length <= kBlockBufferBytes ? 0 : EINVAL;
  }

  // The next request of a link, unless it was answered already; those are done with.
  bool next(LinkReader& requests, const LinkWriter& replies, Message& message,
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

  static void give_back(LinkReader& requests, const BlockRequest& request) {
    const BufferHandle data{request.buffer_slot, request.buffer_generation};
    if (requests.pool() != nullptr && requests.pool()->holds(data)) requests.give_back(data);
  }

  // Waits for the place of a reply; false when nobody will read it.
  bool reserve(LinkWriter& replies, std::span<std::byte>& place) {
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

  void publish(LinkWriter& replies, const BlockReply& reply) {
    std::span<std::byte> place;
    if (!reserve(replies, place)) return;
    std::memcpy(place.data(), &reply, sizeof reply);
    replies.commit(sizeof reply);
  }

  struct Read {
    Message message;
    BlockRequest request;
    std::optional<std::uint32_t> slot;
    int error = 0;
  };

  bool serve_reads() {
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

  void answer(Read& read) {
    PoolOwner& pool = *read_data_.pool();
    BlockReply reply{kNoBufferSlot, 0, read.request.id, static_cast<std::uint32_t>(read.error), 0};
    if (read.error == 0) {
      reply.length = read.request.length;
      if (read.request.operation == BlockOperation::kDescribe) {
        const auto stripe_bytes =
            static_cast<std::uint32_t>(array_.layout().stripe_blocks() * kBlockBytes);
        const BlockExport description{array_.block_count() * kBlockBytes, kBlockBytes, kBlockBytes,
                                      kExportCanFastZero, stripe_bytes};
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

  struct Write {
    Message message;
    BlockRequest request;
    int error = 0;
  };

  bool serve_writes() {
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

  // False when one of the blocks is among them already.
  bool add_blocks(const BlockRequest& request, const BufferHandle& data,
                  std::unordered_set<std::uint64_t>& seen, std::vector<WriteBlock>& blocks) {
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

  static constexpr std::size_t kReadsAtOnce = 64;
  static constexpr std::size_t kBlocksAtOnce = 512;
  static constexpr std::uint64_t kZeroesAtOnce = std::uint64_t{1} << 28;  // bytes
  static constexpr std::uint64_t kRowsAtOnce = 64;  // of a rebuild or a scrub, between requests
  static constexpr int kEndingLookMs = 1;
  static constexpr std::uint64_t kNoScrub = UINT64_MAX;

  Stage& stage_;
  RaidArray array_;
  LinkReader& reads_;
  LinkWriter& read_data_;
  LinkReader& writes_;
  LinkWriter& write_acks_;
  RaidReport report_;
  std::optional<Write> held_write_;
  std::uint64_t scrub_row_ = kNoScrub;
  bool is_corrupt_ = false;
};

}  // namespace slipring::array
