#include "tests/crash/campaign/driver.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <new>

#include "tests/crash/campaign/round.h"

namespace slipring::campaign {
namespace {

constexpr std::size_t kMaxScenes = 32;

[[nodiscard]] double now_seconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

template <typename T>
[[nodiscard]] T* shared_new() {
  void* memory = mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  return static_cast<T*>(memory);  // zeroed, and made of words and bytes only
}

// Interrupts waitpid(), and nothing more.
void on_alarm(int) {}

// What the last round used, back to zero.
void clear(Stage& stage) {
  stage.phase.store(0);
  stage.enough.store(0);
  stage.clock.store(0);
  for (std::uint32_t i = 0; i < kMaxBooks; ++i) {
    ProducerBook& book = stage.producers[i];
    if (book.life_count != 0) {
      const std::uint32_t count = book.lives[book.life_count - 1].attempted.get();
      std::memset(stage.known[i], 0, count);
      std::memset(stage.at_position, 0, sizeof stage.at_position[0] * 2 * count);
    }
    book.life_count = 0;
    book.has_stamps = 0;
    stage.consumers[i].life_count = 0;
  }
}

// One process: the scenes in turn, round by round.
class Worker {
 public:
  Worker(const Options& options, const Outcome& outcome, std::uint32_t number, double end_at,
         const char* directory)
      : options_(options),
        outcome_(outcome),
        number_(number),
        end_at_(end_at),
        directory_(directory) {}

  [[nodiscard]] int work() {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct sigaction action {};
    action.sa_handler = on_alarm;  // without SA_RESTART
    sigaction(SIGALRM, &action, nullptr);
    stage_ = shared_new<Stage>();
    if (stage_ == nullptr) return 2;
    return play_rounds() ? 0 : 1;
  }

 private:
  [[nodiscard]] bool play_rounds() {
    const std::size_t count = outcome_.scenes.size();
    for (std::uint64_t round = 0; options_.rounds == 0 || round < options_.rounds; ++round) {
      for (std::size_t i = 0; i < count; ++i) {
        // Processes begin at different scenes, so that a short run sees all.
        const std::size_t at = (i + number_ * count / options_.process_count) % count;
        if (end_at_ != 0 && now_seconds() >= end_at_ && round != 0) return true;
        if (!play_round(at, round)) return false;
      }
    }
    return true;
  }

  [[nodiscard]] bool play_round(std::size_t at, std::uint64_t round) {
    Scene* scene = nullptr;
    for (Scene* candidate : all_scenes()) {
      if (outcome_.scenes[at].name == candidate->name()) scene = candidate;
    }
    clear(*stage_);
    Context context;
    context.stage = stage_;
    context.tally = &outcome_.tally(at);
    context.sayings = &outcome_.sayings();
    context.plant = options_.plant;
    context.scene = scene->name();
    context.directory = directory_;
    stage_->seed = mixed(options_.seed + mixed(number_ + 1) + mixed(round) * (at + 1));
    scene->begin(context);
    const std::uint64_t found_before = violations_of(*context.tally);
    Round this_round(*scene, context, options_);
    const bool is_over = this_round.play();
    if (is_over) scene->judge(context);
    const bool is_wrong = violations_of(*context.tally) != found_before;
    if (is_wrong && options_.plant == Plant::kNone) this_round.tell();
    scene->end(context);
    ++context.tally->rounds;
    // After a violation seen by a life the round cannot be judged; the next one can.
    return is_over || violations_of(*context.tally) < 20;
  }

  const Options& options_;
  const Outcome& outcome_;
  std::uint32_t number_;
  double end_at_;
  const char* directory_;
  Stage* stage_ = nullptr;
};

}  // namespace

struct Outcome::Shared {
  Tally tallies[kMaxScenes];
  Sayings sayings;
};

Outcome::Outcome() : shared_(shared_new<Shared>()) {
  check(shared_ != nullptr, "no memory to count in");
}
Outcome::~Outcome() {
  munmap(shared_, sizeof(Shared));
}
Tally& Outcome::tally(std::size_t scene) const {
  return shared_->tallies[scene];
}
Sayings& Outcome::sayings() const {
  return shared_->sayings;
}
std::uint64_t Outcome::kills() const {
  std::uint64_t count = 0;
  for (const SceneResult& scene : scenes) count += scene.tally->kills;
  return count;
}
std::uint64_t Outcome::violations() const {
  std::uint64_t count = 0;
  for (const SceneResult& scene : scenes) count += violations_of(*scene.tally);
  return count;
}

std::uint64_t violations_of(const Tally& tally) {
  std::uint64_t count = 0;
  for (const auto& wrong : tally.wrong) count += wrong;
  return count;
}

bool run(const Options& options, Outcome& outcome) {
  for (Scene* scene : all_scenes()) {
    if (!options.ring.empty() && options.ring != scene->name()) continue;
    SceneResult result{scene->name(), {}, &outcome.tally(outcome.scenes.size())};
    for (const Role& role : scene->roles()) result.role_names.emplace_back(role.name);
    outcome.scenes.push_back(std::move(result));
  }
  if (outcome.scenes.empty()) return false;
  std::fflush(nullptr);
  const double begin = now_seconds();
  const double end_at = options.seconds == 0 ? 0 : begin + static_cast<double>(options.seconds);
  std::vector<pid_t> workers;
  // For the links of all processes, and gone with the run, whatever becomes of them.
  char directory[] = "/dev/shm/slipring-campaign-XXXXXX";
  if (mkdtemp(directory) == nullptr) return false;
  for (std::uint32_t i = 0; i < options.process_count; ++i) {
    const std::string own = std::string(directory) + "/" + std::to_string(i);
    std::filesystem::create_directory(own);
    std::filesystem::permissions(own, std::filesystem::perms::owner_all);
    const pid_t pid = fork();
    if (pid == 0) _exit(Worker(options, outcome, i, end_at, own.c_str()).work());
    if (pid > 0) workers.push_back(pid);
  }
  bool is_well = workers.size() == options.process_count;
  for (const pid_t pid : workers) {
    int status = 0;
    is_well =
        waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0 && is_well;
  }
  std::filesystem::remove_all(directory);
  outcome.seconds = now_seconds() - begin;
  return is_well;
}

}  // namespace slipring::campaign
