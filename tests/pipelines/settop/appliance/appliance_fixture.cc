#include "tests/pipelines/settop/appliance/appliance_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <doctest/doctest.h>

#include "pipelines/link/board.h"

namespace slipring::test {
namespace {

[[nodiscard]] int decode_status(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

[[nodiscard]] std::string make_folder(const char* parent) {
  std::string name = std::string(parent) + "/settop-test-XXXXXX";
  REQUIRE(mkdtemp(name.data()) != nullptr);
  return name;
}

[[nodiscard]] std::string temporary_folder() {
  const char* folder = getenv("TEST_TMPDIR");
  return folder != nullptr ? folder : "/tmp";
}

// The MD5s of a framemd5 file, in order.
[[nodiscard]] std::vector<std::string> last_words(const std::string& path) {
  std::vector<std::string> words;
  std::ifstream lines(path);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line[0] == '#') continue;
    words.push_back(line.substr(line.find_last_of(' ') + 1));
  }
  return words;
}

}  // namespace

Workshop::Workshop()
    : folder_(make_folder(temporary_folder().c_str())), segments_(make_folder("/dev/shm")) {}

Workshop::~Workshop() {
  std::filesystem::remove_all(folder_);
  std::filesystem::remove_all(segments_);
}

std::vector<std::string> Workshop::leftovers() const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(segments_)) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

int shell(const std::string& command) {
  return decode_status(system(command.c_str()));
}

Process::Process(const std::vector<std::string>& words, const std::string& log_path,
                 const std::vector<std::string>& environment) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  pid_ = fork();
  REQUIRE(pid_ >= 0);
  if (pid_ != 0) return;
  const int log = open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  dup2(log, 1);
  dup2(log, 2);
  for (const std::string& setting : environment) putenv(const_cast<char*>(setting.c_str()));
  execv(arguments[0], arguments.data());
  _exit(127);
}

Process::~Process() {
  if (!is_running()) return;
  ::kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

bool Process::is_running() {
  if (pid_ < 0) return false;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return true;
  status_ = decode_status(status);
  pid_ = -1;
  return false;
}

void Process::send(int signal_number) const {
  REQUIRE(::kill(pid_, signal_number) == 0);
}

int Process::wait(int seconds) {
  return eventually([this] { return !is_running(); }, seconds) ? status_ : -1;
}

std::string data(const std::string& workspace_path) {
  const char* runfiles = getenv("TEST_SRCDIR");
  const char* workspace = getenv("TEST_WORKSPACE");
  REQUIRE(runfiles != nullptr);
  return std::string(runfiles) + "/" + (workspace != nullptr ? workspace : "slipring") + "/" +
         workspace_path;
}

std::string slipring() {
  return data("tools/slipring");
}

std::vector<std::string> run_words(
    const std::vector<std::pair<std::string, std::string>>& settings) {
  std::vector<std::string> words = {slipring(), "run", data("pipelines/settop/settop.toml"),
                                    "--quiet"};
  for (const auto& [key, value] : settings) {
    words.push_back("--set");
    words.push_back(key + "=" + value);
  }
  return words;
}

Digests read_digests(const std::string& path) {
  Digests digests;
  std::ifstream lines(path);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line[0] == '#') continue;
    digests[std::stoi(line)].push_back(line.substr(line.find_last_of(' ') + 1));
  }
  return digests;
}

std::vector<std::string> reference_pictures(const Workshop& shop, const std::string& stream,
                                            const std::string& map) {
  const std::string path = shop.file("reference.framemd5");
  REQUIRE(shell("ffmpeg -nostdin -v error -y -i '" + stream + "' -map " + map +
                " -fps_mode passthrough -f framemd5 '" + path + "'") == 0);
  return last_words(path);
}

std::string reference_sound(const Workshop& shop, const std::string& stream,
                            const std::string& map) {
  const std::string path = shop.file("reference.s16");
  REQUIRE(shell("ffmpeg -nostdin -v error -y -i '" + stream + "' -map " + map + " -f s16le '" +
                path + "'") == 0);
  return contents(path);
}

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream all;
  all << file.rdbuf();
  return all.str();
}

std::string wav_samples(const std::string& path) {
  const std::string wav = contents(path);
  const std::size_t at = wav.find("data");
  REQUIRE(at != std::string::npos);
  std::uint32_t size_bytes = 0;
  std::memcpy(&size_bytes, wav.data() + at + 4, sizeof size_bytes);
  CHECK(wav.size() == at + 8 + size_bytes);
  return wav.substr(at + 8);
}

std::uint64_t board_number(const Workshop& shop, const std::string& stage,
                           const std::string& name) {
  Result<SegmentDirectory> directory = SegmentDirectory::open_at(shop.segments());
  if (!directory) return 0;
  Result<BoardObserver> board = BoardObserver::attach(*directory, "settop." + stage + ".board");
  return board ? board->value_of(name) : 0;
}

pid_t stage_pid(const Workshop& shop, const std::string& stage) {
  Result<SegmentDirectory> directory = SegmentDirectory::open_at(shop.segments());
  if (!directory) return 0;
  Result<BoardObserver> board = BoardObserver::attach(*directory, "settop." + stage + ".board");
  return board && board->is_held() ? static_cast<pid_t>(board->process_id()) : 0;
}

}  // namespace slipring::test
