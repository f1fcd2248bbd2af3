// The network driver's stage: receives a transport stream straight into the ring.

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

#include "pipelines/link/published_word.h"
#include "pipelines/settop/ingest/byte_source.h"
#include "pipelines/settop/ingest/source_address.h"
#include "pipelines/settop/media_record.h"
#include "pipelines/stage/error_text.h"
#include "pipelines/stage/stage.h"
#include "platform/wait/clock.h"

namespace slipring::settop {
namespace {

// The largest UDP payload fits, and a file is read in pieces of this size.
inline constexpr std::size_t kReadBytes = 64 * 1024;
// How long a command may wait for a silent socket.
inline constexpr std::uint32_t kSocketWaitMs = 100;

StageDescription describe() {
  return {
      "ingest",
      "receives an MPEG transport stream from UDP or a file",
      {{"ts", PortKind::kOutput, true, "received bytes, a datagram or 64 KiB of file a record"},
       {"control", PortKind::kCommands, false, "'source ADDRESS': leave this source for another"}},
      {{"url", "udp://127.0.0.1:5000",
        "udp://HOST:PORT, udp://@GROUP:PORT[?iface=ADDRESS], or a file's path"},
       {"idle_end_ms", "0",
        "a UDP stream that began and then was silent so long has ended; 0: it never ends"}}};
}

class Ingest {
 public:
  explicit Ingest(Stage& stage)
      : stage_(stage),
        output_(*stage.output("ts")),
        received_bytes_(stage.counter("received_bytes")),
        received_count_(stage.counter("received_datagrams")),
        kernel_drops_(stage.counter("kernel_dropped_datagrams")),
        full_waits_(stage.counter("ring_full_waits")),
        listening_(stage.gauge("is_listening")),
        resume_(stage.counter(".resume_position"), stage.counter(".resume_offset_bytes"),
                stage.counter(".resume_offset_next_bytes")),
        idle_end_ns_(static_cast<std::uint64_t>(stage.option_number("idle_end_ms", 0, 86'400'000)) *
                     1'000'000) {}

  int run() {
    if (!open(stage_.option("url"), true)) return 2;
    while (!stage_.stop_requested()) {
      if (std::optional<Command> command = stage_.next_command()) obey(*command);
      if (!step()) return failed_ ? 1 : stage_.finish();
    }
    return stage_.finish();
  }

 private:
  bool open(const std::string& url, bool first) {
    std::string fault;
    const std::optional<SourceAddress> address = parse_source(url, fault);
    if (!address) {
      stage_.log(Severity::kError, "source '%s': %s", url.c_str(), fault.c_str());
      return false;
    }
    const bool resuming = first && address->kind == SourceAddress::Kind::kFile;
    const std::uint64_t offset_bytes = resuming ? resume_.value(output_.position()) : 0;
    Result<ByteSource> source = ByteSource::open(*address, offset_bytes);
    if (!source) {
      stage_.log(Severity::kError, "source '%s': %s", url.c_str(),
                 describe_error(source.error()).c_str());
      return false;
    }
    source_.emplace(std::move(source).value());
    offset_bytes_ = offset_bytes;
    drops_before_ = kernel_drops_.get();
    if (source_->is_live()) {
      if (source_->receive_buffer_bytes() < address->receive_buffer_bytes) {
        stage_.log(Severity::kWarning,
                   "the kernel holds %u bytes of datagrams, not %u; raise net.core.rmem_max",
                   source_->receive_buffer_bytes(), address->receive_buffer_bytes);
      }
      stage_.log(Severity::kInfo, "listening on %s", url.c_str());
      listening_.set(1);
    } else if (offset_bytes != 0) {
      stage_.log(Severity::kInfo, "going on at byte %llu of %s",
                 static_cast<unsigned long long>(offset_bytes), url.c_str());
    } else {
      stage_.log(Severity::kInfo, "reading %s", url.c_str());
    }
    return true;
  }

