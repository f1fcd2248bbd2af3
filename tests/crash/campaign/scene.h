// A scene: one kind of ring, the roles of those who use it, and the judgement over a round.
//
// A round.  begin() makes the ring anew; then lives are born, killed and replaced (driver.h) until
// there were enough deaths.  At the end producers send a last few messages and leave, consumers
// leave when nothing more comes, and judge() compares what each life wrote down.
#pragma once

#include <time.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/ring/transfer.h"
#include "tests/crash/campaign/journal.h"

namespace slipring::campaign {

inline constexpr std::uint32_t kMaxRoles = 8;
inline constexpr std::uint32_t kMaxBooks = 4;  // of each sort
inline constexpr std::size_t kRingBytes = std::size_t{1} << 20;
// What each producer sends at the end of a round, undisturbed: a ring that a death has stopped up
// cannot pass them.
inline constexpr std::uint32_t kLastMessages = 300;

enum class Wrong : std::uint32_t {
  kLost,        // committed, or taken and not finished, and never seen (again)
  kDuplicated,  // came twice without a mark, or after it was finished
  kTorn,
  kOrder,
  kInvented,  // never sent
  kMark,      // marked, and no dead consumer can have held it
  kLeaked,
  kCorrupt,  // a ring called an honest peer corrupt, or refused a successor
  kHang,
  kCrash,
};
inline constexpr std::uint32_t kWrongCount = 10;
[[nodiscard]] const char* name_of(Wrong wrong);

// A mistake planted into how a scene uses its ring, which the judgement must see.
enum class Plant : std::uint32_t {
  kNone,
  kLost,         // slots: finished before it is dealt with
  kRepeat,       // slots: finished late, without having said that it was taken
  kTorn,         // slots: published before all of it is written
  kOrder,        // slots: two messages change places
  kHang,         // slots: nothing is ever finished
  kUnmarked,     // records: a successor forgets what its predecessor had taken
  kFalseMark,    // records: everything is marked
  kLeak,         // pool-slots: a lent buffer is recorded nowhere
  kNoRecovery,   // mpmc: what the dead consumer held is settled and thrown away
  kWrongReaper,  // shared-pool: the reaper takes everything for sent
  kMiscount,     // broadcast-over: a reader keeps its losses to itself
  kHasty,        // consumers leave by a look from before the drain
};
inline constexpr std::uint32_t kPlantCount = 13;
[[nodiscard]] const char* name_of(Plant plant);

// Counts of a scene, summed over rounds and processes.
struct Tally {
  std::atomic<std::uint64_t> rounds;
  std::atomic<std::uint64_t> kills;
  std::atomic<std::uint64_t> kills_by_role[kMaxRoles];
  std::atomic<std::uint64_t> kills_in[kOpCount];
  std::atomic<std::uint64_t> kills_together;  // one after the other without a pause, all roles
  std::atomic<std::uint64_t> messages;
  std::atomic<std::uint64_t> redelivered;
  std::atomic<std::uint64_t> maybe_committed;
  std::atomic<std::uint64_t> maybe_vanished;
  std::atomic<std::uint64_t> in_hands;   // popped for good by a consumer that died with it
  std::atomic<std::uint64_t> told_lost;  // broadcast: as the reader was told
  std::atomic<std::uint64_t> wrong[kWrongCount];
};

inline constexpr std::size_t kSayingBytes = 240;
inline constexpr std::uint32_t kMaxSayings = 16;

// The words of the first violations, for people.
struct Sayings {
  std::atomic<std::uint32_t> count;
  char texts[kMaxSayings][kSayingBytes];
};

// What a scene's process and its lives share.
struct Stage {
  std::atomic<std::uint32_t> phase;   // a Phase
  std::atomic<std::uint32_t> enough;  // a journal is nearly full
  std::atomic<std::uint32_t> clock;   // for stamps
  std::uint64_t seed;                 // of the round
  Note ops[kMaxRoles];                // an Op
  Note starts[kMaxRoles];
  ProducerBook producers[kMaxBooks];
  ConsumerBook consumers[kMaxBooks];
  std::uint8_t known[kMaxBooks][kMaxIds];  // the judge's: of each message
  std::uint32_t at_position[kMaxIds * 2];  // the judge's: broadcast
  alignas(4096) std::byte ring[kRingBytes];
};

enum class Phase : std::uint32_t {
  kRun,
  kFinish,       // producers send kLastMessages and leave
  kDrainRelays,  // relays leave when nothing more comes
  kDrain,        // consumers leave when nothing more comes
};

// One scene's means, in its process and in its lives.
struct Context {
  Stage* stage = nullptr;
  Tally* tally = nullptr;
  Sayings* sayings = nullptr;
  Plant plant = Plant::kNone;
  const char* scene = "";
  const char* directory = "";  // for links

