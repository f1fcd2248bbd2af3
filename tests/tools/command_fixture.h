// Runs the real program against a segment directory of its own.
#pragma once

#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipelines/link/link_layout.h"
#include "platform/memory/segment_directory.h"
#include "platform/process/descriptor.h"
#include "platform/process/peer.h"

namespace slipring::tools {

struct Ending {
  int exit_status = -1;  // -1: ended by a signal
  int signal_number = 0;
  std::string out;
  std::string err;
};

// A call of the program that has not ended yet.
struct Running {
  Peer peer;
  Descriptor out;
  Descriptor err;
};

struct CallOptions {
  std::vector<std::string> environment = {};  // "KEY=VALUE"
  int stdout_fd = -1;                         // instead of one that is read
  int stdin_fd = -1;                          // instead of /dev/null
};

class CommandFixture {
 public:
  // Makes the directory and points $SLIPRING_DIR to it.
  CommandFixture();
  ~CommandFixture();
  CommandFixture(const CommandFixture&) = delete;
  CommandFixture& operator=(const CommandFixture&) = delete;

  // Starts `slipring WORDS...`; the test fails if it cannot be started.
  [[nodiscard]] Running start(const std::vector<std::string>& words,
                              const CallOptions& options = {}) const;
  // Waits for its end; the test fails if that does not come.
  [[nodiscard]] Ending finish(Running running) const;
  [[nodiscard]] Ending call(const std::vector<std::string>& words,
                            const CallOptions& options = {}) const;

  [[nodiscard]] const SegmentDirectory& directory() const { return *directory_; }
  [[nodiscard]] const std::string& path() const { return path_; }

  void make_records(std::string_view name, std::uint64_t capacity_bytes = 4096) const;
  void make_slots(std::string_view name, const LinkShape& shape) const;

  // Overwrites bytes of a segment's file, as no correct program does.
  void scribble(const std::string& name, std::uint64_t offset_bytes, std::string_view bytes) const;

 private:
  std::string path_;
  std::unique_ptr<SegmentDirectory> directory_;
};

[[nodiscard]] bool contains(std::string_view text, std::string_view part);
[[nodiscard]] std::vector<std::string> lines_of(std::string_view text);

}  // namespace slipring::tools
