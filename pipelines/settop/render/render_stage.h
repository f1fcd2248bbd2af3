// Shows pictures and plays sound at their time, in a window and into files.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "pipelines/settop/media_record.h"
#include "pipelines/settop/render/frame_input.h"
#include "pipelines/settop/render/frame_view.h"
#include "pipelines/settop/render/media_files.h"
#include "pipelines/settop/render/pcm_converter.h"
#include "pipelines/settop/render/presentation_clock.h"
#include "pipelines/settop/render/render_numbers.h"
#include "pipelines/settop/render/snapshot_worker.h"
#include "pipelines/settop/render/window.h"
#include "pipelines/stage/error_text.h"
#include "pipelines/stage/stage.h"
#include "platform/wait/clock.h"

namespace slipring::settop {

// A window wants to be asked for events so often.
inline constexpr std::uint64_t kWindowIntervalNs = 50'000'000;

inline PresentationOptions presentation_options(const Stage& stage) {
  PresentationOptions options;
  options.paced = stage.option_flag("pace");
  options.start_delay_ns = stage.option_number("start_delay_ms", 0, 10'000) * 1'000'000;
  return options;
}

class RenderStage {
 public:
  RenderStage(Stage& stage, WindowMode window_mode)
      : stage_(stage),
        numbers_(stage),
        clock_(presentation_options(stage)),
        files_({stage.option("y4m"), stage.option("wav"), stage.option("digest")},
               stage.gauge(".y4m_file_number"),
               [this](const std::string& path, const Error& error) { complain(path, error); }),
        png_path_(stage.option("png")),
        png_interval_ns_(
            static_cast<std::uint64_t>(stage.option_number("png_interval_ms", 0, 86'400'000)) *
            1'000'000) {
    if (LinkReader* video = stage.input("video")) video_.emplace(Track{FrameInput(*video)});
    if (LinkReader* audio = stage.input("audio")) audio_.emplace(Track{FrameInput(*audio)});
    if (wants_window(window_mode)) open_window(window_mode);
  }

  int run() {
    const bool first = stage_.incarnation() == 1;
    if (!files_.open(first ? OpenMode::kStartAfresh : OpenMode::kContinue)) return 2;
    if (files_.sample_rate_hz() != 0) {
      converter_.set_output(files_.sample_rate_hz(), files_.channel_count());
    }
    while (!stage_.stop_requested() && !is_over_) {
      take_commands();
      bool moved = false;
      for (std::optional<Track>* track : {&video_, &audio_}) {
        if (*track) moved |= step(**track);
      }
      look_after_window();
      if (is_finished()) break;
      if (!moved && !is_over_) wait();
    }
    files_.close();
    if (snapshots_) snapshots_->wait_until_idle();
    report();
    return failed_ ? 1 : stage_.finish();
  }

 private:
  struct Track {
    FrameInput input;
    std::uint64_t change_ns = 0;  // of the programme that the track has come to
  };

  // Shows what is due, or remembers when it will be.  False: nothing to do now.
  bool step(Track& track) {
    FrameInput& input = track.input;
    switch (input.look()) {
      case Look::kNothing:
        return false;
      case Look::kCorruptPeer:
        stage_.log(Severity::kError, "a decoder wrote impossible values into its ring: %s",
                   offender_text(input.offender()).c_str());
        is_over_ = failed_ = true;
        return false;
      case Look::kEvent:
      case Look::kFrame:
        break;
    }
    const FrameRecord& record = input.record();
    if (!is_of_this_programme(track, record)) {
      if (record.event == FrameEvent::kFrame) numbers_.frames_outdated.add();
      input.finish();
      return true;
    }
    const std::uint64_t now_ns = monotonic_ns();
    const std::int64_t until_due_ns =
        clock_.until_due_ns(record.pts, static_cast<std::int64_t>(now_ns));
    // The first picture of a programme says that the change was heard; it need not wait.
    const bool at_once = awaiting_picture_ && record.kind == StreamKind::kVideo;
    if (until_due_ns > 0 && !at_once) {
      next_due_ns_ = std::min(next_due_ns_, now_ns + static_cast<std::uint64_t>(until_due_ns));
      return false;
    }
    if (record.kind == StreamKind::kVideo) {
      show(input, now_ns);
    } else {
      play(input);
    }
    input.finish();
    return true;
  }

  // Follows the tracks from programme to programme; true for a frame to be shown.  A track that has
  // been in the programme on the screen and starts a stream leads to what is newer, even if its
  // change is not (a demultiplexer was restarted); a track that lags behind is waited for.
  bool is_of_this_programme(Track& track, const FrameRecord& record) {
    if (record.event == FrameEvent::kFrame) {
      if (!has_joined_) change_ns_ = track.change_ns = record.change_ns;  // a successor joins in
      has_joined_ = true;
      return record.change_ns == change_ns_;
    }
    has_joined_ = true;
    const bool leads = record.change_ns > change_ns_ || track.change_ns == change_ns_;
    if (leads && record.change_ns != change_ns_) begin_programme(record);
    track.change_ns = record.change_ns;
    return false;
  }

  void begin_programme(const FrameRecord& record) {
    change_ns_ = record.change_ns;
    awaiting_picture_ = true;
    is_change_untold_ = record.change_ns != 0;
    const bool is_known = record.event == FrameEvent::kStreamStart && record.pts != kNoTimestamp &&
                          shown_pts_ != kNoTimestamp;
    const std::int64_t queued_ticks = is_known ? record.pts - shown_pts_ : 0;
    queued_us_ = queued_ticks > 0 ? static_cast<std::uint64_t>(queued_ticks) * 100 / 9 : 0;
    clock_.reset();
    if (window_) window_->drop_sound();
  }

  void show(const FrameInput& input, std::uint64_t now_ns) {
    const FrameRecord& record = input.record();
    Result<PictureView> viewed = view_picture(record, input.buffer());
    if (!viewed) {
      refuse(viewed.error());
      return;
    }
    const PictureView& picture = viewed.value();
    if (window_) {
      if (Status shown = window_->show(picture); !shown) lose_window(shown.error());
    }
    if (awaiting_picture_) welcome(record);
    numbers_.note_latency(record.origin_ns, monotonic_ns());
    clock_.note_shown(record.pts, static_cast<std::int64_t>(now_ns));
    numbers_.frames_shown.add();
    shown_pts_ = record.pts;
    if ((record.flags & kCorruptFrame) != 0) numbers_.frames_corrupt.add();
    files_.add_picture(picture, input.position());
    take_snapshot(picture, now_ns);
  }

  // The first picture after a start or a channel change.
  void welcome(const FrameRecord& record) {
    awaiting_picture_ = false;
    numbers_.program_number.set(record.program_number);
    if (!is_change_untold_) return;
    is_change_untold_ = false;
    const std::uint64_t taken_us = (monotonic_ns() - record.change_ns) / 1000;
    numbers_.change_to_picture_us.set(taken_us);
    numbers_.change_queued_us.set(queued_us_);
    numbers_.channel_changes.add();
    stage_.log(Severity::kInfo,
               "first picture of programme %u, %llu ms after the command; %llu ms were queued",
               record.program_number, static_cast<unsigned long long>(taken_us / 1000),
               static_cast<unsigned long long>(queued_us_ / 1000));
  }

  void play(const FrameInput& input) {
    if (!files_.wants_sound() && !window_) {
      numbers_.sound_blocks_played.add();
      return;
    }
    Result<SoundView> sound = view_sound(input.record(), input.buffer());
    if (!sound) {
      refuse(sound.error());
      return;
    }
    Result<PcmBlock> block = converter_.convert(*sound);
    if (!block) {
      refuse(block.error());
      return;
    }
    files_.add_sound(*block, sound->pts, input.position());
    if (window_) {
      if (Status played = window_->play(*block); !played) {
        stage_.log(Severity::kWarning, "no sound: %s: %s", describe_error(played.error()).c_str(),
                   Window::why().c_str());
      }
    }
    numbers_.sound_blocks_played.add();
  }

  // A frame that no decoder of ours describes so.
  void refuse(const Error& error) {
    numbers_.frames_invalid.add();
    if (refusal_told_) return;
    refusal_told_ = true;
    stage_.log(Severity::kWarning, "frame passed over: %s", describe_error(error).c_str());
  }

  void take_snapshot(const PictureView& picture, std::uint64_t now_ns) {
    const bool due = !png_path_.empty() &&
                     (png_taken_ns_ == 0 ||
                      (png_interval_ns_ != 0 && now_ns - png_taken_ns_ >= png_interval_ns_));
    if (!due && !snapshot_wanted_) return;
    if (!snapshots_) snapshots_.emplace();
    const std::string& path = snapshot_wanted_ ? *snapshot_wanted_ : png_path_;
    Result<bool> offered = snapshots_->offer(path, picture);
    if (!offered) {
      complain(path, offered.error());
    } else if (!offered.value()) {
      return;  // the one before is still being written: with the next picture
    }
    if (snapshot_wanted_) {
      snapshot_wanted_.reset();
    } else {
      png_taken_ns_ = now_ns;
    }
  }

  void take_commands() {
    static constexpr std::string_view kVerb = "snapshot ";
    while (const std::optional<Command> command = stage_.next_command()) {
      if (command->text.starts_with(kVerb) && command->text.size() > kVerb.size()) {
        snapshot_wanted_ = command->text.substr(kVerb.size());
      } else {
        stage_.log(Severity::kWarning, "unknown command '%s'; there is: snapshot PATH",
                   command->text.c_str());
      }
    }
  }

  void open_window(WindowMode mode) {
    Result<std::unique_ptr<Window>> opened = Window::open("slipring");
    if (opened) {
      window_ = std::move(opened).value();
      return;
    }
    stage_.log(mode == WindowMode::kOn ? Severity::kError : Severity::kWarning, "no window: %s: %s",
               describe_error(opened.error()).c_str(), Window::why().c_str());
  }

  void lose_window(const Error& error) {
    stage_.log(Severity::kWarning, "the window is closed: %s: %s", describe_error(error).c_str(),
               Window::why().c_str());
    window_.reset();
  }

  void look_after_window() {
    if (!window_ || window_->handle_events()) return;
    stage_.log(Severity::kInfo, "the window was closed; files go on");
    window_.reset();
  }

  void complain(const std::string& path, const Error& error) {
    numbers_.output_errors.add();
    stage_.log(Severity::kError, "%s: %s", path.c_str(), describe_error(error).c_str());
  }

  [[nodiscard]] bool is_finished() const {
    return (!video_ || video_->input.is_finished()) && (!audio_ || audio_->input.is_finished());
  }

  void wait() {
    report();
    std::uint64_t deadline_ns = next_due_ns_;
    if (window_) deadline_ns = std::min(deadline_ns, monotonic_ns() + kWindowIntervalNs);
    stage_.wait(
        [this] {
          return (video_ && video_->input.has_news()) || (audio_ && audio_->input.has_news()) ||
                 stage_.has_command();
        },
        deadline_ns);
    next_due_ns_ = kNoDeadline;
  }

  // Brings the board up to date with what the parts have counted.
  void report() {
    FrameInputCounts now;
    for (const std::optional<Track>* track : {&video_, &audio_}) {
      if (!*track) continue;
      now.aborted_count += (*track)->input.counts().aborted_count;
      now.invalid_count += (*track)->input.counts().invalid_count;
    }
    numbers_.frames_aborted.add(now.aborted_count - reported_.aborted_count);
    numbers_.frames_invalid.add(now.invalid_count - reported_.invalid_count);
    reported_ = now;
    const PresentationStats& shown = clock_.stats();
    numbers_.frames_late.add(shown.late_count - reported_late_count_);
    numbers_.stamp_jumps.add(shown.jump_count - reported_jump_count_);
    reported_late_count_ = shown.late_count;
    reported_jump_count_ = shown.jump_count;
    if (!snapshots_) return;
    const std::uint64_t written_count = snapshots_->written_count();
    numbers_.snapshots_written.add(written_count - reported_snapshot_count_);
    reported_snapshot_count_ = written_count;
    if (const std::optional<Error> failure = snapshots_->take_failure()) {
      complain("snapshot", *failure);
    }
  }

  Stage& stage_;
  RenderNumbers numbers_;
  PresentationClock clock_;
  MediaFiles files_;
  PcmConverter converter_;
  std::optional<Track> video_;
  std::optional<Track> audio_;
  std::unique_ptr<Window> window_;
  std::optional<SnapshotWorker> snapshots_;  // its thread starts with the first snapshot
  std::string png_path_;
  std::uint64_t png_interval_ns_;
  std::uint64_t png_taken_ns_ = 0;
  std::optional<std::string> snapshot_wanted_;
  std::uint64_t change_ns_ = 0;            // of the programme on the screen
  std::uint64_t queued_us_ = 0;            // of the programme before, when it was left
  std::int64_t shown_pts_ = kNoTimestamp;  // of the picture on the screen
  bool has_joined_ = false;                // change_ns_ counts
  bool is_change_untold_ = false;          // it was commanded, and no picture has followed yet
  bool awaiting_picture_ = true;
  std::uint64_t next_due_ns_ = kNoDeadline;
  bool refusal_told_ = false;
  FrameInputCounts reported_;
  std::uint64_t reported_late_count_ = 0;
  std::uint64_t reported_jump_count_ = 0;
  std::uint64_t reported_snapshot_count_ = 0;
  bool is_over_ = false;
  bool failed_ = false;
};

}  // namespace slipring::settop
