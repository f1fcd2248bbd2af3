// The stage behind a link's end on another machine: carries what is in the link there, or from
// there (pipelines/wire/WIRE.md).  The runner starts it for a link whose `from` or `to` is an
// address; killed at any instruction and started again it goes on where it was.
//
// It ends with status 0 when the link's stream has ended and all of it was carried, and with 2 when
// the other machine says that what is asked for cannot be.
#include <signal.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "pipelines/stage/error_text.h"
#include "pipelines/stage/stage.h"
#include "pipelines/wire/wire_loop.h"
#include "platform/memory/segment_directory.h"

namespace {

using namespace slipring;
using wire::LinkSide;
using wire::WireAddress;
using wire::WireEvent;
using wire::WireLoop;

const StageDescription kDescription = {
    "wire_stage",
    "carries a link to or from another machine",
    {{"in", PortKind::kInput, false, "what goes there"},
     {"out", PortKind::kOutput, false, "what comes from there; one of the two"}},
    {{"address", "", "tcp://HOST:PORT/NAME, tcp+tls://HOST:PORT/NAME?ca=…, or unix://PATH#NAME"},
     {"call", "connect", "connect: calls that address; listen: waits there to be called"},
     {"link", "", "the link's name on the wire, unless the address has one"}},
    false,
    false,
    BellOrder::kMembarrier,
    true};

constexpr int kRefusedConfiguration = 2;

std::atomic<bool> stop{false};
static_assert(std::atomic<bool>::is_always_lock_free, "set by a signal handler");

void note_stop(int) {
  // relaxed: the thread that looks is the one that was interrupted.
  stop.store(true, std::memory_order_relaxed);
}

// What happens, on the board and in words.
class Teller {
 public:
  explicit Teller(Stage& stage)
      : stage_(stage),
        connected_(stage.gauge("connected")),
        connections_(stage.counter("connections")) {
    connected_.set(0);  // a predecessor was killed
  }

  void tell(const WireEvent& event) {
    const char* words = event.words.empty() ? "no reason given" : event.words.c_str();
    switch (event.kind) {
      case WireEvent::Kind::kCarrying:
        connected_.set(1);
        connections_.add();
        return stage_.log(Severity::kInfo, "connected with %s", event.words.c_str());
      case WireEvent::Kind::kBroken:
        connected_.set(0);
        return stage_.log(Severity::kInfo, "not connected: %s", words);
      case WireEvent::Kind::kOver:
        connected_.set(0);
        return stage_.log(Severity::kInfo, "all of it is carried");
      case WireEvent::Kind::kRefused:
      case WireEvent::Kind::kFailed:
        is_refused_ = is_refused_ || event.is_final;
        return stage_.log(event.is_final ? Severity::kError : Severity::kWarning, "%s: %s",
                          event.kind == WireEvent::Kind::kRefused ? "refused" : "failed", words);
    }
  }
  [[nodiscard]] bool is_refused() const noexcept { return is_refused_; }

 private:
  Stage& stage_;
  Board::Number connected_;
  Board::Number connections_;
  bool is_refused_ = false;
};

int complain(const Stage& stage, const std::string& what, const WireLoop& loop,
             const Error& error) {
  const std::string why = loop.tls_fault().empty() ? describe_error(error) : loop.tls_fault();
  stage.log(Severity::kError, "%s: %s", what.c_str(), why.c_str());
  return error.code == ErrorCode::kInvalidArgument ? kRefusedConfiguration : 1;
}

// The link's end is taken before anybody can ask for it.
int begin(Stage& stage, WireLoop& loop, const WireAddress& address, LinkSide side) {
  const std::string port = side == LinkSide::kSender ? "in" : "out";
  const std::string segment = stage.segment(port);
  const std::string wire_name = address.link.empty() ? stage.option("link") : address.link;
  const wire::WirePortOptions options{stage.memory_lock(), stage.rung_bell(port)};
  if (stage.option("call") == "connect") {
    const Status dialled = loop.dial(address, segment, wire_name, side, options);
    return dialled ? 0 : complain(stage, "cannot carry " + segment, loop, dialled.error());
  }
  const Status offered = loop.offer_now(segment, wire_name, side, options);
  if (!offered) return complain(stage, "cannot carry " + segment, loop, offered.error());
  const Status listening = loop.listen(address);
  if (listening) return 0;
  return complain(stage, "cannot listen at " + stage.option("address"), loop, listening.error());
}

int carry(Stage& stage, const WireAddress& address, LinkSide side) {
  Result<SegmentDirectory> directory = SegmentDirectory::open();
  if (!directory) return 1;
  wire::WireLoopOptions options;
  options.ends_with_offers = true;
  options.waiter = stage.waiter_options();
  Result<std::unique_ptr<WireLoop>> loop = WireLoop::create(*directory, options);
  if (!loop) {
    stage.log(Severity::kError, "cannot begin: %s", describe_error(loop.error()).c_str());
    return 1;
  }
  Teller teller(stage);
  (*loop)->tell([&](const WireEvent& event) { teller.tell(event); });
  if (const int fault = begin(stage, **loop, address, side); fault != 0) return fault;
  if (!stage.shut_in()) return 1;
  const bool is_carried = (*loop)->run(stop);
  // relaxed: nothing else is published with it.
  if (stop.load(std::memory_order_relaxed)) {
    // Not finished: only who asked for the end knows whether to start it again.
    signal(SIGTERM, SIG_DFL);
    raise(SIGTERM);
  }
  return is_carried ? 0 : teller.is_refused() ? kRefusedConfiguration : 1;
}

}  // namespace

int main(int argc, char** argv) {
  int exit_status = 0;
  const auto stage = Stage::start(argc, argv, kDescription, exit_status);
  if (!stage) return exit_status;
  struct sigaction action {};
  action.sa_handler = note_stop;  // no SA_RESTART: a sleep must end
  for (const int number : {SIGTERM, SIGINT}) sigaction(number, &action, nullptr);
  const bool sends = !stage->segment("in").empty();
  if (sends == !stage->segment("out").empty()) {
    stage->log(Severity::kError, "join the link to one of the ports in and out");
    return kRefusedConfiguration;
  }
  std::string fault;
  const std::optional<WireAddress> address =
      wire::parse_wire_address(stage->option("address"), fault);
  const std::string call = stage->option("call");
  if (!address || (call != "connect" && call != "listen")) {
    stage->log(Severity::kError, "option %s: %s", address ? "call" : "address",
               address ? "neither connect nor listen" : fault.c_str());
    return kRefusedConfiguration;
  }
  return carry(*stage, *address, sends ? LinkSide::kSender : LinkSide::kReceiver);
}
