// A stage in the front's place that knows what every sector must hold, and says when one does not.
//
// Reads, writes, writes with FUA, zeroes and flushes, whole blocks and parts of them, many under
// way at once, never two on the same sectors.  Each sector of 512 bytes says its number and its
// version.  Told to stop, it reads everything once more and writes down which versions it knows;
// another run begins from there.

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <list>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "pipelines/array/block_request.h"
#include "pipelines/link/link_layout.h"
#include "pipelines/stage/stage.h"
#include "platform/wait/clock.h"

namespace slipring::array::test {
namespace {

constexpr std::uint64_t kSectorBytes = 512;
constexpr std::uint64_t kSectorWords = kSectorBytes / 8;
constexpr std::uint64_t kLookEveryNs = 100'000'000;

StageDescription describe() {
  StageDescription description;
  description.program = "load";
  description.purpose = "verifying client of the array's back end, for tests";
  description.ports = {
      {"requests", PortKind::kOutput, true, "BlockRequests, with a pool"},
      {"replies", PortKind::kInput, true, "BlockReplies, with a pool"},
      {"control", PortKind::kCommands, false, "'stop'"},
  };
  description.options = {
      {"seed", "1", "of the random choices"},
      {"area_kib", "16384", "KiB that it uses, from the start"},
      {"depth", "24", "requests under way"},
      {"state", "load.state", "file of the versions that are known"},
      {"verify_only", "false", "read everything once, and end"},
  };
  return description;
}

std::uint64_t mixed(std::uint64_t word) noexcept {
  word = (word ^ (word >> 30)) * 0xbf58'476d'1ce4'e5b9;
  return word ^ (word >> 29);
}

void fill_sector(std::byte* bytes, std::uint64_t sector, std::uint64_t version) noexcept {
  std::uint64_t words[kSectorWords] = {};
  if (version != 0) {
    words[0] = version;
    words[1] = sector;
    for (std::uint64_t i = 2; i < kSectorWords; ++i) words[i] = mixed(version * 4096 + sector + i);
  }
  std::memcpy(bytes, words, sizeof words);
}

struct Operation {
  BlockRequest request;
  std::uint64_t first;  // sectors
  std::uint64_t count;
  std::uint64_t version;
};

class Load {
 public:
  explicit Load(Stage& stage)
      : stage_(stage),
        requests_(*stage.output("requests")),
        replies_(*stage.input("replies")),
        random_(static_cast<std::uint64_t>(stage.option_number("seed", 0, INT64_MAX))),
        depth_(static_cast<std::size_t>(stage.option_number("depth", 1, 128))),
        versions_(static_cast<std::size_t>(stage.option_number("area_kib", 64, 1 << 24)) * 2),
        answered_(stage.counter("answered")),
        written_(stage.counter("answered_writes")),
        zeroed_much_(stage.counter("large_zeroes")),
        checked_(stage.counter("sectors_checked")),
        strays_(stage.counter("stray_replies")),
        violations_(stage.counter("violations")) {}

  int run() {
    std::ifstream state(stage_.option("state"), std::ios::binary);
    if (state) {
      state.read(reinterpret_cast<char*>(versions_.data()),
                 static_cast<std::streamsize>(versions_.size() * sizeof versions_[0]));
      newest_ = *std::max_element(versions_.begin(), versions_.end());
    }
    bool is_ending = stage_.option_flag("verify_only");
    for (;;) {
      while (const std::optional<Command> command = stage_.next_command()) is_ending = true;
      is_ending = is_ending || stage_.stop_requested();
      bool has_moved = hear();
      while (under_way_.size() < depth_ && (is_ending ? read_on() : begin())) has_moved = true;
      if (is_ending && under_way_.empty() && swept_ == versions_.size()) return end();
      if (has_moved) continue;
      stage_.wait([this] { return replies_.has_message(); }, deadline_after(kLookEveryNs),
                  {&requests_});
    }
  }

