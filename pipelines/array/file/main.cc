// The simplest back end: each export is one file, and each request one system call on it.
//
// One request at a time, in the order in which they came.  A request is released once its reply is
// published; a successor that is given it again does it again, which changes nothing, since none
// that came after it has been done.

#include <errno.h>

#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "pipelines/array/block_request.h"
#include "pipelines/array/file/aborted_requests.h"
#include "pipelines/array/file/file_export.h"
#include "pipelines/array/pooled_links.h"
#include "pipelines/array/serving_place.h"
#include "pipelines/stage/error_text.h"
#include "pipelines/stage/stage.h"
#include "pipelines/stage/stage_program.h"

namespace slipring::array {
namespace {

StageDescription describe() {
  StageDescription description;
  description.program = "file";
  description.purpose = "Keeps the blocks of each export in one file.";
  description.ports = {
      {"requests", PortKind::kInput, true, "BlockRequests, slots, with a pool"},
      {"replies", PortKind::kOutput, true, "BlockReplies, slots, with a pool"},
      {"aborts", PortKind::kInput, false, "BlockAborts, slots"},
  };
  description.options = {
      {"paths", "disk.img", "files or block devices, parted by commas, one an export"},
      {"create_mib", "0", "size in MiB of a file that is missing, 0 to 1048576; 0: not made"},
  };
  description.bell_order = BellOrder::kFence;
  return description;
}

class FileBackEnd {
 public:
  explicit FileBackEnd(Stage& stage)
      : stage_(stage),
        requests_(*stage.input("requests")),
        replies_(*stage.output("replies")),
        aborted_(stage.input("aborts")),
        reads_(stage.counter("reads")),
        writes_(stage.counter("writes")),
        others_(stage.counter("others")),
        errors_(stage.counter("errors")),
        aborted_requests_(stage.counter("aborted_requests")),
        read_bytes_(stage.counter("read_bytes")),
        written_bytes_(stage.counter("written_bytes")) {}

  int run() {
    if (!open_files()) return 1;
    while (!stage_.stop_requested()) {
      Message message;
      if (aborted_.hear() == Transfer::kCorruptPeer) return give_up();
      switch (requests_.try_peek(message)) {
        case Transfer::kDone:
          if (!answer(message)) return failed_ ? 1 : stage_.finish();
          break;
        case Transfer::kCorruptPeer:
          return give_up();
        case Transfer::kBlocked:
          aborted_.passed(UINT64_MAX);
          if (requests_.is_finished()) return stage_.finish();
          stage_.set_lingering(place_.is_served_singly());
          stage_.wait([this] {
            return requests_.has_message() || requests_.is_finished() || aborted_.has_message();
          });
          break;
      }
    }
    return stage_.finish();
  }

 private:
  bool open_files() {
    const std::string words = stage_.option("paths");
    const auto create_bytes =
        static_cast<std::uint64_t>(stage_.option_number("create_mib", 0, 1 << 20)) << 20;
    for (std::size_t begin = 0; begin <= words.size();) {
      const std::size_t end = std::min(words.find(',', begin), words.size());
      const std::string path = words.substr(begin, end - begin);
      Result<FileExport> opened = FileExport::open(path, create_bytes);
      if (!opened) {
        stage_.log(Severity::kError, "cannot serve %s: %s", path.c_str(),
                   stage_.explain(opened.error(), path).c_str());
        return false;
      }
      exports_.push_back(std::move(opened).value());
      begin = end + 1;
    }
    return true;
  }

  // False when the run is over.
  bool answer(const Message& message) {
    BlockRequest request;
    // Once: the writer could still change it.
    std::memcpy(&request, message.bytes.data(), sizeof request);
    place_.heed(request);
    const BufferHandle data{request.buffer_slot, request.buffer_generation};
    const bool has_data = requests_.pool()->holds(data);
    // Its data went back after its reply was published.
    const bool is_answered =
        message.redelivered && !has_data && request.operation == BlockOperation::kWrite;
    // What a predecessor had taken it may have begun.
    const bool is_dropped = !message.redelivered && aborted_.covers(request);
    if (is_dropped) aborted_requests_.add();
    if (!is_answered && !execute(request, data, has_data, is_dropped)) return false;
    if (has_data) requests_.give_back(data);
    requests_.release(message);
    aborted_.passed(request.sequence);
    return true;
  }

  bool execute(const BlockRequest& request, const BufferHandle& data, bool has_data,
               bool is_dropped) {
    std::span<std::byte> place;
    if (!reserve(place)) return false;
    BlockReply reply{kNoBufferSlot, 0, request.id, 0, 0};
    std::optional<std::uint32_t> slot;
    if (brings_data(request.operation) && !is_dropped) {
      slot = acquire();
      if (!slot) return false;
    }
    const int error = is_dropped ? ESHUTDOWN : perform(request, data, has_data, slot, reply.length);
    reply.error = static_cast<std::uint32_t>(error);
    if (reply.error != 0) {
      errors_.add();
      reply.length = 0;
    }
    if (slot && reply.error == 0) {
      const BufferHandle lent = replies_.pool()->lend(*slot);
      reply.buffer_slot = lent.slot;
      reply.buffer_generation = lent.generation;
    }
    std::memcpy(place.data(), &reply, sizeof reply);
    replies_.commit(sizeof reply);
    if (slot) replies_.pool()->drop(*slot);
    return true;
  }

