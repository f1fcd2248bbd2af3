#include "tests/crash/link/crash_walk.h"

#include <cstdio>
#include <random>

namespace slipring::crash {
namespace {

using Answer = TracedChild::Answer;

// At a place that depends on the clock, such as a sleep that has not ended by its deadline.
constexpr int kAttempts = 10;

struct Class {
  std::uint64_t call = 0;    // system calls answered before it
  std::uint64_t change = 0;  // changes of the image since the last of them
  bool is_asleep = false;    // inside that call
  std::uint64_t instructions = 0;
};

// A scene with its child at the first mark.
struct Run {
  explicit Run(const Operation& operation)
      : scene(operation.begin()), child([this] { return scene->child(); }) {
    child.report_sleep(operation.sleeps);
    is_there = child.run_to_mark() == Answer::kMarked;
    scene->child_is_ready();
    scene->image().look_for_files(scene->directory());
    static_cast<void>(scene->image().has_changed());
  }
  std::unique_ptr<Scene> scene;
  TracedChild child;
  bool is_there = false;
};

class Walk {
 public:
  Walk(const Operation& operation, const WalkOptions& options, Verdict& verdict)
      : operation_(operation), options_(options), verdict_(verdict) {
    tally_.name = operation.name;
  }

  Tally go() {
    const std::uint64_t failures_before = verdict_.failure_count();
    warm_up();
    look();
    for (const Class& part : classes_) {
      if (kill_in(part, 0)) tally_.covered += part.instructions;
    }
    draw_kills();
    for (std::size_t i = 0; i < classes_.size(); i += options_.stop_every) {
      stop_in(classes_[i], 0);
      if (!is_long() && classes_[i].instructions > 1)
        stop_in(classes_[i], classes_[i].instructions - 1);
    }
    if (!is_long()) weave();
    tally_.violations = verdict_.failure_count() - failures_before;
    return tally_;
  }

 private:
  [[nodiscard]] bool is_long() const {
    return options_.calls_only || tally_.instructions > options_.long_operation;
  }

  void enter(const char* what, const Class& at) {
    scene_name_ = operation_.name + ", " + what;
    verdict_.enter({scene_name_, 0, 0, 0, at.call, at.change});
  }

  void finish(Run& run) {
    Answer answer = run.child.finish();
    while (answer == Answer::kAsleep) {
      run.scene->wake();
      answer = run.child.waited();
      if (answer == Answer::kStepped) answer = run.child.finish();
    }
  }

  // Settling does in this process what the child has not come to: from then on the dynamic linker
  // has found every function, and children execute alike.
  void warm_up() {
    enter("warming up", {});
    Run run(operation_);
    run.child.kill_now();
    run.scene->settle(verdict_, kWasKilled);
  }

  void look() {
    enter("undisturbed", {});
    Run run(operation_);
    if (!verdict_.expect(run.is_there, "the child does not come to its operation")) return;
    classes_.push_back({});
    for (;;) {
      const bool is_call = options_.calls_only || run.child.is_at_call();
      Answer answer = options_.calls_only ? run.child.run_through_call() : run.child.step();
      if (answer == Answer::kMarked) break;
      if (answer == Answer::kAsleep) {
        classes_.push_back({classes_.back().call, classes_.back().change, true, 0});
        run.scene->wake();
        answer = run.child.waited();
      }
      if (!verdict_.expect(answer == Answer::kStepped, "the child ends inside its operation")) {
        return;
      }
      ++tally_.instructions;
      ++classes_.back().instructions;
      note(run, is_call);
    }
    tally_.classes = classes_.size();
    finish(run);
    run.scene->settle(verdict_, run.child.exit_status());
  }

  // After an instruction: does a class begin?
  void note(Run& run, bool is_call) {
    const Class& now = classes_.back();
    if (is_call) {
      ++tally_.calls;
      run.scene->image().look_for_files(run.scene->directory());
      static_cast<void>(run.scene->image().has_changed());
      classes_.push_back({now.call + 1, 0, false, 0});
    } else if (run.scene->image().has_changed()) {
      verdict_.expect(run.scene->may_store(), "a store without the role's certificate");
      classes_.push_back({now.call, now.change + 1, false, 0});
    }
  }

