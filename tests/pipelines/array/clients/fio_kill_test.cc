// fio with verify on the whole array while any of its stages is killed, again and again: a pause,
// never an error, never a wrong byte.
//
// As a campaign, in one line:
//   bazel test -c opt //tests/pipelines/array/clients:fio_kill_test --test_arg=-tc='fio:*'
//     --test_env=SLIPRING_KILLS=10000 --test_env=SLIPRING_SEED=1 --test_timeout=36000
//     --test_output=streamed
//
// A lap a run: each job writes each of its bytes once (io_size is size), and reads all of them
// again.  With more than a lap fio 3.33 complains of what is right, without a server, too:
//   fio --name=v --ioengine=psync --filename=f --rw=randrw --bs=64k --size=128M --io_size=2G
//     --verify=crc32c

#include <doctest/doctest.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/pipelines/array/clients/golden_servers.h"

namespace slipring::test {
namespace {

constexpr std::uint32_t kKillsAnArray = 500;

// Four jobs, each on its own part of the disk: small and large, whole blocks and parts of them,
// with flushes, verified as they go and at the end.  The seed is in each block, so that what a run
// before has left is not taken for this one's.
std::string fio_words(const std::string& socket, std::uint32_t seed) {
  return "fio --ioengine=nbd --uri='nbd+unix:///?socket=" + socket +
         "' --randseed=" + std::to_string(seed) +
         " --verify=crc32c --verify_fatal=1 --output-format=terse"
         " --name=small --rw=randwrite --bsrange=4k-64k --iodepth=16 --offset=0 --size=12m"
         " --verify_backlog=128"
         " --name=parts --rw=randrw --bsrange=512-96k --blockalign=512 --iodepth=8 --offset=16m"
         " --size=12m"
         " --name=large --rw=write --bs=1m --iodepth=4 --offset=32m --size=24m"
         " --name=flushed --rw=randwrite --bs=4k --iodepth=4 --fsync=16 --offset=64m --size=4m";
}

// Of all bytes.
std::string checksum(const ServedArray& array) {
  CHECK(shell("cd " + array.file("") + " && nbdcopy 'nbd+unix:///?socket=" + array.socket() +
              "' all && sha256sum all > sum; rm -f all") == 0);
  return contents(array.file("sum"));
}

// fio again and again, each time with another seed, until told to stop or until it complains.
class FioRuns {
 public:
  FioRuns(const ServedArray& array, std::uint32_t seed) : array_(array), seed_(seed) {
    thread_ = std::thread([this] {
      while (!stop_ && !has_fault_) run_once();
      is_over_ = true;
    });
  }
  ~FioRuns() { stop(); }
  FioRuns(const FioRuns&) = delete;
  FioRuns& operator=(const FioRuns&) = delete;

  void stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  [[nodiscard]] bool has_fault() const { return has_fault_; }
  [[nodiscard]] bool is_over() const { return is_over_; }
  [[nodiscard]] std::uint32_t runs() const { return runs_; }
  // After stop(), or when there is a fault.
  [[nodiscard]] const std::string& fault() const { return fault_; }

 private:
  void run_once() {
    const std::uint32_t seed = seed_++;
    const int status =
        shell("cd " + array_.file("") + " && " + fio_words(array_.socket(), seed) + " > said 2>&1");
    ++runs_;
    if (status == 0) return;
    fault_ = "fio ends with " + std::to_string(status) + ", seed " + std::to_string(seed) + ": " +
             contents(array_.file("said"));
    has_fault_ = true;
  }

