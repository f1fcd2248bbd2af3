// iceoryx 2.0: publish and subscribe by loan, zero-copy, under its daemon RouDi, which is started
// for each measurement and stopped after it.

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <string>

#include <iceoryx_hoofs/log/logmanager.hpp>
#include <iceoryx_posh/popo/untyped_publisher.hpp>
#include <iceoryx_posh/popo/untyped_subscriber.hpp>
#include <iceoryx_posh/runtime/posh_runtime.hpp>
#include "bench/peers/peers.h"
#include "core/cpu/relax.h"
#include "core/error/check.h"
#include "tools/bench/carriers.h"
#include "tools/bench/record_loop.h"
#include "tools/bench/spsc_cells.h"

namespace slipring::bench {
namespace {

// The daemon, which ends with us however we end.
class RouDi {
 public:
  RouDi() : pid_(fork()) {
    check(pid_ >= 0, "fork");
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    const int nowhere = open("/dev/null", O_RDWR);
    dup2(nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
    execlp("iox-roudi", "iox-roudi", "--monitoring-mode", "off", static_cast<char*>(nullptr));
    _exit(127);
  }
  RouDi(const RouDi&) = delete;
  RouDi& operator=(const RouDi&) = delete;
  ~RouDi() {
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
  }

 private:
  pid_t pid_;
};

void start_runtime() {
  static RouDi daemon;
  static const bool is_started = [] {
    iox::log::LogManager::GetLogManager().SetDefaultLogLevel(iox::log::LogLevel::kOff);
    iox::runtime::PoshRuntime::initRuntime(
        iox::RuntimeName_t(iox::cxx::TruncateToCapacity, "bench-" + std::to_string(getpid())));
    return true;
  }();
  (void)is_started;
}

class IceoryxCarrier {
 public:
  IceoryxCarrier(Arena&, std::size_t) {
    start_runtime();
    instance_ = std::to_string(getpid()) + '-' + std::to_string(count_++);
    iox::popo::SubscriberOptions options;
    options.queueCapacity = 256;
    options.queueFullPolicy = iox::popo::QueueFullPolicy::BLOCK_PRODUCER;
    subscriber_ = std::make_unique<iox::popo::UntypedSubscriber>(service(), options);
  }

  struct Producer {
    std::unique_ptr<iox::popo::UntypedPublisher> publisher;
    template <typename Fill>
    [[nodiscard]] bool try_send(std::size_t size_bytes, Fill&& fill) {
      auto loaned = publisher->loan(static_cast<std::uint32_t>(size_bytes));
      if (loaned.has_error()) return false;
      fill(std::span(static_cast<std::byte*>(loaned.value()), size_bytes));
      publisher->publish(loaned.value());
      return true;
    }
  };
  struct Consumer {
    iox::popo::UntypedSubscriber* subscriber;
    template <typename Look>
    [[nodiscard]] bool try_receive(Look&& look) {
      auto taken = subscriber->take();
      if (taken.has_error()) return false;
      const auto* header = iox::mepoo::ChunkHeader::fromUserPayload(taken.value());
      look(std::span(static_cast<const std::byte*>(taken.value()), header->userPayloadSize()));
      subscriber->release(taken.value());
      return true;
    }
  };
  [[nodiscard]] Producer producer() const {
    iox::popo::PublisherOptions options;
    options.subscriberTooSlowPolicy = iox::popo::ConsumerTooSlowPolicy::WAIT_FOR_CONSUMER;
    auto publisher = std::make_unique<iox::popo::UntypedPublisher>(service(), options);
    while (!publisher->hasSubscribers()) relax();  // the daemon joins them, in its own time
    return {std::move(publisher)};
  }
  [[nodiscard]] Consumer consumer() const { return {subscriber_.get()}; }

 private:
  [[nodiscard]] iox::capro::ServiceDescription service() const {
    return {"slipring", iox::capro::IdString_t(iox::cxx::TruncateToCapacity, instance_), "bench"};
  }

  static inline int count_ = 0;
  std::string instance_;
  std::unique_ptr<iox::popo::UntypedSubscriber> subscriber_;
};

constexpr Contender kIceoryx{"iceoryx", "iceoryx 2.0", Family::kPeer,
                             "by loan; its daemon runs beside; publish waits inside"};

}  // namespace

void add_iceoryx(Registry& registry) {
  using Channel8 = AsChannel<IceoryxCarrier>::Of<Message<8>, kSmallRing>;
  using Channel64 = AsChannel<IceoryxCarrier>::Of<Message<64>, kSmallRing>;
  registry.add("spsc8.1k", kIceoryx, run_stream<Channel8, Message<8>, 1, Sides::kThreads>);
  registry.add("trip8", kIceoryx, run_trips<Channel8, Message<8>, Sides::kThreads>);
  registry.add("trip64", kIceoryx, run_trips<Channel64, Message<64>, Sides::kThreads>);
  add_records<IceoryxCarrier>(registry, kIceoryx);
}

}  // namespace slipring::bench
