// Participants of a shared pool at work, any of whom dies or is stopped at an access to shared
// memory, the reaper too; and the census that counts each buffer in exactly one place, the one that
// the rings and the living say.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "core/pool/pool_recovery.h"
#include "core/pool/shared_pool.h"
#include "tests/core/pool/shared_pool_memory.h"

namespace slipring {

using Pool = BasicSharedPool<WatchedAtomics>;

inline constexpr std::uint32_t kActors = 4;
inline constexpr std::size_t kRingRoom = 3;

enum class Op : std::uint32_t {
  kAcquire,
  kGiveBack,
  kSend,
  kReceive,
  kShare,
  kHold,
  kLetGo,
  kRetire,
  kReclaim,
  kReturnCache,
  kReplay,
};
inline constexpr std::uint32_t kOpCount = 11;

// Bugs of a reaper, which the checks below must see.
enum class Plant { kNone, kNeverCarried, kAlwaysCarried, kWipesIntentFirst, kWipesLivingMarks };

// What befalls the reaper itself, somewhere on its way.
enum class Reaper { kDies, kIsStopped };

// What the rings show; it outlives everybody.
struct Published {
  struct Shown {
    PoolHandle handle;
    std::uint32_t owner;
  };
  std::array<std::deque<PoolHandle>, kActors> rings;  // ring i is read by actor i
  std::vector<Shown> board;                           // a broadcast ring's contents
};

struct Actor {
  std::optional<Pool> pool;
  std::vector<PoolHandle> owned;
  std::vector<PoolHandle> held;
};

class World {
 public:
  World(std::uint64_t seed, std::uint32_t buffer_count, Plant plant = Plant::kNone)
      : blocks_({buffer_count, kActors, 64}), random_(seed), plant_(plant) {
    for (std::uint32_t i = 0; i < kActors; ++i) actors_[i].pool.emplace(blocks_.attach(i));
  }

  void perform(std::uint32_t who, Op op) {
    ++op_count;
    switch (op) {
      case Op::kAcquire:
        return acquire(actors_[who]);
      case Op::kGiveBack:
        return give_back(actors_[who]);
      case Op::kSend:
        return send(actors_[who]);
      case Op::kReceive:
        return receive(who);
      case Op::kShare:
        return share(who);
      case Op::kHold:
        return hold(actors_[who]);
      case Op::kLetGo:
        return let_go(actors_[who]);
      case Op::kRetire:
        return retire(who);
      case Op::kReclaim:
        actors_[who].pool->reclaim();
        return;
      case Op::kReturnCache:
        return actors_[who].pool->return_cache();
      case Op::kReplay:
        return replay(actors_[who]);
    }
  }
  void perform_any(std::uint32_t who) { perform(who, static_cast<Op>(pick(kOpCount))); }

  // `who` dies just before its access number `at` of `op`; the reaper dies before its access number
  // `reaper_at`, and another does it again.  Answers whether the two places were reached.
  std::pair<bool, bool> die(std::uint32_t who, Op op, std::uint64_t at, std::uint64_t reaper_at,
                            Reaper reaper = Reaper::kDies) {
    PoolPicture<WatchedAtomics> picture;
    Published published;
    access_watch.arm(at, [&] {
      picture.take(blocks_);
      published = published_;
    });
    perform(who, op);
    const bool was_reached = access_watch.disarm();
    if (was_reached) {
      picture.put_back(blocks_);
      published_ = published;
    }
    ++death_count;
    actors_[who] = {};
    expect(blocks_.try_attach(who).ok() || has_left_something(who), "refused for no reason");
    access_watch.arm(reaper_at, [&] {
      if (reaper == Reaper::kIsStopped) return others_work(who, 30);
      picture.take(blocks_);
    });
    recover(who);
    const bool reaper_reached = access_watch.disarm();
    if (reaper_reached && reaper == Reaper::kDies) {
      ++death_count;
      picture.put_back(blocks_);
      recover(who);
    }
    Result<Pool> successor = blocks_.try_attach(who);
    expect(successor.ok(), "the successor cannot attach");
    if (successor) actors_[who].pool.emplace(*successor);
    return {was_reached, reaper_reached};
  }

  // All but `who` go on with their work.
  void others_work(std::uint32_t who, std::uint32_t step_count) {
    for (std::uint32_t step = 0; step < step_count; ++step) {
      if (step % kActors != who) perform_any(step % kActors);
    }
  }

