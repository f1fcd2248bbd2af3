#include "pipelines/stage/stage_output.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <string_view>

namespace slipring {
namespace {

constexpr std::size_t kMaxLineBytes = 4096;
// A stage that writes without end is read again at the next turn, so that the others get theirs.
constexpr int kMaxReadsATurn = 16;

}  // namespace

Result<StageOutput::Pipe> StageOutput::make_pipe() {
  int fds[2] = {-1, -1};
  if (pipe2(fds, O_CLOEXEC) != 0) {
    return Error{ErrorCode::kSystem, errno, "make a pipe for a stage's output"};
  }
  Pipe pipe{Descriptor(fds[0]), Descriptor(fds[1])};
  // Our end alone.
  if (fcntl(pipe.to_read.get(), F_SETFL, O_NONBLOCK) != 0) {
    return Error{ErrorCode::kSystem, errno, "set up a stage's output"};
  }
  return pipe;
}

void StageOutput::tell_lines(bool is_end) {
  std::size_t begin = 0;
  for (std::size_t end = pending_.find('\n'); end != std::string::npos;
       end = pending_.find('\n', begin)) {
    report_->stage_said(stage_name_, std::string_view(pending_).substr(begin, end - begin));
    begin = end + 1;
  }
  pending_.erase(0, begin);
  if (pending_.size() >= kMaxLineBytes || (is_end && !pending_.empty())) {
    report_->stage_said(stage_name_, pending_);
    pending_.clear();
  }
}

void StageOutput::read() {
  std::array<char, 4096> block;
  for (int reads = 0; reads < kMaxReadsATurn && to_read_.is_open(); ++reads) {
    const ssize_t got = ::read(to_read_.get(), block.data(), block.size());
    if (got > 0) {
      pending_.append(block.data(), static_cast<std::size_t>(got));
      tell_lines(false);
    } else if (got < 0 && errno == EINTR) {
      continue;
    } else if (got < 0 && errno == EAGAIN) {
      return;
    } else {
      close();
    }
  }
}

void StageOutput::close() {
  // Closing takes it out of an epoll instance: the descriptor was never duplicated.
  to_read_.reset();
  tell_lines(true);
}

}  // namespace slipring
