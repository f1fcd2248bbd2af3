#include "tests/model/run.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "core/error/check.h"

namespace slipring::model {

Run::Run() : memory_(choices_) {}

std::size_t Run::fibre(std::function<void()> body) {
  const std::size_t who = add(std::move(body), kNobody);
  memory_.begin_thread(who);
  start(who);
  return who;
}

std::size_t Run::successor(std::size_t predecessor, std::function<void()> body) {
  return add(std::move(body), predecessor);
}

std::size_t Run::add(std::function<void()> body, std::size_t predecessor) {
  check(actor_count_ < kMaxFibres, "more fibres than the model can hold");
  Actor& actor = actors_[actor_count_];
  if (!actor.stack) actor.stack = std::make_unique<Fibre>();
  actor.body = std::move(body);
  actor.predecessor = predecessor;
  actor.fate = Fate::kUnborn;
  actor.is_spared = false;
  actor.readings.clear();
  actor.old_readings.clear();
  actor.has_stored = false;
  actor.has_waited = false;
  return actor_count_++;
}

void Run::start(std::size_t who) {
  actors_[who].fate = Fate::kRunning;
  actors_[who].stack->start([this, who] {
    memory_.note(who, 0xbe9);  // one that has begun is in another state
    actors_[who].body();
    perhaps_die();
    actors_[who].fate = Fate::kOver;
    schedule();
  });
}

void Run::fail(const char* why) {
  wrong_ = why;
  if (is_inside()) wrong_ += " (fibre " + std::to_string(running_) + ")";
  end(Ending::kWrong);
}

// Reading the same once more would lead to where we are: such an execution is one with the shorter.
void Run::wait_for_news() {
  Actor& actor = actors_[running_];
  if (!actor.has_stored && actor.readings == actor.old_readings) end(Ending::kMerged);
  actor.old_readings.swap(actor.readings);
  actor.readings.clear();
  actor.has_stored = false;
  memory_.note(running_, 0x3a17);
  actor.fate = Fate::kWaiting;
  schedule();
  memory_.note(running_, 0x3a18);
  actor.fate = Fate::kRunning;
  actor.has_waited = true;
}

void Run::at_rest(std::uint64_t rest) {
  Actor& actor = actors_[running_];
  memory_.forget(running_, rest);
  actor.readings.clear();
  actor.has_stored = false;
  if (!actor.has_waited) actor.old_readings.clear();
  actor.has_waited = false;
}

void Run::before(bool is_shared) {
  if (++step_count_ > bounds_.steps) fail("too many steps: a call without end");
  perhaps_die();
  if (is_shared) schedule();
}

void Run::after(bool is_load) {
  Actor& actor = actors_[running_];
  if (is_load) {
    actor.readings.push_back(memory_.last_reading());
  } else {
    actor.has_stored = true;
  }
  after_plain();
}

void Run::after_plain() {
  if (memory_.wrong().empty()) return;
  wrong_ = memory_.wrong();
  end(Ending::kWrong);
}

// Who dies later without another step of its own dies the same death: nobody can tell.
void Run::perhaps_die() {
  Actor& actor = actors_[running_];
  if (actor.is_spared) return;
  const bool may_die = death_count_ < bounds_.deaths;
  const bool may_stop = stop_count_ < bounds_.stops;
  const std::size_t choice = choices_.pick(1U + (may_die ? 1U : 0U) + (may_stop ? 1U : 0U));
  if (choice == 0) return;
  if (choice == 1 && may_die) {
    die();
  } else {
    ++stop_count_;
    if (choices_.is_new()) ++new_stops_;
    actor.fate = Fate::kStopped;
    tell("stops");
  }
  schedule();
}

void Run::die() {
  ++death_count_;
  if (choices_.is_new()) ++new_deaths_;
  actors_[running_].fate = Fate::kDead;
  tell("dies");
  for (std::size_t i = 0; i < actor_count_; ++i) {
    if (actors_[i].predecessor != running_) continue;
    memory_.begin_successor(i, running_);
    start(i);
  }
}

bool Run::can_go_on(std::size_t who) const {
  const Actor& actor = actors_[who];
  if (actor.fate == Fate::kRunning) return true;
  return actor.fate == Fate::kWaiting &&
         std::any_of(actor.old_readings.begin(), actor.old_readings.end(),
                     [this](const Memory::Reading& reading) { return memory_.has_newer(reading); });
}

// Lets somebody go on; returns when it is the caller.
void Run::schedule() {
  if (states_ != nullptr && choices_.is_new() && !states_->insert(state())) end(Ending::kMerged);
  std::array<std::size_t, kMaxFibres> able{};
  std::size_t count = 0;
  const bool goes_on = running_ != kNobody && can_go_on(running_);
  if (goes_on) able[count++] = running_;
  if (!goes_on || preemption_count_ < bounds_.preemptions) {
    for (std::size_t i = 0; i < actor_count_; ++i) {
      if (i != running_ && can_go_on(i)) able[count++] = i;
    }
  }
  if (count == 0) {
    const bool waits = std::any_of(actors_.begin(), actors_.begin() + actor_count_,
                                   [](const Actor& a) { return a.fate == Fate::kWaiting; });
    if (waits && death_count_ + stop_count_ == 0) fail("everybody waits for ever");
    end(Ending::kSettled);
  }
  const std::size_t next = able[choices_.pick(count)];
  if (next == running_) return;
  if (goes_on) ++preemption_count_;
  Mark& from = running_ == kNobody ? main_ : actors_[running_].stack->mark();
  running_ = next;
  actors_[next].stack->enter(from);
}

std::uint64_t Run::state() const {
  // What everybody knows who may still do something: older stores are as good as gone.
  View known;
  known.seen.fill(UINT32_MAX);
  known.clock.fill(UINT32_MAX);
  for (std::size_t i = 0; i < actor_count_; ++i) {
    if (is_alive(i)) known.meet(memory_.view(i));
  }
  std::uint64_t hash = memory_.state(known) + mix(0x6057, play_->ghost());
  for (std::size_t i = 0; i < actor_count_; ++i) hash += state_of(i, known);
  hash = mix(mix(hash, death_count_), stop_count_);
  if (bounds_.preemptions < Bounds{}.preemptions) {
    hash = mix(mix(hash, preemption_count_), running_);
  }
  return hash;
}

std::uint64_t Run::state_of(std::size_t who, const View& known) const {
  const Actor& actor = actors_[who];
  std::uint64_t hash = mix(mix(0xac708, who), static_cast<std::uint64_t>(actor.fate));
  if (actor.fate == Fate::kUnborn) return hash;
  if (!is_alive(who)) {
    return play_->tells_all() ? hash : mix(hash, memory_.past(who));
  }
  hash = mix(hash, memory_.state_of(who, known));
  for (const Memory::Reading& reading : actor.readings) hash = mix(hash, reading.rank);
  hash = mix(hash, actor.readings.size() * 2 + (actor.has_stored ? 1 : 0));
  for (const Memory::Reading& reading : actor.old_readings) {
    hash = mix(mix(hash, reading.word), reading.rank);
  }
  return hash;
}

void Run::end(Ending ending) {
  running_ = kNobody;
  ending_ = ending;
  Fibre::leave_for(main_);
}

void Run::guarded(const std::function<void()>& part) {
  if (_setjmp(main_.at) == 0) part();
}

Run::Ending Run::execute(const std::function<std::unique_ptr<Play>(Run&)>& begin,
                         const Bounds& bounds, States* states) {
  current_ = this;
  memory_.reset();
  actor_count_ = 0;
  running_ = kNobody;
  bounds_ = bounds;
  states_ = states;
  ending_ = Ending::kSettled;
  death_count_ = stop_count_ = preemption_count_ = 0;
  new_deaths_ = new_stops_ = 0;
  step_count_ = 0;
  wrong_.clear();
  story_.clear();
  std::unique_ptr<Play> play;
  guarded([&] { play = begin(*this); });
  play_ = play.get();
  memory_.only_values_count = play_ != nullptr && play_->tells_all();
  if (ending_ == Ending::kSettled) schedule();  // returns when the execution has ended
  if (ending_ == Ending::kSettled) guarded([&] { play->settle(*this); });
  play_ = nullptr;
  current_ = nullptr;
  return ending_;
}

void Run::tell(const char* what) {
  if (is_tracing) story_ += "  " + std::to_string(running_) + " " + what + "\n";
}

void Run::tell(const char* what, const void* place, std::uint64_t value, Site site) {
  if (!is_tracing) return;
  std::array<char, 160> line{};
  const auto offset = place == nullptr ? 0 : memory_.offset_of(place);
  std::snprintf(line.data(), line.size(), "  %zu %-8s +%-5zu %#18llx  %s:%u\n", running_, what,
                offset, static_cast<unsigned long long>(value), site.file, site.line);
  story_ += line.data();
}

}  // namespace slipring::model
