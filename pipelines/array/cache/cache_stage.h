// The write-back cache's stage: front on one side, the RAID stage on the other.
//
// Order of things, each step settled before the next one is seen:
//   a write   blocks into fresh slots, shown one by one; applied_sequence; the reply; the buffer
//             back; the message released
//   a flush   everything dirty when it came is written to the array and answered; then the array's
//             own flush; then the reply
// Killed anywhere, a successor finds the blocks shown, and is given again what was not released.
//
// Requests are taken in the ring's order.  One that cannot go on (no room, a part of a block that
// must be read first) is waited for, and nothing behind it is taken: that is the back-pressure.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "pipelines/array/block_request.h"
#include "pipelines/array/cache/block_cache.h"
#include "pipelines/array/cache/cache_report.h"
#include "pipelines/array/cache/volumes.h"
#include "pipelines/array/serving_place.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/stage/stage.h"

namespace slipring::array {

// Deliberate faults, for tests that must see them.
enum class CacheFault : std::uint8_t {
  kNone,
  kReplayIgnoresSequence,  // what is delivered again is done again
  kFlushDoesNotWait,       // a flush is answered while blocks are dirty
  kFlushForgetsDirty,      // a flush asks the array for its own, and does not wait for dirty blocks
  kIgnoresFua,             // a durable write is answered as any other
  kForgetsMemory,          // a successor begins with an empty cache
  kWritesDuringZeroes,     // dirty blocks are written while zeroes go past the cache
};

struct CacheOptions {
  std::uint64_t dirty_max_percent = 75;           // of the slots; above that no writes are taken
  std::uint64_t dirty_start_percent = 25;         // above that blocks are written in the background
  std::uint64_t idle_write_ns = 500'000'000;      // and below it, after so long without requests
  std::uint64_t stripe_blocks = 1;                // of the array: what is written together
  std::vector<std::uint64_t> volume_sizes = {0};  // as parse_volumes() gives them
  CacheFault planted = CacheFault::kNone;
};

class CacheStage {
 public:
  CacheStage(Stage& stage, BlockCache& cache, const CacheOptions& options);

  // To the end; answers the process's status.
  int run();

 private:
  // A request that is taken and not finished.
  struct Pending {
    Message message;
    BlockRequest request;
    std::optional<std::uint32_t> slot;  // of the reply's data
    std::uint32_t fills = 0;            // that it waits for
    int fault = 0;                      // that it came with
    std::uint64_t flush_number = 0;     // not 0: durable when everything below it is on the array
    std::uint64_t flush_ticket = 0;     // the array's flush that answers it
    std::uint64_t done_blocks = 0;      // of kWriteZeroes, kTrim
    std::uint32_t extent_bytes = 0;     // of kBlockStatus, once it is known
    int error = 0;
    bool is_done = false;
  };
  // Blocks that are being read from the array.
  struct Fill {
    std::uint64_t position;
    std::uint64_t first_block;
    std::uint32_t count;
    Pending* reader;                // nullptr: for a write that needs the rest of a block
    std::vector<bool> is_outdated;  // a block: written meanwhile
    std::vector<std::uint8_t> extent_flags =
        {};  // of a block status: what the cache knows, a block
  };
  // Blocks that are being written to the array; none: its flush.
  struct WriteBack {
    std::uint64_t position;
    std::vector<WritingBlock> blocks;
    std::uint64_t ticket;
    bool is_direct = false;  // the answer is direct_'s
  };
  // Zeroes that go to the array past the cache; nothing else is written to it meanwhile.
  struct DirectZeroes {
    std::uint64_t first_block;
    std::uint64_t count;
    bool is_answered;
    int error;
  };

  // Each: whether something moved.
  bool hear_fills();
  bool hear_acks();
  bool take_requests();
  bool take_some_requests();
  bool settle_flushes();
  bool write_back();
  bool release_done();
  void take_commands();
  void sleep();
  int end();

