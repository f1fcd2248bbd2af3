// What a message of 64 bytes costs the writer of a broadcast link while nobody sleeps, by the
// number of readers, named and guarded.

#include <benchmark/benchmark.h>
#include <poll.h>
#include <stdlib.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <filesystem>
#include <thread>
#include <utility>
#include <vector>

#include "core/error/check.h"
#include "pipelines/link/broadcast_layout.h"
#include "pipelines/link/broadcast_receiver.h"
#include "pipelines/link/broadcast_sender.h"
#include "pipelines/link/guarded_broker.h"
#include "platform/memory/segment_directory.h"

namespace slipring {
namespace {

constexpr const char* kName = "bench.topic";
constexpr std::uint32_t kMessageBytes = 64;

template <typename T>
T must(Result<T> result) {
  check(result.ok(), "what the benchmark needs");
  return std::move(result).value();
}

class Folder {
 public:
  Folder() {
    char name[] = "/dev/shm/slipring-bench-XXXXXX";
    check(mkdtemp(name) != nullptr, "a folder for the benchmark");
    path_ = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] SegmentDirectory open() const { return must(SegmentDirectory::open_at(path_)); }

 private:
  std::string path_;
};

// A guarded link's broker, in a thread that sleeps unless somebody asks.
class Broker {
 public:
  explicit Broker(GuardedBroker broker)
      : broker_(std::move(broker)), thread_([this] { serve(); }) {}
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;
  ~Broker() {
    is_over_.store(true);
    thread_.join();
  }

 private:
  void serve() {
    while (!is_over_.load()) {
      pollfd watched{broker_.poll_fd(), POLLIN, 0};
      poll(&watched, 1, 50);
      broker_.turn();
    }
  }

  GuardedBroker broker_;
  std::atomic<bool> is_over_{false};
  std::thread thread_;
};

void send_with(benchmark::State& state, const SegmentDirectory& directory) {
  BroadcastSender sender = must(BroadcastSender::attach(directory, kName));
  std::vector<BroadcastReceiver> readers;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    readers.push_back(must(BroadcastReceiver::attach(directory, kName)));
  }
  std::array<std::byte, kMessageBytes> message{};
  // The broker, too, has then heard that the writer looks at every page.
  for (int i = 0; i < 200'000; ++i)
    check(sender.try_send(message) == Transfer::kDone, "overwrites");
  for (auto _ : state) {
    check(sender.try_send(message) == Transfer::kDone, "overwrites");
  }
}

void BM_BroadcastLink_Named(benchmark::State& state) {
  const Folder folder;
  const SegmentDirectory directory = folder.open();
  check(
      create_broadcast(directory, kName, {1024, kMessageBytes, 32, BroadcastPolicy::kOverwrite, 0})
          .ok(),
      "a link");
  send_with(state, directory);
}
BENCHMARK(BM_BroadcastLink_Named)->Arg(0)->Arg(1)->Arg(8)->Arg(32);

void BM_BroadcastLink_Guarded(benchmark::State& state) {
  const Folder folder;
  const SegmentDirectory directory = folder.open();
  LinkShape shape;
  shape.kind = SegmentKind::kBroadcastLink;
  shape.slot_count = 1024;
  shape.slot_bytes = kMessageBytes;
  const Broker broker(must(GuardedBroker::create(directory, kName, shape)));
  send_with(state, directory);
}
BENCHMARK(BM_BroadcastLink_Guarded)->Arg(0)->Arg(1)->Arg(8)->Arg(32)->Arg(33);

}  // namespace
}  // namespace slipring

BENCHMARK_MAIN();