  void obey(const Command& command) {
    static constexpr std::string_view kVerb = "source ";
    if (!command.text.starts_with(kVerb)) {
      stage_.log(Severity::kWarning, "unknown command '%s'; there is: source ADDRESS",
                 command.text.c_str());
      return;
    }
    if (!open(command.text.substr(kVerb.size()), false)) return;  // the old source goes on
    change_ns_ = command.issued_ns;
    output_.abort_published();
  }

  // Moves one datagram, or one piece of a file.  False at the end.
  bool step() {
    std::span<std::byte> place;
    const std::uint64_t blocked_before = output_.blocked_count();
    switch (stage_.reserve(output_, sizeof(TransportRecord) + kReadBytes, place,
                           [this] { return stage_.has_command(); })) {
      case Reserved::kDone:
        break;
      case Reserved::kStopped:
        return false;
      case Reserved::kInterrupted:
        return true;
      case Reserved::kPeerClosed:
        stage_.log(Severity::kInfo, "the next stage has finished");
        return false;
      case Reserved::kCorruptPeer:
        stage_.log(Severity::kError, "the next stage wrote impossible values into its page: %s",
                   offender_text(output_.offender()).c_str());
        failed_ = true;
        return false;
    }
    full_waits_.add(output_.blocked_count() - blocked_before);
    std::size_t size_bytes = 0;
    const Result<ReadOutcome> outcome =
        source_->read(place.subspan(sizeof(TransportRecord)), size_bytes);
    if (!outcome || outcome.value() != ReadOutcome::kData) {
      output_.abandon();
      return after_nothing(outcome);
    }
    publish(place, size_bytes);
    return true;
  }

  bool after_nothing(const Result<ReadOutcome>& outcome) {
    if (!outcome) {
      stage_.log(Severity::kError, "%s", describe_error(outcome.error()).c_str());
      failed_ = true;
      return false;
    }
    if (outcome.value() == ReadOutcome::kEnd) return false;
    source_->wait(kSocketWaitMs);
    const bool has_begun = last_data_ns_ != 0;
    return idle_end_ns_ == 0 || !has_begun || monotonic_ns() - last_data_ns_ < idle_end_ns_;
  }

  void publish(std::span<std::byte> place, std::size_t size_bytes) {
    last_data_ns_ = monotonic_ns();
    const TransportRecord header{last_data_ns_, change_ns_};
    std::memcpy(place.data(), &header, sizeof header);
    if (!source_->is_live()) {
      resume_.before_publish(output_.position(), offset_bytes_ + size_bytes);
    }
    output_.commit(sizeof header + size_bytes);
    if (!source_->is_live()) resume_.after_publish();
    offset_bytes_ += size_bytes;
    received_bytes_.add(size_bytes);
    received_count_.add();
    if (source_->kernel_drop_count() != 0) {
      kernel_drops_.set(drops_before_ + source_->kernel_drop_count());
    }
  }

  Stage& stage_;
  LinkWriter& output_;
  Board::Number received_bytes_;
  Board::Number received_count_;
  Board::Number kernel_drops_;
  Board::Number full_waits_;
  Board::Number listening_;
  PublishedWord resume_;  // where in the file a successor goes on
  std::optional<ByteSource> source_;
  std::uint64_t offset_bytes_ = 0;  // of the source, behind what is published
  std::uint64_t idle_end_ns_;
  std::uint64_t last_data_ns_ = 0;
  std::uint64_t change_ns_ = 0;
  std::uint64_t drops_before_ = 0;
  bool failed_ = false;
};

}  // namespace
}  // namespace slipring::settop

int main(int argc, char** argv) {
  int exit_status = 0;
  const std::unique_ptr<slipring::Stage> stage =
      slipring::Stage::start(argc, argv, slipring::settop::describe(), exit_status);
  if (stage == nullptr) return exit_status;
  return slipring::settop::Ingest(*stage).run();
}