  bool learn_size();
  // Whether it is done with or on its way; false: look again later, and take nothing meanwhile.
  bool start(Pending& pending);
  bool start_read(Pending& pending);
  bool start_write(Pending& pending);
  bool start_zeroes(Pending& pending);
  bool start_other(Pending& pending);
  // Of start_zeroes(): the next block, or the next many.  False: not now.
  bool zero_block(Pending& pending, std::uint64_t block);
  bool zero_directly(Pending& pending, std::uint64_t block, std::uint64_t count);
  // Whether less is written than by a write of as many bytes.
  [[nodiscard]] bool is_fast(const BlockRequest& request) const;
  bool start_status(Pending& pending);
  void take_status(const Fill& fill, const BlockReply& reply);
  bool begin_durable(Pending& pending);
  // Judges it as a request to its volume, and makes it one to the array.
  void locate(Pending& pending) const;
  void hear_aborts();
  // start(), unless it was aborted before it began.
  bool start_unless_aborted(Pending& pending);
  [[nodiscard]] int fault_of(const BlockRequest& request) const;
  [[nodiscard]] bool has_data(const BlockRequest& request);
  // As a whole, by us or a predecessor.
  [[nodiscard]] bool was_applied(const BlockRequest& request) const;

  // Whether the blocks that the range covers in part are there; begins to read those that are not.
  bool has_edges(std::uint64_t offset, std::uint64_t length);
  // False when the rest of the block has gone meanwhile: the request is begun anew.
  bool put(std::uint64_t block, std::uint64_t version, std::uint64_t from, std::uint64_t to,
           const std::byte* bytes, bool is_hole = false);
  bool fill(std::uint64_t first_block, std::uint32_t count, Pending* reader);
  void take_fill(const Fill& fill, const BlockReply& reply);
  void copy_out(Pending& pending, std::uint64_t block, const std::byte* bytes);

  void reply(Pending& pending);
  [[nodiscard]] bool is_dirty_hole(std::uint64_t block) const;
  bool send_run(std::span<const std::uint64_t> blocks);
  bool send_zeroes(std::uint64_t first_block, std::uint64_t count, WriteBack write);
  bool send_flush();
  [[nodiscard]] bool wants_writing();
  [[nodiscard]] std::vector<std::uint64_t> stripe_of(std::uint64_t block);
  bool give_up(const std::optional<LinkPeer>& offender, const char* who);

  Stage& stage_;
  BlockCache& cache_;
  CacheOptions options_;
  LinkReader& requests_;
  LinkWriter& replies_;
  LinkWriter& array_reads_;
  LinkReader& read_data_;
  LinkWriter& array_writes_;
  LinkReader& write_acks_;
  LinkReader* aborts_;  // nullptr: nobody aborts
  CacheReport report_;
  ServingPlace place_;
  std::uint64_t size_bytes_ = 0;
  std::uint64_t fast_zero_bytes_ = 0;  // as the array says; 0: no zeroes are fast
  std::vector<Volume> volumes_;
  std::deque<Pending> pending_;
  std::deque<Fill> fills_;
  std::deque<WriteBack> writes_;
  std::optional<DirectZeroes> direct_;
  std::uint32_t durable_count_ = 0;  // of pending_, those that wait for the array
  std::uint64_t next_ticket_ = 1;
  std::uint64_t answered_ticket_ = 0;
  std::uint64_t last_request_ns_ = 0;
  std::uint64_t retry_ns_ = 0;    // after the array has refused blocks
  bool is_last_waiting_ = false;  // the newest of pending_ cannot go on yet
  bool waits_for_reply_ = false;  // for a buffer of the replies
  bool is_edge_lost_ = false;     // a part of a block that cannot be read
  bool is_flushing_out_ = false;  // everything is to be written
  bool is_corrupt_ = false;
};

}  // namespace slipring::array