  static bool brings_data(BlockOperation operation) {
    return operation == BlockOperation::kRead || operation == BlockOperation::kBlockStatus ||
           operation == BlockOperation::kDescribe;
  }

  bool reserve(std::span<std::byte>& place) {
    switch (stage_.reserve(replies_, sizeof(BlockReply), place, [] { return false; })) {
      case Reserved::kDone:
        return true;
      case Reserved::kCorruptPeer:
        return complain();
      case Reserved::kStopped:
      case Reserved::kInterrupted:
      case Reserved::kPeerClosed:
        break;
    }
    return false;
  }

  bool complain() {
    stage_.log(Severity::kError, "the front wrote impossible values into its page: %s",
               offender_text(replies_.offender()).c_str());
    failed_ = true;
    return false;
  }

  int give_up() {
    stage_.log(Severity::kError, "the front wrote impossible values into its page: %s",
               offender_text(requests_.offender()).c_str());
    return 1;
  }

  // A buffer for a reply's data; nothing when the run is over.
  std::optional<std::uint32_t> acquire() {
    PoolOwner& pool = *replies_.pool();
    std::uint32_t slot = 0;
    for (;;) {
      const Transfer answer = pool.try_acquire(slot);
      if (answer == Transfer::kDone) return slot;
      if (answer == Transfer::kCorruptPeer) {
        complain();
        return std::nullopt;
      }
      if (stage_.stop_requested() || replies_.is_peer_closed()) return std::nullopt;
      stage_.wait([&] { return pool.lent_count() < pool.buffer_count(); }, kNoDeadline,
                  {&replies_});
    }
  }

  int perform(const BlockRequest& request, const BufferHandle& data, bool has_data,
              const std::optional<std::uint32_t>& slot, std::uint32_t& length) {
    if (request.export_number >= exports_.size()) return ENOENT;
    const FileExport& file = exports_[request.export_number];
    const bool is_durable = (request.flags & kForceUnitAccess) != 0;
    const std::span<std::byte> buffer =
        slot ? replies_.pool()->bytes(*slot) : std::span<std::byte>();
    switch (request.operation) {
      case BlockOperation::kRead:
        if (request.length > buffer.size()) return EINVAL;
        reads_.add();
        read_bytes_.add(request.length);
        length = request.length;
        return file.read(request.offset, buffer.first(request.length));
      case BlockOperation::kWrite: {
        if (!has_data) return EINVAL;
        const std::span<const std::byte> bytes = requests_.pool()->bytes(data);
        if (request.length > bytes.size()) return EINVAL;
        writes_.add();
        written_bytes_.add(request.length);
        return file.write(request.offset, bytes.first(request.length), is_durable);
      }
      default:
        others_.add();
        return perform_other(request, file, is_durable, buffer, length);
    }
  }

  int perform_other(const BlockRequest& request, const FileExport& file, bool is_durable,
                    std::span<std::byte> buffer, std::uint32_t& length) {
    switch (request.operation) {
      case BlockOperation::kFlush:
        return file.flush();
      case BlockOperation::kTrim:
        return file.trim(request.offset, request.length, is_durable);
      case BlockOperation::kWriteZeroes:
        return file.write_zeroes(request.offset, request.length, request.flags);
      case BlockOperation::kCache:
        return file.will_need(request.offset, request.length);
      case BlockOperation::kBlockStatus: {
        const std::span<BlockExtent> extents(reinterpret_cast<BlockExtent*>(buffer.data()),
                                             buffer.size() / sizeof(BlockExtent));
        const bool is_one = (request.flags & kOneExtent) != 0;
        const std::size_t count = file.extents(request.offset, request.length,
                                               extents.first(is_one ? 1 : kExtentsAtOnce));
        length = static_cast<std::uint32_t>(count * sizeof(BlockExtent));
        return count != 0 ? 0 : EINVAL;
      }
      case BlockOperation::kDescribe: {
        const BlockExport description = file.description();
        std::memcpy(buffer.data(), &description, sizeof description);
        length = sizeof description;
        return 0;
      }
      default:
        return ENOTSUP;
    }
  }

  // Clients ask again for what lies behind.
  static constexpr std::size_t kExtentsAtOnce = 1024;

  Stage& stage_;
  LinkReader& requests_;
  LinkWriter& replies_;
  AbortedRequests aborted_;
  ServingPlace place_;
  std::vector<FileExport> exports_;
  Board::Number reads_;
  Board::Number writes_;
  Board::Number others_;
  Board::Number errors_;
  Board::Number aborted_requests_;
  Board::Number read_bytes_;
  Board::Number written_bytes_;
  bool failed_ = false;
};

int serve(Stage& stage) {
  const LinkReader* aborts = stage.input("aborts");
  if (aborts != nullptr && !has_slots(stage, "aborts", aborts->shape(), sizeof(BlockAbort))) {
    return 2;
  }
  const bool is_fit =
      have_pools(stage, stage.input("requests")->shape(), stage.output("replies")->shape(),
                 {sizeof(BlockRequest), sizeof(BlockReply), kBlockBufferBytes});
  return is_fit ? FileBackEnd(stage).run() : 2;
}

}  // namespace
}  // namespace slipring::array

int main(int argc, char** argv) {
  return slipring::run_stage(argc, argv, slipring::array::describe(), slipring::array::serve);
}
