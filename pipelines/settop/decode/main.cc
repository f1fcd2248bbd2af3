// The decoder's stage, for pictures or for sound: an elementary stream in, frames out.

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "pipelines/settop/decode/codec_log.h"
#include "pipelines/settop/decode/decoder.h"
#include "pipelines/settop/decode/frame_output.h"
#include "pipelines/settop/media_record.h"
#include "pipelines/stage/error_text.h"
#include "pipelines/stage/stage.h"
#include "platform/wait/clock.h"

namespace slipring::settop {
namespace {

constexpr std::uint64_t kReportIntervalNs = 50'000'000;
constexpr std::uint32_t kCodecLogLinesPerSecond = 5;

StageDescription describe() {
  return {"decode",
          "decodes one stream straight into the buffers of the outgoing link",
          {{"es", PortKind::kInput, true, "elementary stream"},
           {"frames", PortKind::kOutput, true, "frames, as handles of the link's pool"}},
          {{"stream", "video", "what the stream carries: video or audio"},
           {"threads", "1", "threads that share the slices of a picture, 1 to 16"},
           {"codec_log", "off", "what libavcodec says: off, errors, warnings, information"}}};
}

// The board's numbers: totals over all incarnations.
class Numbers {
 public:
  explicit Numbers(Stage& stage) : stage_(stage) {
    update(DecoderStats{}, 0, 0);  // finds the entries, and what the predecessors have counted
    for (Entry& entry : entries_) entry.base = entry.number.get();
  }

  void update(const DecoderStats& stats, std::uint64_t sent_count, std::uint64_t repeated_count) {
    next_ = 0;
    put("units_decoded", stats.units_decoded);
    put("frames_sent", sent_count);
    put("frames_direct", stats.frames_direct);
    put("frames_copied", stats.frames_copied);
    put("frame_bytes_copied", stats.frame_bytes_copied);
    put("frames_repeated", repeated_count);
    put("frames_corrupt", stats.frames_corrupt);
    put("frames_too_large", stats.frames_too_large);
    put("frames_unsupported", stats.frames_unsupported);
    put("decode_errors", stats.decode_errors);
    put("waits_interrupted", stats.waits_interrupted);
    put("unknown_codec_bytes", stats.bytes_unknown);
    put("shapeless_bytes", stats.bytes_shapeless);
  }

 private:
  struct Entry {
    Board::Number number;
    std::uint64_t base = 0;
  };

  void put(const char* name, std::uint64_t value) {
    if (next_ == entries_.size()) {
      entries_.push_back({.number = stage_.counter(name)});
      ++next_;
      return;
    }
    Entry& entry = entries_[next_++];
    entry.number.set(entry.base + value);
  }

  Stage& stage_;
  std::vector<Entry> entries_;
  std::size_t next_ = 0;
};

class DecodeStage {
 public:
  explicit DecodeStage(Stage& stage)
      : stage_(stage),
        input_(*stage.input("es")),
        output_(stage, input_, *stage.output("frames")),
        decoder_(output_, output_,
                 {.thread_count = static_cast<int>(stage.option_number("threads", 1, 16))}),
        numbers_(stage),
        redelivered_(stage.counter("redelivered_records")),
        aborted_(stage.counter("aborted_inputs")) {}

  int run() {
    while (!stage_.stop_requested() && !is_over_) {
      Message message;
      switch (input_.try_peek(message)) {
        case Transfer::kDone:
          take(message);
          break;
        case Transfer::kBlocked:
          if (input_.is_finished()) return end_of_stream();
          report(true);
          stage_.wait([this] { return input_.has_message() || input_.is_finished(); });
          break;
        case Transfer::kCorruptPeer:
          stage_.log(Severity::kError,
                     "the previous stage wrote impossible values into its ring: %s",
                     offender_text(input_.offender()).c_str());
          is_over_ = failed_ = true;
          break;
      }
    }
    report(true);
    return failed_ ? 1 : stage_.finish();
  }