  // Counts a violation and keeps its words.
  void report(Wrong wrong, const char* what, std::uint64_t a = 0, std::uint64_t b = 0) const;
  // Who sees a phase sees what those did whose leaving began it.
  [[nodiscard]] Phase phase() const {
    return static_cast<Phase>(stage->phase.load(std::memory_order_acquire));
  }
};

// A life of a role, in its own process.
class Life {
 public:
  Life(const Context& context, std::uint32_t role, std::uint64_t seed)
      : context_(&context), role_(role), chance_(seed), dies_waiting_(chance_.one_in(8)) {}

  [[nodiscard]] const Context& context() const { return *context_; }
  [[nodiscard]] Stage& stage() const { return *context_->stage; }
  [[nodiscard]] std::uint32_t role() const { return role_; }
  [[nodiscard]] Chance& chance() { return chance_; }
  void now(Op op) { stage().ops[role_].set(static_cast<std::uint32_t>(op)); }

  // A violation seen by the life itself, which ends by it.
  [[noreturn]] void fail(Wrong wrong, const char* what, std::uint64_t a = 0, std::uint64_t b = 0);
  template <typename T>
  [[nodiscard]] auto must(T result, const char* what) {
    if (!result) {
      fail(Wrong::kCorrupt, what, static_cast<std::uint64_t>(result.error().code),
           result.error().found);
    }
    return std::move(result).value();
  }

  // From now on this life ends in so many nanoseconds, or so long after its next message.
  void doom(std::uint64_t span_ns, bool after_message);
  // A message has been moved.
  void moved() {
    if (doom_ns_ != 0) [[unlikely]]
      doom(doom_ns_, false);
  }

  // Nothing to do just now: lets others run, now and then.
  void idle();

  // Whether a producer goes on, having sent up to `next`.
  [[nodiscard]] bool goes_on(const Sender& sender);
  // Whether a consumer that has just found nothing looks again.  It leaves by a look that it began
  // knowing that everybody before it had left (`last`, or a later phase): one that was off the
  // processor between its look and this question would leave behind what was sent meanwhile.
  [[nodiscard]] bool stays(Phase last = Phase::kDrain);
  [[nodiscard]] bool has_room(const Taker& taker) {
    if (taker.has_room()) return true;
    stage().enough.store(1, std::memory_order_relaxed);
    moved();  // a death ends the round
    return context_->phase() != Phase::kRun;
  }

 private:
  const Context* context_;
  std::uint32_t role_;
  Chance chance_;
  std::uint32_t idle_count_ = 0;
  std::uint32_t finish_at_ = 0;
  bool dies_waiting_;  // may be killed while it has nothing to do
  bool has_timer_ = false;
  bool looks_last_ = false;  // knows that nothing more is sent
  timer_t timer_{};
  std::uint64_t doom_ns_ = 0;  // to be set going by the next message
};

enum class RoleKind : std::uint32_t { kProducer, kConsumer, kRelay };

struct Role {
  const char* name;
  RoleKind kind;
};

class Scene {
 public:
  virtual ~Scene() = default;
  [[nodiscard]] virtual const char* name() const = 0;
  [[nodiscard]] virtual std::span<const Role> roles() const = 0;
  // Makes the ring anew.  Zeroed: the stage's ring bytes that the last round used, and its books.
  virtual void begin(const Context& context) = 0;
  // Opens the books of a life that is about to be born.
  virtual void open_books(const Context& context, std::uint32_t role) = 0;
  // Whether a successor has to have the kernel's word for the death of its predecessor, and so may
  // be born before the dead one is reaped.
  [[nodiscard]] virtual bool has_certificates() const { return false; }
  // In the life's own process, until there is no more to do.
  virtual void play(Life& life) = 0;
  // Whether somebody has to recover what the dead one left, before it has a successor.
  [[nodiscard]] virtual bool needs_reaper() const { return false; }
  // In the reaper's own process; may be killed and done again.
  virtual void recover(Life& life, std::uint32_t /*dead*/) { (void)life; }
  // Once all have left.
  virtual void judge(const Context& context) = 0;
  // What the ring itself shows, to stderr; for a round that is found wrong, or does not end.
  virtual void tell(const Context& /*context*/) const {}
  virtual void end(const Context& /*context*/) {}
};

// All scenes, in the order of the table.
[[nodiscard]] std::span<Scene* const> all_scenes();

}  // namespace slipring::campaign
