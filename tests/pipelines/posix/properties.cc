#include "tests/pipelines/posix/properties.h"

#include <limits.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace slipring::posix {
namespace {

using What = Answer::What;

// Of steps that a broken channel would let us take for ever; no sound one holds as many kilobytes.
constexpr std::size_t kMost = 20'000;

struct Ends {
  explicit Ends(const Make& make) : channel(make()), reader(channel->reader()) {}
  void open_writer() { writer = channel->writer(); }

  std::unique_ptr<Channel> channel;
  std::unique_ptr<Reader> reader;
  std::unique_ptr<Writer> writer;
};

struct OpenEnds : Ends {
  explicit OpenEnds(const Make& make) : Ends(make) { open_writer(); }
};

bool is(const Answer& answer, What what) {
  return answer.what == what;
}

// Everything that is there; how it stopped is `last`.
std::string read_all(Reader& reader, What& last) {
  std::string all;
  for (std::size_t count = 0; count < kMost; ++count) {
    std::string bytes;
    const Answer answer = reader.read(bytes, 70'000);
    last = answer.what;
    if (answer.what != What::kDone) break;
    if (answer.count == 0) {  // here nobody writes nothing
      last = What::kFault;
      break;
    }
    all += bytes;
  }
  return all;
}

// Numbered lines, as a byte stream or as messages.
std::string line(std::size_t number) {
  return "line " + std::to_string(number) + std::string(number % 50, '.') + "\n";
}

std::size_t fill(Writer& writer, const std::string& piece) {
  std::size_t count = 0;
  while (count < kMost && is(writer.write(piece), What::kDone)) ++count;
  return count;
}

}  // namespace

bool keeps_order(const Make& make) {
  OpenEnds ends(make);
  std::string wanted;
  std::string got;
  for (std::size_t number = 0; number < 5000; ++number) {
    const std::string text = line(number);
    if (!is(ends.writer->write(text), What::kDone)) return false;
    wanted += text;
    What last{};
    if (number % 7 == 6) got += read_all(*ends.reader, last);
  }
  What last{};
  got += read_all(*ends.reader, last);
  return got == wanted;
}

bool empty_would_block(const Make& make) {
  OpenEnds ends(make);
  std::string bytes;
  return is(ends.reader->read(bytes, 2000), What::kBlocked) &&
         is(ends.writer->write("x"), What::kDone) &&
         is(ends.reader->read(bytes, 2000), What::kDone) &&
         is(ends.reader->read(bytes, 2000), What::kBlocked);
}

bool full_would_block(const Make& make) {
  OpenEnds ends(make);
  const std::string piece(1000, 'x');
  for (std::size_t count = 0; count < kMost; ++count) {
    const Answer answer = ends.writer->write(piece);
    if (answer.what != What::kDone) return answer.what == What::kBlocked;
  }
  return false;
}

bool goes_on_when_there_is_room(const Make& make) {
  OpenEnds ends(make);
  const std::string piece(1000, 'x');
  fill(*ends.writer, piece);
  What last{};
  return !read_all(*ends.reader, last).empty() && is(ends.writer->write(piece), What::kDone);
}

bool ends_when_writer_closes(const Make& make) {
  OpenEnds ends(make);
  std::string bytes;
  if (!is(ends.writer->write("last words"), What::kDone)) return false;
  ends.writer.reset();
  return is(ends.reader->read(bytes, 2000), What::kDone) && bytes == "last words" &&
         is(ends.reader->read(bytes, 2000), What::kEnd) &&
         is(ends.reader->read(bytes, 2000), What::kEnd);
}

bool ends_when_writer_dies(const Make& make) {
  Ends ends(make);
  const pid_t writer = ends.channel->fork_writer([](Writer& end) {
    static_cast<void>(end.write("last words"));
    return raise(SIGKILL);
  });
  int status = 0;
  if (waitpid(writer, &status, 0) != writer || !WIFSIGNALED(status)) return false;
  std::string bytes;
  return is(ends.reader->read(bytes, 2000), What::kDone) && bytes == "last words" &&
         is(ends.reader->read(bytes, 2000), What::kEnd);
}

bool breaks_when_reader_closes(const Make& make) {
  OpenEnds ends(make);
  signal(SIGPIPE, SIG_IGN);
  const bool was_whole = is(ends.writer->write("x"), What::kDone);
  ends.reader.reset();
  const Answer answer = ends.writer->write("x");
  signal(SIGPIPE, SIG_DFL);
  return was_whole && is(answer, What::kBroken);
}

bool signals_when_reader_closes(const Make& make) {
  const std::unique_ptr<Channel> channel = make();
  int opened[2];
  int closed[2];
  if (pipe(opened) != 0 || pipe(closed) != 0) return false;
  // Waits for the closing, then writes with the signal as it is by default.
  const pid_t writer = channel->fork_writer([&](Writer& end) {
    close(closed[1]);
    char byte = 'x';
    if (write(opened[1], &byte, 1) != 1) return 1;
    static_cast<void>(read(closed[0], &byte, 1));
    signal(SIGPIPE, SIG_DFL);
    static_cast<void>(end.write("x"));
    return 0;
  });
  close(opened[1]);
  std::unique_ptr<Reader> reader = channel->reader();
  char byte = 0;
  const bool was_opened = read(opened[0], &byte, 1) == 1;
  reader.reset();
  for (const int fd : {opened[0], closed[0], closed[1]}) close(fd);
  int status = 0;
  return waitpid(writer, &status, 0) == writer && was_opened && WIFSIGNALED(status) &&
         WTERMSIG(status) == SIGPIPE;
}

bool polls_readable(const Make& make) {
  OpenEnds ends(make);
  ends.reader->begin_poll();
  const bool is_early = ends.reader->is_readable();
  const bool was_written = is(ends.writer->write("x"), What::kDone);
  const bool is_readable = ends.reader->is_readable();
  ends.reader->end_poll();
  std::string bytes;
  static_cast<void>(ends.reader->read(bytes, 2000));
  ends.reader->begin_poll();
  const bool stays = ends.reader->is_readable();
  ends.reader->end_poll();
  return was_written && !is_early && is_readable && !stays;
}

bool polls_writable(const Make& make) {
  OpenEnds ends(make);
  ends.writer->begin_poll();
  const bool is_writable = ends.writer->is_writable();
  ends.writer->end_poll();
  fill(*ends.writer, std::string(1000, 'x'));
  ends.writer->begin_poll();
  const bool is_full = !ends.writer->is_writable();
  What last{};
  static_cast<void>(read_all(*ends.reader, last));
  const bool is_writable_again = ends.writer->is_writable();
  ends.writer->end_poll();
  return is_writable && is_full && is_writable_again;
}

bool polls_hung_up(const Make& make) {
  OpenEnds ends(make);
  ends.reader->begin_poll();
  const bool is_early = ends.reader->is_hung_up();
  ends.writer.reset();
  const bool is_hung_up = ends.reader->is_hung_up();
  ends.reader->end_poll();
  return !is_early && is_hung_up;
}

bool polls_broken(const Make& make) {
  OpenEnds ends(make);
  ends.writer->begin_poll();
  const bool is_early = ends.writer->is_broken();
  ends.reader.reset();
  const bool is_broken = ends.writer->is_broken();
  ends.writer->end_poll();
  return !is_early && is_broken;
}

bool keeps_what_was_written_before_the_end(const Make& make) {
  OpenEnds ends(make);
  std::string wanted;
  for (std::size_t number = 0; number < 8; ++number) {
    if (!is(ends.writer->write(line(number)), What::kDone)) return false;
    wanted += line(number);
  }
  ends.writer.reset();
  What last{};
  return read_all(*ends.reader, last) == wanted && last == What::kEnd;
}

bool has_no_boundaries(const Make& make) {
  OpenEnds ends(make);
  std::string bytes;
  return is(ends.writer->write("one"), What::kDone) && is(ends.writer->write("two"), What::kDone) &&
         is(ends.reader->read(bytes, 4), What::kDone) && bytes == "onet" &&
         is(ends.reader->read(bytes, 100), What::kDone) && bytes == "wo";
}

bool reads_short(const Make& make) {
  OpenEnds ends(make);
  std::string bytes;
  return is(ends.writer->write("few"), What::kDone) &&
         is(ends.reader->read(bytes, 50'000), What::kDone) && bytes == "few";
}

bool writes_a_part(const Make& make) {
  OpenEnds ends(make);
  const std::string much(10'000'000, 'x');
  const Answer answer = ends.writer->write(much);
  return is(answer, What::kDone) && answer.count > 0 && answer.count < much.size();
}

bool holds_pipe_buf(const Make& make) {
  OpenEnds ends(make);
  const Answer answer = ends.writer->write(std::string(PIPE_BUF, 'x'));
  return is(answer, What::kDone) && answer.count == PIPE_BUF;
}

bool writes_pipe_buf_whole_or_not(const Make& make) {
  OpenEnds ends(make);
  // So that what is left at the end is less than a whole.
  if (!is(ends.writer->write(std::string(1000, 'x')), What::kDone)) return false;
  const std::string piece(PIPE_BUF, 'x');
  for (std::size_t count = 0; count < kMost; ++count) {
    const Answer answer = ends.writer->write(piece);
    if (answer.what != What::kDone) return answer.what == What::kBlocked;
    if (answer.count != piece.size()) return false;
  }
  return false;
}

bool keeps_boundaries(const Make& make) {
  OpenEnds ends(make);
  for (const char* text : {"one", "tw\no", "three"}) {
    if (!is(ends.writer->write(text), What::kDone)) return false;
  }
  for (const char* text : {"one", "tw\no", "three"}) {
    std::string bytes;
    if (!is(ends.reader->read(bytes, 2000), What::kDone) || bytes != text) return false;
  }
  return true;
}

bool carries_empty_messages(const Make& make) {
  OpenEnds ends(make);
  std::string bytes = "before";
  return is(ends.writer->write(""), What::kDone) && is(ends.writer->write("x"), What::kDone) &&
         is(ends.reader->read(bytes, 2000), What::kDone) && bytes.empty() &&
         is(ends.reader->read(bytes, 2000), What::kDone) && bytes == "x";
}

bool refuses_too_long_whole(const Make& make) {
  OpenEnds ends(make);
  std::string bytes;
  return is(ends.writer->write(std::string(10'000'000, 'x')), What::kTooLong) &&
         is(ends.reader->read(bytes, 2000), What::kBlocked);
}

bool takes_whole_messages_or_none(const Make& make) {
  OpenEnds ends(make);
  const std::size_t count = fill(*ends.writer, std::string(997, 'x'));
  for (std::size_t i = 0; i < count; ++i) {
    std::string bytes;
    if (!is(ends.reader->read(bytes, 2000), What::kDone) || bytes.size() != 997) return false;
  }
  std::string bytes;
  return count != 0 && is(ends.reader->read(bytes, 2000), What::kBlocked);
}

}  // namespace slipring::posix