 private:
  int end() {
    std::ofstream state(stage_.option("state"), std::ios::binary | std::ios::trunc);
    state.write(reinterpret_cast<const char*>(versions_.data()),
                static_cast<std::streamsize>(versions_.size() * sizeof versions_[0]));
    stage_.log(Severity::kInfo, "%llu answers, %llu sectors compared, %llu violations",
               static_cast<unsigned long long>(answered_.get()),
               static_cast<unsigned long long>(checked_.get()),
               static_cast<unsigned long long>(violations_.get()));
    stage_.finish();
    return violations_.get() == 0 ? 0 : 1;
  }

  bool is_free(std::uint64_t first, std::uint64_t count) const {
    return std::none_of(under_way_.begin(), under_way_.end(), [&](const Operation& other) {
      return first < other.first + other.count && other.first < first + count;
    });
  }

  // The next piece of the sweep at the end; false when there is none now.
  bool read_on() {
    if (swept_ == versions_.size()) return false;
    const std::uint64_t count =
        std::min<std::uint64_t>(kBlockBufferBytes / kSectorBytes, versions_.size() - swept_);
    if (!is_free(swept_, count)) return false;
    if (!send(BlockOperation::kRead, 0, swept_, count)) return false;
    swept_ += count;
    return true;
  }

  bool begin() {
    const std::uint64_t dice = random_() % 100;
    if (dice < 3) return send(BlockOperation::kFlush, 0, 0, 0);
    if (wants_much_ || random_() % 400 == 0) return zero_much();
    const std::uint64_t sizes[] = {8, 8, 8, 16, 64, 384, 512, 1 + random_() % 20};
    const std::uint64_t count = sizes[random_() % 8];
    std::uint64_t first = random_() % (versions_.size() - count);
    if (count % 8 == 0) first -= first % 8;
    if (!is_free(first, count)) return false;
    const std::uint8_t flags = random_() % 20 == 0 ? kForceUnitAccess : 0;
    if (dice < 50) return send(BlockOperation::kRead, 0, first, count);
    if (dice < 54) return send(BlockOperation::kWriteZeroes, flags, first, count);
    // Of a block that is trimmed in part nothing is promised.
    if (dice < 58 && count % 8 == 0) return send(BlockOperation::kTrim, flags, first, count);
    return send(BlockOperation::kWrite, flags, first, count);
  }

  // Many stripes, so many that the cache lets them pass; with nothing else under way at first.
  bool zero_much() {
    wants_much_ = !under_way_.empty();
    if (wants_much_) return false;
    const std::uint64_t count = std::min<std::uint64_t>(versions_.size(), 8200 + random_() % 8000);
    const std::uint64_t first = random_() % (versions_.size() - count + 1);
    if (!send(BlockOperation::kWriteZeroes, 0, first, count)) return false;
    zeroed_much_.add();
    return true;
  }

  bool send(BlockOperation operation, std::uint8_t flags, std::uint64_t first,
            std::uint64_t count) {
    std::span<std::byte> place;
    if (requests_.try_reserve(sizeof(BlockRequest), place) != Transfer::kDone) return false;
    BlockRequest request{};
    request.buffer_slot = kNoBufferSlot;
    std::uint32_t slot = 0;
    const std::uint64_t version = ++newest_;
    if (operation == BlockOperation::kWrite) {
      PoolOwner& pool = *requests_.pool();
      if (pool.try_acquire(slot) != Transfer::kDone) {
        requests_.abandon();
        return false;
      }
      for (std::uint64_t i = 0; i < count; ++i) {
        fill_sector(pool.bytes(slot).data() + i * kSectorBytes, first + i, version);
      }
      const BufferHandle lent = pool.lend(slot);
      request.buffer_slot = lent.slot;
      request.buffer_generation = lent.generation;
    }
    request.id = ++next_id_;
    request.sequence = next_id_;
    request.offset = first * kSectorBytes;
    request.length = static_cast<std::uint32_t>(count * kSectorBytes);
    request.operation = operation;
    request.flags = flags;
    under_way_.push_back(
        {request, first, count, operation == BlockOperation::kWrite ? version : 0});
    std::memcpy(place.data(), &request, sizeof request);
    requests_.commit(sizeof request);
    if (operation == BlockOperation::kWrite) requests_.pool()->drop(slot);
    return true;
  }