 private:
  void take(const Message& message) {
    if (message.redelivered) redelivered_.add();
    if (message.aborted) {
      drop_programme(message);
      return;
    }
    ElementaryRecord record{};
    Status fed = Error{.code = ErrorCode::kCorruptPeer,
                       .doing = "reading an elementary record",
                       .found = message.bytes.size(),
                       .wanted = sizeof record};
    if (message.bytes.size() >= sizeof record) {
      std::memcpy(&record, message.bytes.data(), sizeof record);
      fed = decoder_.feed(record, message.bytes.subspan(sizeof record));
    }
    if (!fed && input_.has_abort()) {
      drop_programme(message);
      return;
    }
    if (judge(fed)) input_.release(message);
    report(false);
  }

  // False: the record is not finished, and a successor shall have it.
  bool judge(const Status& fed) {
    if (fed) return true;
    is_over_ = true;
    switch (fed.error().code) {
      case ErrorCode::kInterrupted:  // by a stop; an abort has been looked for
        break;
      case ErrorCode::kClosed:
        stage_.log(Severity::kInfo, "the next stage has finished");
        break;
      default:
        stage_.log(Severity::kError, "%s", describe_error(fed.error()).c_str());
        failed_ = true;
    }
    return false;
  }

  // The channel was changed: what is queued here and behind is of no more use.
  void drop_programme(const Message& message) {
    decoder_.flush();
    output_.abort_sent();
    aborted_.add();
    input_.release(message);
    input_.skip_aborted();
    report(false);
  }

  int end_of_stream() {
    (void)judge(decoder_.drain());
    report(true);
    return failed_ ? 1 : stage_.finish();
  }

  void report(bool now) {
    const std::uint64_t time_ns = monotonic_ns();
    if (!now && time_ns - reported_ns_ < kReportIntervalNs) return;
    reported_ns_ = time_ns;
    numbers_.update(decoder_.stats(), output_.sent_count(), output_.repeated_count());
  }

  Stage& stage_;
  LinkReader& input_;
  FrameOutput output_;
  Decoder decoder_;
  Numbers numbers_;
  Board::Number redelivered_;
  Board::Number aborted_;
  std::uint64_t reported_ns_ = 0;
  bool is_over_ = false;
  bool failed_ = false;
};

void log_line(const char* line, void* stage) {
  static_cast<Stage*>(stage)->log(Severity::kInfo, "libavcodec: %s", line);
}

// False for a word that is no level.
bool set_log(Stage& stage) {
  const std::string word = stage.option("codec_log");
  CodecLogLevel level = CodecLogLevel::kQuiet;
  if (word == "errors") {
    level = CodecLogLevel::kErrors;
  } else if (word == "warnings") {
    level = CodecLogLevel::kWarnings;
  } else if (word == "information") {
    level = CodecLogLevel::kInformation;
  } else if (word != "off") {
    stage.log(Severity::kError,
              "option codec_log: '%s' is none of off, errors, warnings, "
              "information",
              word.c_str());
    return false;
  }
  set_codec_log(level, &log_line, &stage, kCodecLogLinesPerSecond);
  return true;
}

int run(Stage& stage) {
  const std::string stream = stage.option("stream");
  if (stream != "video" && stream != "audio") {
    stage.log(Severity::kError, "option stream: '%s' is neither video nor audio", stream.c_str());
    return 2;
  }
  LinkWriter& output = *stage.output("frames");
  if (output.pool() == nullptr || output.max_message_bytes() < sizeof(FrameRecord)) {
    stage.log(Severity::kError,
              "the link at port frames wants a pool and messages of at least %zu bytes",
              sizeof(FrameRecord));
    return 2;
  }
  if (!set_log(stage)) return 2;
  return DecodeStage(stage).run();
}

}  // namespace
}  // namespace slipring::settop

int main(int argc, char** argv) {
  int exit_status = 0;
  const std::unique_ptr<slipring::Stage> stage =
      slipring::Stage::start(argc, argv, slipring::settop::describe(), exit_status);
  if (stage == nullptr) return exit_status;
  return slipring::settop::run(*stage);
}
