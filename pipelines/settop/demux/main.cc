// The protocol interpreter's stage: takes one programme out of a transport stream.

#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "pipelines/settop/demux/demux_report.h"
#include "pipelines/settop/demux/elementary_output.h"
#include "pipelines/settop/media_record.h"
#include "pipelines/settop/transport/demultiplexer.h"
#include "pipelines/stage/error_text.h"
#include "pipelines/stage/stage.h"

namespace slipring::settop {
namespace {

StageDescription describe() {
  return {"demux",
          "takes one programme's pictures and sound out of a transport stream",
          {{"ts", PortKind::kInput, true, "received bytes"},
           {"video", PortKind::kOutput, false, "elementary video stream"},
           {"audio", PortKind::kOutput, false, "elementary audio stream"},
           {"channel", PortKind::kCommands, false,
            "'program NUMBER': change the programme and drop what is queued of the old one"}},
          {{"program", "0", "programme number, 1 to 65535; 0: the first that the stream lists"},
           {"video_pid", "0", "preferred video PID; 0: the programme's first supported one"},
           {"audio_pid", "0", "preferred audio PID; 0: the programme's first supported one"}}};
}

// "program NUMBER", or nothing.
[[nodiscard]] std::optional<std::uint16_t> parse_program(std::string_view text) {
  static constexpr std::string_view kVerb = "program ";
  if (!text.starts_with(kVerb)) return std::nullopt;
  text.remove_prefix(kVerb.size());
  std::uint16_t number = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (fault != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

struct ChannelChange {
  std::uint16_t program_number;
  std::uint64_t issued_ns;
};

class DemuxStage final : public DemuxSink, public RoomFinder {
 public:
  explicit DemuxStage(Stage& stage)
      : stage_(stage),
        input_(*stage.input("ts")),
        video_(stage.output("video"), *this),
        audio_(stage.output("audio"), *this),
        kept_program_(stage.gauge(".program_asked")),
        kept_change_ns_(stage.gauge(".change_ns")),
        kept_source_change_ns_(stage.gauge(".source_change_ns")),
        demultiplexer_(options(stage, kept_program_)),
        report_(stage),
        changes_(stage.counter("channel_changes")),
        redelivered_(stage.counter("redelivered_records")),
        aborted_(stage.counter("aborted_inputs")),
        change_ns_(kept_change_ns_.get()),
        source_change_ns_(kept_source_change_ns_.get()) {}

  int run() {
    for (;;) {
      if (stage_.stop_requested()) break;
      take_commands();
      if (change_) change_channel();
      Message message;
      switch (input_.try_peek(message)) {
        case Transfer::kDone:
          take(message);
          break;
        case Transfer::kBlocked:
          if (input_.is_finished()) return end_of_stream();
          report_.update(demultiplexer_);
          (void)stage_.wait([this] {
            return input_.has_message() || input_.is_finished() || stage_.has_command();
          });
          break;
        case Transfer::kCorruptPeer:
          stage_.log(Severity::kError,
                     "the previous stage wrote impossible values into its ring: %s",
                     offender_text(input_.offender()).c_str());
          return 1;
      }
      if (is_over_) break;
    }
    report_.update(demultiplexer_, true);
    return failed_ ? 1 : stage_.finish();
  }

  // DemuxSink
  void program_selected(const ProgramSelection& selection) override {
    stage_.log(Severity::kInfo, "programme %u: video PID %u, audio PID %u",
               selection.program_number, selection.video.pid, selection.audio.pid);
    if (selection.video_changed) {
      video_.start_stream(selection.video.codec, selection.program_number, change_ns_);
    }
    if (selection.audio_changed) {
      audio_.start_stream(selection.audio.codec, selection.program_number, change_ns_);
    }
  }
  void pes_begin(const PesStart& start) override { track(start.kind).begin(start, change_ns_); }
  void pes_payload(StreamKind kind, std::span<const std::byte> bytes) override {
    track(kind).append(bytes);
  }
  void pes_end(StreamKind kind, PesEnd how) override { track(kind).end(how); }
  void clock_reference(std::int64_t, bool) override {}

  // RoomFinder: waits for room, but not for longer than the data are wanted.
  bool find_room(LinkWriter& output, std::uint64_t size_bytes,
                 std::span<std::byte>& place) override {
    for (;;) {
      if (change_ || is_over_) return false;
      switch (stage_.reserve(output, size_bytes, place,
                             [this] { return stage_.has_command() || input_.has_abort(); })) {
        case Reserved::kDone:
          return true;
        case Reserved::kInterrupted:
          take_commands();
          if (input_.has_abort()) return false;
          break;
        case Reserved::kStopped:
          is_over_ = true;
          break;
        case Reserved::kPeerClosed:
          stage_.log(Severity::kInfo, "a decoder has finished");
          is_over_ = true;
          break;
        case Reserved::kCorruptPeer:
          stage_.log(Severity::kError, "a decoder wrote impossible values into its page: %s",
                     offender_text(output.offender()).c_str());
          is_over_ = true;
          failed_ = true;
          break;
      }
    }
  }

 private:
  // A successor goes on with the programme that its predecessor was told to show.  One more is
  // kept, so that 0 says that nothing is.
  static DemuxOptions options(const Stage& stage, Board::Number& kept_program) {
    const auto asked = static_cast<std::uint16_t>(stage.option_number("program", 0, 65535));
    const std::uint64_t kept = kept_program.get();
    return {kept == 0 ? asked : static_cast<std::uint16_t>(kept - 1),
            static_cast<std::uint16_t>(stage.option_number("video_pid", 0, 8190)),
            static_cast<std::uint16_t>(stage.option_number("audio_pid", 0, 8190))};
  }

  ElementaryOutput& track(StreamKind kind) { return kind == StreamKind::kVideo ? video_ : audio_; }

  void take_commands() {
    while (const std::optional<Command> command = stage_.next_command()) {
      const std::optional<std::uint16_t> number = parse_program(command->text);
      if (!number) {
        stage_.log(Severity::kWarning, "unknown command '%s'; there is: program NUMBER",
                   command->text.c_str());
        continue;
      }
      change_ = ChannelChange{*number, command->issued_ns};  // of several, the last one counts
    }
  }

  void change_channel() {
    const ChannelChange change = *change_;
    change_.reset();
    stage_.log(Severity::kInfo, "channel change to programme %u", change.program_number);
    changes_.add();
    kept_program_.set(std::uint64_t{change.program_number} + 1);
    change_ns_ = change.issued_ns;
    kept_change_ns_.set(change_ns_);
    video_.abort();
    audio_.abort();
    demultiplexer_.select_program(change.program_number, *this);
    report_.update(demultiplexer_, true);
    if (demultiplexer_.selection_state() != SelectionState::kSelected) {
      stage_.log(Severity::kWarning, "programme %u: %s", change.program_number,
                 name_of(demultiplexer_.selection_state()));
    }
  }

  void take(const Message& message) {
    TransportRecord header{};
    if (message.bytes.size() < sizeof header) {
      stage_.log(Severity::kError, "a transport record of %zu bytes is shorter than its header",
                 message.bytes.size());
      is_over_ = true;
      failed_ = true;
      return;
    }
    if (message.aborted) {
      aborted_.add();
      was_aborted_ = true;
      input_.release(message);
      input_.skip_aborted();
      return;
    }
    std::memcpy(&header, message.bytes.data(), sizeof header);
    if (was_aborted_ || header.change_ns != source_change_ns_) change_source(header.change_ns);
    if (message.redelivered) redelivered_.add();
    demultiplexer_.push(message.bytes.subspan(sizeof header), *this, header.origin_ns);
    input_.release(message);
    report_.update(demultiplexer_);
  }

  // The bytes from here on come from another source.
  void change_source(std::uint64_t change_ns) {
    was_aborted_ = false;
    source_change_ns_ = change_ns;
    change_ns_ = change_ns;
    kept_source_change_ns_.set(change_ns);
    kept_change_ns_.set(change_ns);
    video_.abort();
    audio_.abort();
    demultiplexer_.restart(*this);
  }

  int end_of_stream() {
    demultiplexer_.flush(*this);
    report_.update(demultiplexer_, true);
    if (demultiplexer_.counters().selections == 0) {
      stage_.log(Severity::kError, "the stream ended without a programme: %s",
                 name_of(demultiplexer_.selection_state()));
    }
    return failed_ ? 1 : stage_.finish();
  }

  Stage& stage_;
  LinkReader& input_;
  ElementaryOutput video_;
  ElementaryOutput audio_;
  Board::Number kept_program_;
  Board::Number kept_change_ns_;
  Board::Number kept_source_change_ns_;
  Demultiplexer demultiplexer_;
  DemuxReport report_;
  Board::Number changes_;
  Board::Number redelivered_;
  Board::Number aborted_;
  std::optional<ChannelChange> change_;
  std::uint64_t change_ns_;         // of what is handed on now
  std::uint64_t source_change_ns_;  // of the newest transport record
  bool was_aborted_ = false;
  bool is_over_ = false;
  bool failed_ = false;
};

}  // namespace
}  // namespace slipring::settop

int main(int argc, char** argv) {
  int exit_status = 0;
  const std::unique_ptr<slipring::Stage> stage =
      slipring::Stage::start(argc, argv, slipring::settop::describe(), exit_status);
  if (stage == nullptr) return exit_status;
  // On the heap: the demultiplexer's tables are large.
  const auto demux = std::make_unique<slipring::settop::DemuxStage>(*stage);
  return demux->run();
}
