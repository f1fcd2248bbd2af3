// A stage's ends: attached, slept on, closed.  Everything that knows what the links are made of is
// here: a bench links the same programs with ends of another make (bench/array/carried).
#include <errno.h>
#include <sys/epoll.h>

#include <algorithm>
#include <utility>

#include "core/error/check.h"
#include "pipelines/stage/error_text.h"
#include "pipelines/stage/stage.h"
#include "platform/memory/segment_directory.h"

namespace slipring {

bool Stage::attach_bells() {
  for (const auto& [port, fd] : rung_bells_) {
    LinkReader* reader = input(port);
    LinkWriter* writer = output(port);
    if (reader != nullptr) reader->attach_event(fd);
    if (writer != nullptr) writer->attach_event(fd);
    if (reader != nullptr || writer != nullptr) continue;
    complain("--ring=" + port + ": nothing is joined to that port");
    return false;
  }
  return true;
}

bool Stage::attach(int& exit_status) {
  exit_status = 1;
  if (wanted_.empty() && board_segment_.empty()) {
    exit_status = 0;
    return true;
  }
  Result<SegmentDirectory> directory = SegmentDirectory::open();
  if (!directory) {
    complain("cannot open the segment directory: " + describe_error(directory.error()));
    return false;
  }
  if (!board_segment_.empty()) {
    Result<Board> board = Board::attach(*directory, board_segment_, memory_lock_);
    if (!board) {
      complain("cannot attach board " + board_segment_ + ": " + describe_error(board.error()));
      return false;
    }
    board_.emplace(std::move(board).value());
    sleep_count_ = board_->number("sleeps", BoardKind::kCounter);
  }
  if (description_.opens_ends) {
    exit_status = 0;
    return true;
  }
  for (const Wanted& wanted : wanted_) {
    Error fault{};
    bool failed = false;
    if (wanted.kind == PortKind::kOutput) {
      Result<LinkWriter> writer =
          LinkWriter::attach(*directory, wanted.segment, memory_lock_, description_.bell_order);
      if (writer) {
        outputs_.push_back({wanted.port, std::move(writer).value()});
      } else {
        fault = writer.error();
        failed = true;
      }
    } else {
      Result<LinkReader> reader =
          LinkReader::attach(*directory, wanted.segment, memory_lock_, description_.bell_order);
      if (reader) {
        auto& ends = wanted.kind == PortKind::kInput ? inputs_ : commands_;
        ends.push_back({wanted.port, std::move(reader).value()});
      } else {
        fault = reader.error();
        failed = true;
      }
    }
    if (failed) {
      complain("cannot attach " + wanted.segment + ": " + describe_error(fault));
      return false;
    }
  }
  if (!attach_bells()) return false;
  if (is_sandboxed_ && !shut_in(directory->fd())) return false;
  points_.reserve(2 * (inputs_.size() + outputs_.size() + commands_.size()));
  exit_status = 0;
  return true;
}

void Stage::look_for_news() noexcept {
  for (InputEnd& end : inputs_) end.reader.look_for_news();
  for (InputEnd& end : commands_) end.reader.look_for_news();
  for (OutputEnd& end : outputs_) end.writer.look_for_news();
}

void Stage::collect_points(std::initializer_list<LinkWriter*> outputs) noexcept {
  points_.clear();
  for (InputEnd& end : inputs_) points_.push_back(end.reader.message_point());
  for (InputEnd& end : commands_) points_.push_back(end.reader.message_point());
  for (LinkWriter* output : outputs) points_.push_back(output->space_point());
  // Those for which there is no place any more are found when a sleep ends by its bound.
  const auto add_news = [&](std::optional<WaitPoint> point) {
    if (point && points_.size() < kWaitPointCountMax) points_.push_back(*point);
  };
  for (InputEnd& end : inputs_) add_news(end.reader.news_point());
  for (InputEnd& end : commands_) add_news(end.reader.news_point());
  for (OutputEnd& end : outputs_) add_news(end.writer.news_point());
}

void Stage::collect_points_of(LinkReader& input) noexcept {
  points_.clear();
  points_.push_back(input.message_point());
  if (const std::optional<WaitPoint> news = input.news_point()) points_.push_back(*news);
}

// Who is at the other ends of our links has our bell, if we have one.  A command's writer has not:
// were it waited for, every sleep would be a short one.
void Stage::collect_bell_points(std::initializer_list<LinkWriter*> outputs) noexcept {
  points_.clear();
  for (InputEnd& end : inputs_) points_.push_back(end.reader.message_point());
  for (LinkWriter* output : outputs) points_.push_back(output->space_point());
  for (WaitPoint& point : points_) point.signals_event = bell_.has_value();
}

int Stage::epoll_events(int epoll_fd, std::span<epoll_event> events, int bound_ms) noexcept {
  const int count = epoll_wait(epoll_fd, events.data(), static_cast<int>(events.size()), bound_ms);
  check(count >= 0 || errno == EINTR, "epoll_wait with valid arguments");
  return std::max(count, 0);
}

int Stage::finish() noexcept {
  for (OutputEnd& end : outputs_) end.writer.close();
  for (InputEnd& end : inputs_) end.reader.close();
  return 0;
}


}  // namespace slipring
