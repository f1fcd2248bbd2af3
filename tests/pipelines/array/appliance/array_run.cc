#include "tests/pipelines/array/appliance/array_run.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <utility>

#include "core/error/check.h"
#include "pipelines/link/board.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/stage/oob.h"
#include "platform/process/child.h"
#include "platform/wait/clock.h"

namespace slipring::array::test {
namespace {

constexpr std::uint64_t kPatienceNs = 120'000'000'000;
constexpr int kLookAgainMs = 1;

std::string make_folder(const std::string& parent) {
  std::string name = parent + "/array-run-XXXXXX";
  check(mkdtemp(name.data()) != nullptr, "a folder of one's own");
  return name;
}

template <typename Holds>
[[nodiscard]] bool eventually(Holds&& holds) {
  const std::uint64_t deadline_ns = deadline_after(kPatienceNs);
  while (!holds()) {
    if (monotonic_ns() >= deadline_ns) return false;
    poll(nullptr, 0, kLookAgainMs);
  }
  return true;
}

// Among the data of the test, or of a campaign that Bazel runs.
std::string data(const std::string& workspace_path) {
  const char* runfiles = getenv("TEST_SRCDIR");
  const std::string own = std::filesystem::read_symlink("/proc/self/exe").string();
  const std::string root = runfiles != nullptr ? runfiles : own + ".runfiles";
  return root + "/slipring/" + workspace_path;
}

std::string stage_text(const std::string& name, const std::string& program,
                       const std::string& options) {
  return "[[stage]]\nname = \"" + name + "\"\nprogram = \"" + program +
         "\"\nrestart_limit = 1000000\nrestart_window = \"24h\"\n[stage.options]\n" + options +
         "\n";
}

std::string link_text(const std::string& name, const std::string& from, const std::string& to,
                      const std::string& rest) {
  return "[[link]]\nname = \"" + name + "\"\nfrom = \"" + from + "\"\nto = \"" + to +
         "\"\nkind = \"slots\"\nslots = 256\nslot_bytes = 56\n" + rest + "\n";
}

}  // namespace

ArrayRun::ArrayRun() {
  const char* scratch = getenv("TEST_TMPDIR");
  folder_ = make_folder(scratch != nullptr ? scratch : "/tmp");
  segments_ = make_folder("/dev/shm");
}

ArrayRun::~ArrayRun() {
  if (runner_) {
    static_cast<void>(runner_->send_signal(SIGKILL));
    static_cast<void>(runner_->reap(kNoDeadline));
  }
  std::filesystem::remove_all(folder_);
  std::filesystem::remove_all(segments_);
}

std::string ArrayRun::pipeline(const ArrayRunOptions& options) const {
  static const std::string kPool = "pool = { buffers = 48, buffer_bytes = \"256KiB\" }\n";
  static const std::string kSmallPool = "pool = { buffers = 32, buffer_bytes = \"64KiB\" }\n";
  static const std::string kCredit = "credit = 256\n";
  std::string text = "[pipeline]\nname = \"array\"\nmemlock = \"off\"\nwait = \"adaptive\"\n";
  text +=
      stage_text("load", "load",
                 "seed = " + std::to_string(options.seed) + "\nstate = \"" + path("load.state") +
                     "\"\nverify_only = " + (options.verifies_only ? "true" : "false") +
                     "\narea_kib = " + std::to_string(options.area_kib));
  const std::uint32_t parities = options.level == 6 ? 2 : options.level == 5 ? 1 : 0;
  // Smaller than what the load uses, so that blocks come and go.
  text += stage_text("cache", "cache",
                     "memory_mib = 8\nidle_write_ms = 50\nstripe_kib = " +
                         std::to_string(64 * (options.disks - parities)) + "\nplanted = \"" +
                         options.planted + "\"");
  text += stage_text("raid", "raid", "level = " + std::to_string(options.level) + "\nlog_mib = 4");
  text += link_text("requests", "load.requests", "cache.requests", kPool + kCredit);
  text += link_text("replies", "cache.replies", "load.replies", kPool);
  text += link_text("array_reads", "cache.array_reads", "raid.reads", kCredit);
  text += link_text("read_data", "raid.read_data", "cache.read_data", kPool);
  text += link_text("array_writes", "cache.array_writes", "raid.writes", kSmallPool + kCredit);
  text += link_text("write_acks", "raid.write_acks", "cache.write_acks", "");
  std::vector<std::string> lanes = {"load", "cache", "raid"};
  for (std::uint32_t i = 0; i < options.disks; ++i) {
    const std::string disk = "disk" + std::to_string(i);
    text += stage_text(disk, "disk",
                       "path = \"" + path(disk + ".img") + "\"\ncreate_mib = 20\nengine = \"" +
                           options.engine + "\"");
    text += link_text(disk + "_requests", "raid." + disk, disk + ".requests", kSmallPool + kCredit);
    text +=
        link_text(disk + "_replies", disk + ".replies", "raid." + disk + "_replies", kSmallPool);
    lanes.push_back(disk);
  }
  for (const std::string& lane : lanes) {
    text += "[[oob]]\nname = \"" + lane + "\"\nto = \"" + lane + ".control\"\n";
  }
  return text;
}

bool ArrayRun::start(const ArrayRunOptions& options) {
  const std::string file = path("array.toml");
  std::ofstream(file) << pipeline(options);
  Result<SegmentDirectory> opened = SegmentDirectory::open_at(segments_);
  if (!opened) {
    problem_ = "no segment directory";
    return false;
  }
  directory_.emplace(std::move(opened).value());
  const Descriptor output(
      open(path("run.log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  const std::string arguments[] = {"run", file};
  const std::string environment[] = {
      "SLIPRING_DIR=" + segments_,
      "SLIPRING_STAGE_PATH=" + data("pipelines/array/cache") + ":" + data("pipelines/array/raid") +
          ":" + data("pipelines/array/disk") + ":" + data("tests/pipelines/array/appliance")};
  ChildOptions child;
  child.program = data("tools/slipring");
  child.arguments = arguments;
  child.environment = environment;
  child.stdout_fd = output.get();
  child.stderr_fd = output.get();
  Result<Peer> started = start_child(child);
  if (!started) {
    problem_ = std::string("the runner does not start: ") + started.error().doing;
    return false;
  }
  runner_.emplace(std::move(started).value());
  const bool is_up = eventually([&] { return number("load", "answered") > 0; });
  if (!is_up) problem_ = "the array does not answer: " + log();
  return is_up;
}

std::optional<int> ArrayRun::end_by_itself() {
  Result<std::optional<ExitStatus>> ended = runner_->reap(deadline_after(kPatienceNs));
  if (!ended || !ended->has_value()) {
    problem_ = "the run does not end: " + log();
    return std::nullopt;
  }
  runner_.reset();
  const ExitStatus status = ended->value();
  return status.by_signal ? 128 + status.value : status.value;
}

bool ArrayRun::tell(const std::string& lane, const std::string& text) {
  return eventually([&] {
    Result<LinkWriter> writer = LinkWriter::attach(*directory_, "array." + lane, MemoryLock::kOff);
    if (!writer) return false;
    const std::string record = encode_command({monotonic_ns(), text});
    std::span<std::byte> place;
    if (writer->try_reserve(record.size(), place) != Transfer::kDone) return false;
    std::memcpy(place.data(), record.data(), record.size());
    writer->commit(record.size());
    return true;
  });
}

pid_t ArrayRun::pid_of(const std::string& stage) const {
  Result<BoardObserver> board = BoardObserver::attach(*directory_, "array." + stage + ".board");
  return board && board->is_held() ? static_cast<pid_t>(board->process_id()) : 0;
}

std::uint32_t ArrayRun::life_of(const std::string& stage) const {
  Result<BoardObserver> board = BoardObserver::attach(*directory_, "array." + stage + ".board");
  return board ? board->incarnation() : 0;
}

bool ArrayRun::kill_stage(const std::string& stage) {
  pid_t killed = 0;
  const bool is_killed = eventually([&] {
    killed = pid_of(stage);
    if (killed == 0) return false;
    Result<Peer> process = Peer::open(killed);
    // The number may have become somebody else's meanwhile: it is the stage's if it still holds.
    return process && pid_of(stage) == killed && process->send_signal(SIGKILL).ok();
  });
  return is_killed && eventually([&] {
           const pid_t now = pid_of(stage);
           return now != 0 && now != killed;
         });
}

std::uint64_t ArrayRun::number(const std::string& stage, const std::string& name) const {
  Result<BoardObserver> board = BoardObserver::attach(*directory_, "array." + stage + ".board");
  return board ? board->value_of(name) : 0;
}

bool ArrayRun::wait_for(const std::string& stage, const std::string& name,
                        std::uint64_t value) const {
  return eventually([&] { return number(stage, name) >= value; });
}

bool ArrayRun::wait_until(const std::string& stage, const std::string& name,
                          std::uint64_t value) const {
  return eventually([&] { return number(stage, name) == value; });
}

std::string ArrayRun::log() const {
  std::ifstream file(path("run.log"));
  std::ostringstream text;
  text << file.rdbuf();
  const std::string all = text.str();
  static constexpr std::size_t kShown = 6000;
  return all.size() <= kShown ? all : all.substr(all.size() - kShown);
}

KillReport run_kills(const ArrayRunOptions& options, std::uint64_t kills) {
  KillReport report;
  ArrayRun run;
  std::mt19937_64 random(options.seed);
  if (!run.start(options)) {
    report.problem = run.problem();
    return report;
  }
  std::vector<std::string> stages = {"cache", "cache", "raid", "raid"};
  for (std::uint32_t i = 0; i < options.disks; ++i) stages.push_back("disk" + std::to_string(i));
  if (options.kills_cache_alone) stages = {"cache"};
  std::map<std::string, std::uint32_t> killed;
  while (report.kills < kills && report.problem.empty()) {
    const std::uint64_t until = run.number("load", "answered") + random() % 150;
    if (!run.wait_for("load", "answered", until)) {
      report.problem = "nothing is answered any more: " + run.log();
    } else if (const std::string& stage = stages[random() % stages.size()];
               !run.kill_stage(stage)) {
      report.problem = "a stage does not come back: " + run.log();
    } else {
      ++report.kills;
      ++killed[stage];
    }
    if (run.number("load", "violations") != 0) report.problem = run.log();
  }
  report.answers = run.number("load", "answered");
  report.answered_writes = run.number("load", "answered_writes");
  report.sectors_checked = run.number("load", "sectors_checked");
  report.large_zeroes = run.number("load", "large_zeroes");
  report.zeroed_rows = run.number("raid", "zeroed_rows");
  report.violations = run.number("load", "violations");
  for (const std::string& stage : stages) {
    if (report.problem.empty() && run.life_of(stage) != killed[stage] + 1) {
      report.problem = stage + " died by itself: " + run.log();
    }
  }
  if (!report.problem.empty()) return report;
  if (!run.tell("load", "stop")) report.problem = "the load cannot be told";
  if (const std::optional<int> status = run.end_by_itself(); status != 0) {
    report.problem = "the run ends with " + std::to_string(status.value_or(-1)) + ": " + run.log();
    return report;
  }
  ArrayRunOptions again = options;
  again.verifies_only = true;
  if (!run.start(again)) {
    report.problem = run.problem();
  } else if (const std::optional<int> status = run.end_by_itself(); status != 0) {
    report.problem =
        "verifying ends with " + std::to_string(status.value_or(-1)) + ": " + run.log();
  }
  return report;
}

}  // namespace slipring::array::test