  // Leads a fresh child to a class and `more` instructions into it; false when it did not come.
  bool reach(Run& run, const Class& at, std::uint64_t more) {
    if (!run.is_there) return false;
    for (std::uint64_t call = 0; call < at.call; ++call) {
      Answer answer = run.child.run_through_call();
      if (answer == Answer::kAsleep) {
        run.scene->wake();
        answer = run.child.waited();
      }
      if (answer != Answer::kStepped) return false;
    }
    SharedImage& image = run.scene->image();
    image.look_for_files(run.scene->directory());
    static_cast<void>(image.has_changed());
    for (std::uint64_t change = 0; change < at.change;) {
      if (run.child.is_at_call() || run.child.step() != Answer::kStepped) return false;
      if (image.has_changed()) ++change;
    }
    if (at.is_asleep) return run.child.run_through_call() == Answer::kAsleep;
    for (std::uint64_t i = 0; i < more; ++i) {
      // A heap that looks otherwise takes another path; this is the class's last instant then.
      if (run.child.is_at_call()) return true;
      if (run.child.step() != Answer::kStepped) return false;
      // Equality is what one kill stands for all on.
      if (image.has_changed()) return false;
    }
    return true;
  }

  // What happens once in so many runs, a lock file listed in another place, say, is tried again.
  bool arrive(std::unique_ptr<Run>& run, const Class& at, std::uint64_t more) {
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      run = std::make_unique<Run>(operation_);
      if (reach(*run, at, more)) return true;
      run->child.kill_now();
      run->scene->settle(verdict_, kWasKilled);
    }
    ++tally_.missed;
    return false;
  }

  bool kill_in(const Class& at, std::uint64_t more) {
    enter("killed", at);
    std::unique_ptr<Run> run;
    if (!arrive(run, at, more)) return false;
    run->child.kill_now();
    ++tally_.kills;
    run->scene->settle(verdict_, kWasKilled);
    return true;
  }

  void draw_kills() {
    std::mt19937_64 draw(options_.seed);
    for (std::uint64_t i = 0; i < options_.drawn_kills && tally_.instructions != 0 && !is_long();
         ++i) {
      std::uint64_t instant = draw() % tally_.instructions;
      for (const Class& part : classes_) {
        if (instant < part.instructions) {
          if (!part.is_asleep) kill_in(part, instant);
          break;
        }
        instant -= part.instructions;
      }
    }
  }

  void stop_in(const Class& at, std::uint64_t more) {
    if (at.is_asleep) return;  // the others' going on is what wakes it
    enter("stopped", at);
    std::unique_ptr<Run> run;
    if (!arrive(run, at, more)) return;
    ++tally_.stops;
    run->scene->others_go_on(verdict_, run->child, tally_.stops);
    finish(*run);
    run->scene->settle(verdict_, run->child.exit_status());
  }

  void weave() {
    enter("stopped all the way", {});
    Run run(operation_);
    if (!run.is_there) return;
    SharedImage& image = run.scene->image();
    for (std::uint64_t i = 0;; ++i) {
      const bool is_call = run.child.is_at_call();
      Answer answer = run.child.step();
      if (answer == Answer::kAsleep) {
        run.scene->wake();
        answer = run.child.waited();
      }
      if (answer != Answer::kStepped) break;
      if (is_call) image.look_for_files(run.scene->directory());
      if (!image.has_changed() && !is_call && i % options_.stride != 0) continue;
      verdict_.enter({scene_name_, 0, 0, 0, i, 0});
      ++tally_.stops;
      run.scene->others_go_on(verdict_, run.child, 0);
      static_cast<void>(image.has_changed());
    }
    finish(run);
    run.scene->settle(verdict_, run.child.exit_status());
  }

  const Operation& operation_;
  const WalkOptions& options_;
  Verdict& verdict_;
  Tally tally_;
  std::vector<Class> classes_;
  std::string scene_name_;
};

}  // namespace

void Tally::add(const Tally& other) {
  instructions += other.instructions;
  calls += other.calls;
  classes += other.classes;
  covered += other.covered;
  kills += other.kills;
  stops += other.stops;
  missed += other.missed;
  violations += other.violations;
}

std::string Tally::text() const {
  char line[256];
  std::snprintf(line, sizeof line,
                "%-28s %8llu instructions, %4llu calls, %4llu classes, %5llu kills, %6llu stops, "
                "%llu violations%s%s",
                name.c_str(), static_cast<unsigned long long>(instructions),
                static_cast<unsigned long long>(calls), static_cast<unsigned long long>(classes),
                static_cast<unsigned long long>(kills), static_cast<unsigned long long>(stops),
                static_cast<unsigned long long>(violations), is_whole() ? "" : ", NOT COVERED",
                missed == 0 ? "" : ", some runs missed their place");
  return line;
}

Tally walk(const Operation& operation, const WalkOptions& options, Verdict& verdict) {
  return Walk(operation, options, verdict).go();
}

}  // namespace slipring::crash
