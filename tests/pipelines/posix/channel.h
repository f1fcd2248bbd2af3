// What the table of POSIX's promises is asked through: one writer and one reader of anything that
// carries bytes or messages, the kernel's or ours.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace slipring::posix {

struct Answer {
  enum class What : std::uint8_t {
    kDone,
    kBlocked,  // EAGAIN: full, or empty
    kEnd,      // end of file
    kBroken,   // EPIPE, ECONNREFUSED: nobody reads
    kTooLong,  // EMSGSIZE
    kFault,    // anything else
  };
  What what = What::kFault;
  std::size_t count = 0;  // bytes, with kDone
};

// Non-blocking throughout.  Destroying it closes it, for good.
class Writer {
 public:
  virtual ~Writer() = default;
  virtual Answer write(std::string_view bytes) = 0;
  // As poll() says; between begin_poll() and end_poll() what happens is noticed.
  virtual void begin_poll() = 0;
  virtual bool is_writable() = 0;
  virtual bool is_broken() = 0;  // POLLERR or POLLHUP
  virtual void end_poll() = 0;
};

class Reader {
 public:
  virtual ~Reader() = default;
  // At most `most` bytes, or one message.
  virtual Answer read(std::string& bytes, std::size_t most) = 0;
  virtual void begin_poll() = 0;
  virtual bool is_readable() = 0;
  virtual bool is_hung_up() = 0;  // POLLHUP or POLLRDHUP
  virtual void end_poll() = 0;
};

class Channel {
 public:
  virtual ~Channel() = default;
  // Once each, the reader first.
  virtual std::unique_ptr<Reader> reader() = 0;
  virtual std::unique_ptr<Writer> writer() = 0;
  // A process of its own that holds the writer, in place of writer(), and if it comes before
  // reader() no reader; it ends with what `body` answers.
  virtual pid_t fork_writer(const std::function<int(Writer&)>& body) = 0;
};

struct Kind {
  const char* name;
  std::function<std::unique_ptr<Channel>()> make;
};

// "pipe", "FIFO", "unix stream", "unix seqpacket", "unix datagram", "message queue".
[[nodiscard]] const Kind& kernel_kind(std::string_view name);
// "stream link", "record link", "lane set".
[[nodiscard]] const Kind& our_kind(std::string_view name);

}  // namespace slipring::posix