  // Compares every place with what the rings and the living say.
  void check_all() {
    const PoolCensus census = blocks_.census();
    ++census_count;
    std::size_t owned = 0;
    std::size_t cached = 0;
    std::size_t in_flight = 0;
    for (std::uint32_t i = 0; i < kActors; ++i) {
      if (!actors_[i].pool) return;  // only after a violation
      owned += actors_[i].owned.size();
      cached += actors_[i].pool->cached_count();
      in_flight += published_.rings[i].size();
      for (const PoolHandle& handle : actors_[i].owned) {
        expect(actors_[i].pool->owns(handle), "a living participant has lost its buffer");
        expect(is_stamped(handle), "an owned buffer's bytes changed");
      }
      for (const PoolHandle& handle : actors_[i].held) {
        expect(is_stamped(handle), "a held buffer's bytes changed");
      }
    }
    expect(census.owned == owned, "owned buffers");
    expect(census.cached == cached, "cached buffers");
    expect(census.in_flight == in_flight, "buffers in flight");
    expect(census.shared == published_.board.size(), "shared buffers");
    expect(census.impossible == 0, "impossible words");
    expect(sum_of(census) == blocks_.geometry.buffer_count, "the sum");
  }

  // Everything is finished: every buffer is free again.
  void finish() {
    for (std::uint32_t i = 0; i < kActors && violation_count == 0; ++i) {
      while (!published_.rings[i].empty() && violation_count == 0) receive(i);
      while (!actors_[i].owned.empty() && violation_count == 0) give_back(actors_[i]);
      while (!actors_[i].held.empty() && violation_count == 0) let_go(actors_[i]);
    }
    for (std::uint32_t i = 0; i < kActors && violation_count == 0; ++i) {
      while (has_shown(i)) retire(i);
    }
    for (Actor& actor : actors_) {
      if (violation_count != 0) return;
      actor.pool->reclaim();
      actor.pool->return_cache();
    }
    check_all();
    expect(blocks_.census().free == blocks_.geometry.buffer_count, "not all came back");
  }

  [[nodiscard]] std::uint32_t pick(std::size_t count) {
    return static_cast<std::uint32_t>(random_() % count);
  }

  std::uint64_t op_count = 0;
  std::uint64_t death_count = 0;
  std::uint64_t census_count = 0;
  std::uint64_t violation_count = 0;
  std::uint64_t refused_count = 0;
  std::string first_violation;

 private:
  void expect(bool holds, const char* what) {
    if (holds) return;
    if (++violation_count == 1) first_violation = what;
  }

  // Takes a random one out.
  PoolHandle take(std::vector<PoolHandle>& handles) {
    const std::size_t at = pick(handles.size());
    const PoolHandle handle = handles[at];
    handles.erase(handles.begin() + static_cast<std::ptrdiff_t>(at));
    return handle;
  }
  void stamp(const PoolHandle& handle, std::span<std::byte> bytes) {
    stamps_[handle.bits] = ++stamp_;
    write_pattern(bytes, stamp_);
  }
  [[nodiscard]] bool is_stamped(const PoolHandle& handle) {
    const std::span<const std::byte> bytes{
        blocks_.buffers.data() + handle.slot() * blocks_.geometry.buffer_bytes, 64};
    return has_pattern(bytes, stamps_[handle.bits]);
  }
  [[nodiscard]] bool has_shown(std::uint32_t owner) const {
    for (const Published::Shown& shown : published_.board) {
      if (shown.owner == owner) return true;
    }
    return false;
  }
  [[nodiscard]] bool has_left_something(std::uint32_t who) const {
    std::uint64_t left =
        blocks_.parts().record(blocks_.geometry, who).sending.load(std::memory_order_relaxed);
    left |= blocks_.parts().marks(blocks_.geometry, who)->load(std::memory_order_relaxed);
    for (std::uint32_t slot = 0; slot < blocks_.geometry.buffer_count; ++slot) {
      const BufferWord word{blocks_.raw_word(slot).load(std::memory_order_relaxed)};
      const bool is_his =
          word.is(BufferState::kCached, who + 1) || word.is(BufferState::kOwned, who + 1);
      left |= is_his ? 1U : 0U;
    }
    return left != 0;
  }

