// An array that is being served: `slipring run` beside the test, its socket, and its stages.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/pipelines/settop/appliance/appliance_fixture.h"

namespace slipring::test {

// A folder in memory, whose name is short enough for a unix socket's, wherever tests have their
// files.
class SocketFolder {
 public:
  SocketFolder();
  SocketFolder(const SocketFolder&) = delete;
  SocketFolder& operator=(const SocketFolder&) = delete;
  ~SocketFolder();
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] std::string socket() const { return file("socket"); }

 private:
  std::string path_;
};

// Blocks of small disks: the whole array with RAID-5 over four of them.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> small_disks(
    const SocketFolder& folder, int level = 5, int disks = 4);

// A campaign's number of that name in the environment.
[[nodiscard]] std::uint32_t setting(const char* name, std::uint32_t otherwise);

class ServedArray {
 public:
  // Runs the pipeline file of that name in pipelines/array with these options set and without its
  // limit of restarts, on a unix socket of its own and, unless set otherwise, with one new file of
  // 32 MiB in memory.  Stages' programs that lie in the folder `own_programs` are taken from there.
  explicit ServedArray(const std::string& pipeline = "plain.toml",
                       std::vector<std::pair<std::string, std::string>> settings = {},
                       const std::string& own_programs = "");

  [[nodiscard]] std::string socket() const { return sockets_.socket(); }
  [[nodiscard]] std::string file(const std::string& name) const { return sockets_.file(name); }
  [[nodiscard]] const std::string& segments() const { return shop_.segments(); }
  [[nodiscard]] std::string log() const { return contents(shop_.file("log")); }

  // 0 while nobody is it.
  [[nodiscard]] pid_t pid_of(const std::string& stage) const;
  [[nodiscard]] std::uint64_t number(const std::string& stage, const std::string& name) const;
  // How often the stage has been started.
  [[nodiscard]] std::uint32_t life_of(const std::string& stage) const;
  // Kills it, and waits until its successor is at work.
  void kill_stage(const std::string& stage) const;

  // Ends the run; the exit status.
  [[nodiscard]] int stop();

 private:
  Workshop shop_;
  SocketFolder sockets_;
  Process run_;
};

}  // namespace slipring::test
