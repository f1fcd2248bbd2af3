// Descriptors that outlive the process of a stage: the runner keeps a duplicate of each, and the
// stage's successor inherits it.  So a connection of a client, or memory that nobody else has,
// survives the death of the stage that serves it.
//
// Protocol.  keep_protocol.h, over a socket pair of which the stage inherits one end.  What the
// stage has sent is the store's, even if the stage dies at the next instruction: it lies in our end
// of the pair, which is read empty before the successor starts.
//
// Accepting.  A process that dies between accept() and handing the socket in would lose a client
// that believes itself connected.  So the store, which lives in the runner, accepts on the stage's
// listening sockets: the connection is kept before the stage hears of it, and a successor inherits
// those that nobody told its predecessor about.  While the store is full it accepts nobody; clients
// wait in the listener's queue.
//
// Trust.  The socket pair is the stage's alone.  What comes over it is input all the same: names
// and numbers are bounded, and a stage that sends anything else has no store any more.
//
// One thread, the runner's.  Nothing here sleeps.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error/result.h"
#include "pipelines/stage/keep_protocol.h"
#include "platform/process/descriptor.h"
#include "platform/rendezvous/connection.h"

namespace slipring {

class DescriptorStore {
 public:
  // Errors: kSystem.
  static Result<DescriptorStore> make();

  // For the start of a process: a fresh socket pair.  Appends the words for its command line and
  // the descriptors that it must inherit, which stay ours.  Errors: kSystem.
  Status prepare(std::vector<std::string>& words, std::vector<int>& inherited);
  // The process runs, and has its end of the pair.
  void started() noexcept { theirs_.reset(); }
  // The process is dead: takes what it had sent.
  void ended();

  // For the owner's epoll; turn() when it is readable.
  [[nodiscard]] int poll_fd() const noexcept { return epoll_.get(); }
  void turn();

  [[nodiscard]] std::size_t count() const noexcept { return kept_.size(); }
  // What went wrong since the last call, in words; empty: nothing.
  [[nodiscard]] std::string take_complaint() { return std::exchange(complaint_, {}); }

 private:
  struct Kept {
    Descriptor descriptor;
    bool accepts = false;  // a listening socket that we accept on
    bool is_told = true;   // a connection: this process of the stage knows of it
  };

  explicit DescriptorStore(Descriptor epoll) : epoll_(std::move(epoll)) {}
  void take_packets();
  void obey(Packet& packet);
  void start_accepting(Kept& listener);
  void accept_all(const std::string& name);
  void tell();
  void watch_listeners();
  void hang_up(const char* why);

  Descriptor epoll_;
  Descriptor theirs_;
  std::optional<Connection> ours_;
  // Ordered, so that a successor learns of connections in an order that a test can know.
  std::map<std::string, Kept, std::less<>> kept_;
  std::uint64_t accepted_count_ = 0;  // numbers connections
  bool is_accepting_ = true;          // the listeners are in the epoll instance
  std::string complaint_;
};

}  // namespace slipring