  bool hear() {
    bool has_moved = false;
    Message message;
    while (replies_.try_peek(message) == Transfer::kDone) {
      has_moved = true;
      BlockReply reply{};
      std::memcpy(&reply, message.bytes.data(), sizeof reply);
      const auto found =
          std::find_if(under_way_.begin(), under_way_.end(),
                       [&](const Operation& one) { return one.request.id == reply.id; });
      const BufferHandle data{reply.buffer_slot, reply.buffer_generation};
      if (found == under_way_.end()) {
        strays_.add();
      } else {
        take(*found, reply, data);
        under_way_.erase(found);
        answered_.add();
      }
      if (replies_.pool()->holds(data)) replies_.give_back(data);
      replies_.release(message);
    }
    return has_moved;
  }

  void take(const Operation& operation, const BlockReply& reply, const BufferHandle& data) {
    if (reply.error != 0) {
      complain(operation.first, "is answered with an error", reply.error);
      return;
    }
    if (operation.request.operation == BlockOperation::kRead) {
      if (!replies_.pool()->holds(data) || reply.length != operation.request.length) {
        complain(operation.first, "is answered without its data", reply.length);
        return;
      }
      compare(operation, replies_.pool()->bytes(data).data());
    } else if (operation.request.operation != BlockOperation::kFlush) {
      std::fill_n(versions_.begin() + static_cast<std::ptrdiff_t>(operation.first), operation.count,
                  operation.version);
      written_.add();
    }
  }

  void compare(const Operation& operation, const std::byte* bytes) {
    for (std::uint64_t i = 0; i < operation.count; ++i) {
      const std::uint64_t sector = operation.first + i;
      std::byte wanted[kSectorBytes];
      fill_sector(wanted, sector, versions_[sector]);
      checked_.add();
      if (std::memcmp(wanted, bytes + i * kSectorBytes, kSectorBytes) == 0) continue;
      std::uint64_t found = 0;
      std::memcpy(&found, bytes + i * kSectorBytes, sizeof found);
      complain(sector, "has another version", found);
      return;
    }
  }

  void complain(std::uint64_t sector, const char* what, std::uint64_t number) {
    violations_.add();
    stage_.log(Severity::kError, "violation: sector %llu %s: %llu (wanted version %llu)",
               static_cast<unsigned long long>(sector), what,
               static_cast<unsigned long long>(number),
               static_cast<unsigned long long>(versions_[sector]));
  }

  Stage& stage_;
  LinkWriter& requests_;
  LinkReader& replies_;
  std::mt19937_64 random_;
  std::size_t depth_;
  std::vector<std::uint64_t> versions_;  // a sector: of the last write that was answered
  std::list<Operation> under_way_;
  std::uint64_t newest_ = 0;
  std::uint64_t next_id_ = 0;
  std::uint64_t swept_ = 0;
  bool wants_much_ = false;  // zero_much(), once nothing is under way
  Board::Number answered_;
  Board::Number written_;
  Board::Number zeroed_much_;
  Board::Number checked_;
  Board::Number strays_;
  Board::Number violations_;
};

}  // namespace
}  // namespace slipring::array::test

int main(int argc, char** argv) {
  int exit_status = 0;
  const std::unique_ptr<slipring::Stage> stage =
      slipring::Stage::start(argc, argv, slipring::array::test::describe(), exit_status);
  if (stage == nullptr) return exit_status;
  return slipring::array::test::Load(*stage).run();
}