  const ServedArray& array_;
  std::uint32_t seed_;
  std::string fault_;
  std::atomic<std::uint32_t> runs_{0};
  std::atomic<bool> stop_{false};
  std::atomic<bool> has_fault_{false};
  std::atomic<bool> is_over_{false};
  std::thread thread_;
};

struct KillTotals {
  std::map<std::string, std::uint32_t> killed;
  std::uint32_t runs = 0;
  std::uint64_t requests = 0;
  std::string fault;
};

// Waits until so many requests more have been taken.  On a machine that has much else to do that
// may take long; but something must come.
void wait_for_requests(const ServedArray& array, const FioRuns& fio, std::uint64_t more) {
  const std::uint64_t until = array.number("nbd", "requests") + more;
  const auto has_come = [&] { return fio.is_over() || array.number("nbd", "requests") >= until; };
  std::uint64_t seen = 0;
  std::uint32_t seen_runs = 0;
  while (!eventually(has_come, 120)) {
    const std::uint64_t now = array.number("nbd", "requests");
    REQUIRE_MESSAGE((now > seen || fio.runs() > seen_runs),
                    "no request is served: " << array.log());
    seen = now;
    seen_runs = fio.runs();
  }
}

// `kills` of any of `stages` on one array, then a proper end, and all bytes
// compared once more after a new start.
void kill_one_array(std::uint32_t kills, std::uint32_t seed, const std::vector<std::string>& stages,
                    const std::string& planted, KillTotals& totals) {
  const SocketFolder disks;
  auto settings = small_disks(disks, seed % 2 == 1 ? 5 : 6);
  settings.emplace_back("cache.planted", planted);
  const char* engine = seed % 4 < 2 ? "auto" : "plain";
  for (const char* disk : {"disk0", "disk1", "disk2", "disk3"}) {
    settings.emplace_back(std::string(disk) + ".engine", engine);
  }
  std::mt19937 random(seed);
  std::string before;
  {
    ServedArray array("array.toml", settings);
    FioRuns fio(array, seed * 1000);
    for (std::uint32_t i = 0; i < kills && !fio.has_fault(); ++i) {
      wait_for_requests(array, fio, random() % 300);
      const std::string& stage = stages[random() % stages.size()];
      array.kill_stage(stage);
      ++totals.killed[stage];
    }
    fio.stop();
    totals.runs += fio.runs();
    totals.requests += array.number("nbd", "requests");
    totals.fault = fio.fault();
    if (!totals.fault.empty()) {
      totals.fault += "\n" + array.log();
      return;
    }
    before = checksum(array);
    if (array.stop() != 0) totals.fault = "the array does not end well: " + array.log();
  }
  const ServedArray again("array.toml", settings);
  if (checksum(again) != before) totals.fault = "a new start does not find what was written";
}

const std::vector<std::string>& all_stages() {
  static const std::vector<std::string> kStages = {"nbd",   "cache", "raid", "disk0",
                                                   "disk1", "disk2", "disk3"};
  return kStages;
}

TEST_CASE("fio: verifies all that it wrote while any stage is killed") {
  const std::uint32_t kills = setting("SLIPRING_KILLS", 20);
  std::uint32_t seed = setting("SLIPRING_SEED", 1);
  KillTotals totals;
  std::uint32_t done = 0;
  while (done < kills && totals.fault.empty()) {
    const std::uint32_t now = std::min(kills - done, kKillsAnArray);
    kill_one_array(now, seed++, all_stages(), "none", totals);
    done += now;
    MESSAGE(done, " kills so far, ", totals.runs, " runs of fio, ", totals.requests, " requests");
  }
  std::string kills_text;
  for (const auto& [stage, count] : totals.killed) {
    kills_text += " " + std::to_string(count) + " of " + stage;
  }
  CHECK_MESSAGE(totals.fault.empty(), totals.fault);
  MESSAGE("kills:", kills_text, "; ", totals.runs, " runs of fio, ", totals.requests,
          " requests: 0 errors, 0 wrong bytes unless said above");
}

// What was answered is in the cache's memory alone until it is written back: a successor who does
// not take it over has lost it.
TEST_CASE("planted: a cache that begins anew after a death is seen by fio") {
  KillTotals totals;
  for (std::uint32_t seed = 1; seed <= 4 && totals.fault.empty(); ++seed) {
    kill_one_array(20, seed, {"cache"}, "forget", totals);
  }
  CHECK_MESSAGE(totals.fault.find("verify: bad") != std::string::npos, totals.fault);
}

TEST_CASE("planted: a client who is hung up on is seen by fio") {
  const SocketFolder disks;
  const ServedArray array("array.toml", small_disks(disks));
  FioRuns fio(array, 7);
  wait_for_requests(array, fio, 50);
  CHECK(shell("SLIPRING_DIR=" + array.segments() + " " + slipring() +
              " oob array.nbd 'disconnect all' > /dev/null 2>&1") == 0);
  CHECK(eventually([&] { return fio.has_fault(); }, 120));
}

}  // namespace
}  // namespace slipring::test
