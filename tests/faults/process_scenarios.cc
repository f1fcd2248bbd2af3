// platform/process: certificates, peers, children, processors, what the kernel tells.
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "platform/process/affinity.h"
#include "platform/process/certificate.h"
#include "platform/process/child.h"
#include "platform/process/descriptor.h"
#include "platform/process/peer.h"
#include "platform/process/usage.h"
#include "platform/wait/clock.h"
#include "tests/faults/scenario.h"

namespace slipring::faults {

namespace {

constexpr std::uint64_t kSoonNs = 10'000'000'000;
constexpr int kOfdSetlk = 37;

// What keeps a lock inode, and foreign locks on it, from step to step.
struct Locks {
  explicit Locks(LockFile lock_file) : file(std::move(lock_file)) {}
  LockFile file;
  std::vector<Certificate> held;
  Descriptor foreign;
};

Locks& locks_of(Stage& stage) {
  return *std::any_cast<std::shared_ptr<Locks>&>(stage.kept);
}

void prepare_lock_file(Stage& stage) {
  prepare_directory(stage);
  const int made = ::openat(stage.directory->fd(), "lock", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (made < 0) scenario_broken("no lock file");
  ::close(made);
}

void prepare_locks(Stage& stage) {
  prepare_lock_file(stage);
  stage.kept = std::make_shared<Locks>(needed(LockFile::open(stage.directory->fd(), "lock")));
}

// A lock of another open file conflicts with ours as another process's would.
void prepare_foreign_holder(Stage& stage) {
  prepare_locks(stage);
  Locks& locks = locks_of(stage);
  locks.foreign = Descriptor(::openat(stage.directory->fd(), "lock", O_RDWR | O_CLOEXEC));
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = 1;
  lock.l_len = 1;
  if (::fcntl(locks.foreign.get(), kOfdSetlk, &lock) != 0) scenario_broken("no foreign lock");
}

// Any look into the table unlocks what could not be unlocked before.
void look_again(Stage& stage) {
  static_cast<void>(locks_of(stage).file.borrowed_fd());
}

std::vector<Scenario> certificate_scenarios() {
  std::vector<Scenario> all;
  all.push_back({.name = "certificate: open a lock file and probe",
                 .prepare = prepare_lock_file,
                 .run = [](Stage& stage) {
                   Result<LockFile> file = LockFile::open(stage.directory->fd(), "lock");
                   if (!file.ok()) return Outcome::failed(file.error());
                   Result<Probe> probe = file->probe(0);
                   if (!probe.ok()) return Outcome::failed(probe.error());
                   return probe->holder == Holder::kNobody ? Outcome::done()
                                                           : Outcome::lying("somebody holds it");
                 }});
  all.push_back({.name = "certificate: probe what another holds",
                 .prepare = prepare_foreign_holder,
                 .run = [](Stage& stage) {
                   Result<Probe> probe = locks_of(stage).file.probe(1);
                   if (!probe.ok()) return Outcome::failed(probe.error());
                   return probe->holder == Holder::kAnother ? Outcome::done()
                                                            : Outcome::lying("the living is dead");
                 }});
  all.push_back(
      {.name = "certificate: acquire what another holds",
       .prepare = prepare_foreign_holder,
       .run =
           [](Stage& stage) { return Outcome::of(Certificate::acquire(locks_of(stage).file, 1)); },
       .expected = ErrorCode::kBusy});
  all.push_back(
      {.name = "certificate: acquire and release the only one",
       .prepare = prepare_locks,
       .run =
           [](Stage& stage) { return Outcome::of(Certificate::acquire(locks_of(stage).file, 1)); },
       .undo = look_again});
  all.push_back(
      {.name = "certificate: acquire and release one between two",
       .prepare =
           [](Stage& stage) {
             prepare_locks(stage);
             Locks& locks = locks_of(stage);
             for (const std::uint32_t role : {0u, 2u}) {
               locks.held.push_back(needed(Certificate::acquire(locks.file, role)));
             }
           },
       .run =
           [](Stage& stage) { return Outcome::of(Certificate::acquire(locks_of(stage).file, 1)); },
       .undo = look_again,
       .verify = [](Stage& stage) -> const char* {
         for (const Certificate& held : locks_of(stage).held) {
           if (!held.is_intact()) return "a lock beside it was dropped";
         }
         return nullptr;
       }});
  all.push_back({.name = "certificate: is it intact",
                 .prepare =
                     [](Stage& stage) {
                       prepare_locks(stage);
                       Locks& locks = locks_of(stage);
                       locks.held.push_back(needed(Certificate::acquire(locks.file, 0)));
                     },
                 .run =
                     [](Stage& stage) {
                       // What cannot be seen to be intact is said not to be.
                       static_cast<void>(locks_of(stage).held.front().is_intact());
                       return Outcome::done();
                     },
                 .verify = [](Stage& stage) -> const char* {
                   return locks_of(stage).held.front().is_intact() ? nullptr : "it was dropped";
                 }});
  return all;
}

Outcome start_and_reap(const ChildOptions& options) {
  Result<Peer> peer = start_child(options);
  if (!peer.ok()) return Outcome::failed(peer.error());
  Result<std::optional<ExitStatus>> status = peer->reap(deadline_after(kSoonNs));
  if (!status.ok()) {
    // It runs or is a zombie: nobody else would reap it.
    ::kill(peer->pid(), SIGKILL);
    ::waitpid(peer->pid(), nullptr, 0);
    return Outcome::failed(status.error());
  }
  if (!status->has_value()) return Outcome::lying("the program did not end");
  return (*status)->is_success() ? Outcome::done() : Outcome::lying("another program ran");
}

// Few descriptors, so that marking them one by one is soon done; few places to look for a program.
void prepare_child(Stage&) {
  const struct rlimit few = {64, 64};
  if (::setrlimit(RLIMIT_NOFILE, &few) != 0) scenario_broken("no limit");
  ::setenv("PATH", "/nowhere:/bin", 1);
}

std::vector<Scenario> child_scenarios() {
  std::vector<Scenario> all;
  all.push_back({.name = "child: start and reap", .prepare = prepare_child, .run = [](Stage&) {
                   ChildOptions options;
                   options.program = "/bin/true";
                   return start_and_reap(options);
                 }});
  all.push_back({.name = "child: start pinned, by name",
                 .prepare =
                     [](Stage& stage) {
                       prepare_child(stage);
                       stage.kept = needed(allowed_cpus());
                     },
                 .run =
                     [](Stage& stage) {
                       const std::vector<std::string> environment{"SLIPRING_FAULTS=1"};
                       ChildOptions options;
                       options.program = "true";
                       options.environment = environment;
                       options.cpus = std::any_cast<std::vector<std::uint32_t>&>(stage.kept);
                       return start_and_reap(options);
                     }});
  all.push_back({.name = "child: start what is not there",
                 .prepare = prepare_child,
                 .run =
                     [](Stage&) {
                       ChildOptions options;
                       options.program = "/nowhere/to/be";
                       return start_and_reap(options);
                     },
                 .expected = ErrorCode::kNotFound});
  return all;
}

std::vector<Scenario> peer_scenarios() {
  std::vector<Scenario> all;
  all.push_back({.name = "peer: open, look, signal", .run = [](Stage&) {
                   Result<Peer> peer = Peer::open(::getppid());
                   if (!peer.ok()) return Outcome::failed(peer.error());
                   Result<bool> ended = peer->has_ended();
                   if (!ended.ok()) return Outcome::failed(ended.error());
                   if (*ended) return Outcome::lying("the living is dead");
                   return Outcome::of(peer->send_signal(0));
                 }});
  all.push_back({.name = "peer: a deadline passes", .run = [](Stage&) {
                   Result<Peer> peer = Peer::open(::getppid());
                   if (!peer.ok()) return Outcome::failed(peer.error());
                   Result<bool> ended = peer->wait_ended(deadline_after(2'000'000));
                   if (!ended.ok()) return Outcome::failed(ended.error());
                   return *ended ? Outcome::lying("the living is dead") : Outcome::done();
                 }});
  return all;
}

std::vector<Scenario> question_scenarios() {
  std::vector<Scenario> all;
  all.push_back({.name = "affinity: pin to all that is allowed", .run = [](Stage&) {
                   Result<std::vector<std::uint32_t>> cpus = allowed_cpus();
                   if (!cpus.ok()) return Outcome::failed(cpus.error());
                   return Outcome::of(pin_this_thread(*cpus));
                 }});
  all.push_back({.name = "usage: of this process", .run = [](Stage&) {
                   Result<ProcessUsage> usage = read_usage(::getpid());
                   if (!usage.ok()) return Outcome::failed(usage.error());
                   return usage->resident_bytes > 0 ? Outcome::done()
                                                    : Outcome::lying("no memory at all");
                 }});
  return all;
}

}  // namespace

std::vector<Scenario> process_scenarios() {
  std::vector<Scenario> all;
  for (auto* part : {certificate_scenarios, child_scenarios, peer_scenarios, question_scenarios}) {
    for (Scenario& scenario : part()) all.push_back(std::move(scenario));
  }
  return all;
}

}  // namespace slipring::faults