  void acquire(Actor& actor) {
    PoolHandle handle;
    if (actor.pool->try_acquire(handle) != Transfer::kDone) return;
    stamp(handle, actor.pool->bytes(handle));
    actor.owned.push_back(handle);
    history_.push_back(handle);
  }
  void give_back(Actor& actor) {
    if (actor.owned.empty()) return;
    expect(actor.pool->give_back(take(actor.owned)), "an own buffer is not taken back");
  }
  void send(Actor& actor) {
    if (actor.owned.empty()) return;
    std::deque<PoolHandle>& ring = published_.rings[pick(kActors)];
    const PoolHandle handle = take(actor.owned);
    const auto publish = [&](const PoolHandle& sent) {
      stamps_[sent.bits] = stamps_[handle.bits];
      access_watch.access();
      if (ring.size() == kRingRoom) return Transfer::kBlocked;
      ring.push_back(sent);
      access_watch.access();
      history_.push_back(sent);
      return Transfer::kDone;
    };
    const Transfer answer = actor.pool->send(handle, 17, publish);
    expect(answer != Transfer::kCorruptPeer, "an own buffer is not sent");
    if (answer == Transfer::kBlocked) actor.owned.push_back(handle);
  }
  void receive(std::uint32_t who) {
    std::deque<PoolHandle>& ring = published_.rings[who];
    if (ring.empty()) return;
    const PoolHandle handle = ring.front();
    expect(actors_[who].pool->claim(handle), "a delivered handle is refused");
    expect(is_stamped(handle), "a delivered buffer's bytes are not those sent");
    actors_[who].owned.push_back(handle);
    access_watch.access();
    ring.pop_front();
  }
  void share(std::uint32_t who) {
    if (actors_[who].owned.empty()) return;
    const PoolHandle handle = take(actors_[who].owned);
    const PoolHandle shared = actors_[who].pool->share(handle);
    expect(!shared.is_null(), "an own buffer is not shared");
    stamps_[shared.bits] = stamps_[handle.bits];
    access_watch.access();
    published_.board.push_back({shared, who});
    history_.push_back(shared);
  }
  void hold(Actor& actor) {
    if (published_.board.empty()) return;
    const PoolHandle handle = published_.board[pick(published_.board.size())].handle;
    for (const PoolHandle& held : actor.held) {
      if (held == handle) return;
    }
    if (actor.pool->hold(handle)) {
      expect(is_stamped(handle), "a held buffer's bytes are not those shared");
      actor.held.push_back(handle);
      return;
    }
    for (const Published::Shown& shown : published_.board) {
      expect(!(shown.handle == handle), "a buffer on the board is not held");
    }
  }
  void let_go(Actor& actor) {
    if (actor.held.empty()) return;
    expect(actor.pool->let_go(take(actor.held)), "a hold is not ended");
  }
  void retire(std::uint32_t who) {
    for (std::size_t i = 0; i < published_.board.size(); ++i) {
      const Published::Shown shown = published_.board[i];
      if (shown.owner != who) continue;
      being_retired_.push_back(shown.handle);
      published_.board.erase(published_.board.begin() + static_cast<std::ptrdiff_t>(i));
      expect(actors_[who].pool->retire(shown.handle), "an own shared buffer is not retired");
      being_retired_.pop_back();
      return;
    }
  }
  // A handle of the past is refused by everything.
  void replay(Actor& actor) {
    if (history_.empty()) return;
    const PoolHandle old = history_[pick(history_.size())];
    for (const PoolHandle& handle : being_retired_) {
      if (handle == old) return;
    }
    for (const Published::Shown& shown : published_.board) {
      if (shown.handle == old) return;
    }
    for (std::uint32_t i = 0; i < kActors; ++i) {
      for (const PoolHandle& handle : published_.rings[i]) {
        if (handle == old) return;
      }
      for (const PoolHandle& handle : actors_[i].owned) {
        if (handle == old) return;
      }
      for (const PoolHandle& handle : actors_[i].held) {
        if (handle == old) return;
      }
    }
    Pool& pool = *actor.pool;
    const auto publish = [](const PoolHandle&) { return Transfer::kDone; };
    expect(!pool.claim(old) && !pool.give_back(old) && pool.share(old).is_null(), "a stale move");
    expect(pool.send(old, 0, publish) == Transfer::kCorruptPeer, "a stale send");
    expect(!pool.hold(old) && !pool.let_go(old) && !pool.retire(old), "a stale hold");
    ++refused_count;
  }

  void recover(std::uint32_t dead) {
    const auto carried = [&](const PoolDoubt& doubt) noexcept {
      if (plant_ == Plant::kNeverCarried) return false;
      if (plant_ == Plant::kAlwaysCarried) return true;
      for (const Published::Shown& shown : published_.board) {
        if (shown.handle == doubt.handle) return true;
      }
      for (const std::deque<PoolHandle>& ring : published_.rings) {
        for (const PoolHandle& handle : ring) {
          if (handle == doubt.handle) return true;
        }
      }
      return false;
    };
    if (plant_ == Plant::kWipesIntentFirst) {
      blocks_.parts().record(blocks_.geometry, dead).sending.store(0, std::memory_order_relaxed);
    }
    if (plant_ == Plant::kWipesLivingMarks) {
      const std::uint32_t living = (dead + 1) % kActors;
      blocks_.parts().marks(blocks_.geometry, living)->store(0, std::memory_order_relaxed);
    }
    expect(
        recover_participant<WatchedAtomics>(blocks_.parts(), blocks_.geometry, dead, carried).ok(),
        "recovery");
  }

  SharedPoolBlocks<WatchedAtomics> blocks_;
  std::mt19937_64 random_;
  Plant plant_;
  std::array<Actor, kActors> actors_;
  Published published_;
  std::vector<PoolHandle> history_;
  std::vector<PoolHandle> being_retired_;  // off the board, by their words perhaps still shared
  std::map<std::uint64_t, std::uint64_t> stamps_;  // what the bytes of a name must be
  std::uint64_t stamp_ = 0;
};

}  // namespace slipring
