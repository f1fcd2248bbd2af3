#include "tests/crash/campaign/round.h"

#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <string>

namespace slipring::campaign {
namespace {

// An alarm each so many seconds; 0: none.
void set_alarm(std::uint32_t seconds) {
  itimerval at{};
  at.it_value.tv_sec = at.it_interval.tv_sec = static_cast<time_t>(seconds);
  setitimer(ITIMER_REAL, &at, nullptr);
}

constexpr std::uint32_t kTakeOverNs = 20'000;

constexpr const char* kOpNames[kOpCount] = {"nothing", "attach", "push",   "take",
                                            "finish",  "wait",   "recover"};

}  // namespace

// From a few microseconds, which end in the take-over, to two milliseconds.
std::uint64_t Round::life_ns() {
  const std::uint32_t kind = chance_.below(8);
  if (kind < 1) return chance_.below(kTakeOverNs);
  if (kind < 3) return kTakeOverNs + chance_.below(50'000);
  if (kind < 6) return kTakeOverNs + chance_.below(300'000);
  return kTakeOverNs + chance_.below(1'500'000);
}

void Round::live(std::uint32_t role, bool is_reaper, std::uint64_t life_ns, std::uint64_t seed) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGALRM, SIG_DFL);
  Life life(context_, role, seed);
  life.now(is_reaper ? Op::kRecover : Op::kAttach);
  // Most deaths wait for the first message, so that they do not find a life which merely waits for
  // another to be born; the others come while it attaches.
  if (life_ns != 0) life.doom(life_ns, !is_reaper && life_ns >= kTakeOverNs);
  if (is_reaper) {
    scene_.recover(life, role);
  } else {
    scene_.play(life);
  }
  _exit(0);
}

void Round::bear(std::uint32_t role, bool is_doomed) {
  const std::uint64_t seed = chance_.next();
  const std::uint64_t span_ns = is_doomed ? life_ns() : 0;
  scene_.open_books(context_, role);
  context_.stage->ops[role].set(0);
  const pid_t pid = fork();
  if (pid == 0) live(role, false, span_ns, seed);
  have(role, pid, State::kAlive, is_doomed);
}

void Round::have(std::uint32_t role, pid_t pid, State state, bool is_doomed) {
  if (pid < 0) {
    context_.report(Wrong::kCrash, "no process for a life: role, errno", role,
                    static_cast<std::uint64_t>(errno));
    is_broken_ = true;
    return;
  }
  actors_[role] = {pid, state, is_doomed};
}

void Round::bear_reaper(std::uint32_t role, bool is_doomed) {
  const std::uint64_t seed = chance_.next();
  const std::uint64_t span_ns = is_doomed ? chance_.below(40'000) : 0;
  context_.stage->ops[role].set(0);
  const pid_t pid = fork();
  if (pid == 0) live(role, true, span_ns, seed);
  have(role, pid, State::kRecovering, is_doomed);
}

void Round::count_kill(std::uint32_t role, std::uint32_t op) {
  ++kill_count_;
  Tally& tally = *context_.tally;
  ++tally.kills;
  ++tally.kills_by_role[role];
  ++tally.kills_in[op % kOpCount];
}

void Round::replace(std::uint32_t role) {
  for (Leaving& leaving : leaving_) {
    if (leaving.pid != 0) continue;
    leaving = {actors_[role].pid, role, 0};
    kill(leaving.pid, SIGKILL);
    leaving.op = context_.stage->ops[role].get();
    bear(role, is_running_);
    return;
  }
}

bool Round::are_gone(RoleKind kind) const {
  for (std::uint32_t i = 0; i < scene_.roles().size(); ++i) {
    if (scene_.roles()[i].kind == kind && actors_[i].state != State::kGone) return false;
  }
  return true;
}

bool Round::take_death(std::uint32_t role, int status) {
  Actor& actor = actors_[role];
  const bool was_reaper = actor.state == State::kRecovering;
  actor.pid = 0;
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
    count_kill(role, context_.stage->ops[role].get());
    is_running_ = is_running_ && kill_count_ < options_.kills_in_round &&
                  context_.stage->enough.load(std::memory_order_relaxed) == 0;
    if (is_running_ && chance_.one_in(16)) {
      ++context_.tally->kills_together;
      for (Actor& other : actors_) {
        if (other.pid != 0) kill(other.pid, SIGKILL);
      }
    }
    if (scene_.has_certificates() && is_running_ && chance_.one_in(4)) {
      const std::uint32_t other = chance_.below(static_cast<std::uint32_t>(scene_.roles().size()));
      if (actors_[other].pid != 0) replace(other);
    }
    if (scene_.needs_reaper()) {
      bear_reaper(role, is_running_ && chance_.one_in(2));
    } else {
      bear(role, is_running_);
    }
    return true;
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    if (was_reaper) {
      bear(role, is_running_);
    } else {
      actor.state = State::kGone;
    }
    return true;
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 3) {
    context_.report(Wrong::kCrash, "a life ended by itself: role, wait status", role,
                    static_cast<std::uint64_t>(status));
  }
  actor.state = State::kGone;
  return false;
}

bool Round::has_moved() {
  // Each of them only grows.
  std::uint64_t movement = kill_count_;
  for (std::uint32_t i = 0; i < kMaxBooks; ++i) {
    const ProducerBook& sent = context_.stage->producers[i];
    const ConsumerBook& got = context_.stage->consumers[i];
    if (sent.life_count != 0) movement += sent.lives[sent.life_count - 1].committed.get();
    if (got.life_count != 0) movement += got.lives[got.life_count - 1].end.get();
    movement += std::uint64_t{sent.life_count} + got.life_count;
  }
  const bool has_moved = movement != movement_;
  movement_ = movement;
  return has_moved;
}

void Round::tell() const {
  std::string state;
  for (std::uint32_t i = 0; i < scene_.roles().size(); ++i) {
    state += std::string(" ") + scene_.roles()[i].name + "=" +
             (actors_[i].state == State::kGone ? "gone" : kOpNames[context_.stage->ops[i].get()]);
  }
  std::fprintf(stderr, "%s: phase %u, kills %u:%s\n", scene_.name(),
               static_cast<unsigned>(context_.phase()), kill_count_, state.c_str());
  for (std::uint32_t i = 0; i < kMaxBooks; ++i) {
    const ProducerBook& sent = context_.stage->producers[i];
    const ConsumerBook& got = context_.stage->consumers[i];
    if (sent.life_count != 0) {
      const ProducerLife& life = sent.lives[sent.life_count - 1];
      std::fprintf(stderr, "  producer %u: life %u, base %u, committed %u, attempted %u\n", i,
                   sent.life_count, life.base, life.committed.get(), life.attempted.get());
    }
    if (got.life_count != 0) {
      const ConsumerLife& life = got.lives[got.life_count - 1];
      std::fprintf(stderr, "  consumer %u: life %u, log from %u to %u, finished %u, taken up to %u",
                   i, got.life_count, life.begin, life.end.get(), life.finished.get(),
                   life.taken_end.get());
      std::fprintf(stderr, ", last logged %u\n",
                   life.end.get() == 0 ? 0 : got.log[life.end.get() - 1].id);
    }
  }
  scene_.tell(context_);
}

bool Round::wait_for_one() {
  if (is_broken_) return false;
  int status = 0;
  pid_t pid = 0;
  do {
    pid = waitpid(-1, &status, 0);
  } while (pid < 0 && errno == EINTR && has_moved());
  if (pid < 0) {
    context_.report(Wrong::kHang, "no end of the round: phase, kills",
                    static_cast<std::uint64_t>(context_.phase()), kill_count_);
    return false;
  }
  for (std::uint32_t i = 0; i < scene_.roles().size(); ++i) {
    if (actors_[i].pid == pid) return take_death(i, status);
  }
  for (Leaving& leaving : leaving_) {
    if (leaving.pid != pid) continue;
    leaving.pid = 0;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) count_kill(leaving.role, leaving.op);
  }
  return true;
}

void Round::kill_all() {
  for (Actor& actor : actors_) {
    if (actor.pid == 0) continue;
    kill(actor.pid, SIGKILL);
    waitpid(actor.pid, nullptr, 0);
    actor.pid = 0;
  }
  for (Leaving& leaving : leaving_) {
    if (leaving.pid != 0) waitpid(leaving.pid, nullptr, 0);
    leaving.pid = 0;
  }
}

bool Round::play() {
  set_alarm(options_.deadline_seconds);
  go_on_to(Phase::kRun);
  for (std::uint32_t i = 0; i < scene_.roles().size(); ++i) bear(i, true);
  bool is_well = true;
  while (is_well && is_running_) is_well = wait_for_one();
  go_on_to(Phase::kFinish);
  while (is_well && !are_gone(RoleKind::kProducer)) is_well = wait_for_one();
  go_on_to(Phase::kDrainRelays);
  while (is_well && !are_gone(RoleKind::kRelay)) is_well = wait_for_one();
  go_on_to(Phase::kDrain);
  while (is_well && !are_gone(RoleKind::kConsumer)) is_well = wait_for_one();
  set_alarm(0);
  kill_all();
  return is_well;
}

}  // namespace slipring::campaign
