#include "tests/pipelines/array/nbd/served_array.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "pipelines/link/board.h"
#include "tests/pipelines/array/nbd/nbd_client.h"

namespace slipring::test {
namespace {

constexpr int kPatienceSeconds = 60;

// The pipeline file as it is, but for the limit that ends a run whose stages die again and again.
std::string unlimited(const SocketFolder& folder, const std::string& pipeline) {
  std::string text = contents(data("pipelines/array/" + pipeline));
  const std::string limit = "restart_limit = 100\n";
  for (std::size_t at = text.find(limit); at != std::string::npos; at = text.find(limit, at)) {
    text.replace(at, limit.size(), "restart_limit = 1000000\n");
  }
  std::ofstream(folder.file(pipeline)) << text;
  return folder.file(pipeline);
}

std::vector<std::string> words_of(const SocketFolder& folder, const std::string& pipeline,
                                  std::vector<std::pair<std::string, std::string>> settings) {
  std::vector<std::string> words = {slipring(), "run", unlimited(folder, pipeline)};
  const auto set_unless_set = [&](const char* name, const std::string& value) {
    const bool is_set = std::any_of(settings.begin(), settings.end(),
                                    [name](const auto& one) { return one.first == name; });
    if (!is_set) settings.emplace_back(name, value);
  };
  set_unless_set("nbd.unix", folder.socket());
  if (pipeline == "plain.toml") {
    set_unless_set("file.paths", folder.file("disk"));
    set_unless_set("file.create_mib", "32");
  } else {
    for (const char* disk : {"disk0", "disk1", "disk2", "disk3"}) {
      set_unless_set((std::string(disk) + ".path").c_str(), folder.file(disk) + ".img");
    }
  }
  for (const auto& [name, value] : settings) {
    words.push_back("--set");
    words.push_back(name + "=" + value);
  }
  return words;
}

std::string stage_path(const std::string& own_programs) {
  std::string path = own_programs.empty() ? "" : own_programs + ":";
  for (const char* program : {"nbd", "file", "cache", "raid", "disk"}) {
    path += data(std::string("pipelines/array/") + program) + ":";
  }
  return path;
}

}  // namespace

SocketFolder::SocketFolder() : path_("/dev/shm/array-XXXXXX") {
  REQUIRE(mkdtemp(path_.data()) != nullptr);
}

SocketFolder::~SocketFolder() {
  std::filesystem::remove_all(path_);
}

std::vector<std::pair<std::string, std::string>> small_disks(const SocketFolder& folder, int level,
                                                             int disks) {
  std::vector<std::pair<std::string, std::string>> settings = {
      {"cache.memory_mib", "32"}, {"raid.log_mib", "8"}, {"raid.level", std::to_string(level)}};
  for (int i = 0; i < disks; ++i) {
    const std::string disk = "disk" + std::to_string(i);
    settings.emplace_back(disk + ".path", folder.file(disk));
    settings.emplace_back(disk + ".create_mib", "40");
  }
  return settings;
}

std::uint32_t setting(const char* name, std::uint32_t otherwise) {
  const char* text = getenv(name);
  return text != nullptr ? static_cast<std::uint32_t>(atoi(text)) : otherwise;
}

ServedArray::ServedArray(const std::string& pipeline,
                         std::vector<std::pair<std::string, std::string>> settings,
                         const std::string& own_programs)
    : run_(
          words_of(sockets_, pipeline, std::move(settings)), shop_.file("log"),
          {"SLIPRING_DIR=" + shop_.segments(), "SLIPRING_STAGE_PATH=" + stage_path(own_programs)}) {
  REQUIRE_MESSAGE(eventually([this] { return pid_of("nbd") != 0; }, kPatienceSeconds),
                  "the array does not start: " << log());
  REQUIRE_MESSAGE(NbdClient::connect(socket()).has_value(), "nobody listens: " << log());
}

pid_t ServedArray::pid_of(const std::string& stage) const {
  Result<SegmentDirectory> directory = SegmentDirectory::open_at(shop_.segments());
  if (!directory) return 0;
  Result<BoardObserver> board = BoardObserver::attach(*directory, "array." + stage + ".board");
  return board && board->is_held() ? static_cast<pid_t>(board->process_id()) : 0;
}

std::uint64_t ServedArray::number(const std::string& stage, const std::string& name) const {
  Result<SegmentDirectory> directory = SegmentDirectory::open_at(shop_.segments());
  if (!directory) return 0;
  Result<BoardObserver> board = BoardObserver::attach(*directory, "array." + stage + ".board");
  return board ? board->value_of(name) : 0;
}

std::uint32_t ServedArray::life_of(const std::string& stage) const {
  Result<SegmentDirectory> directory = SegmentDirectory::open_at(shop_.segments());
  if (!directory) return 0;
  Result<BoardObserver> board = BoardObserver::attach(*directory, "array." + stage + ".board");
  return board ? board->incarnation() : 0;
}

void ServedArray::kill_stage(const std::string& stage) const {
  const std::uint32_t life = life_of(stage);
  const pid_t pid = pid_of(stage);
  REQUIRE_MESSAGE(pid != 0, "nobody is " << stage << ": " << log());
  REQUIRE(kill(pid, SIGKILL) == 0);
  REQUIRE_MESSAGE(eventually([&] { return life_of(stage) > life; }, kPatienceSeconds),
                  stage << " has no successor: " << log());
}

int ServedArray::stop() {
  run_.send(SIGTERM);
  return run_.wait(kPatienceSeconds);
}

}  // namespace slipring::test
