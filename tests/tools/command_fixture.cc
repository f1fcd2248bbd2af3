#include "tests/tools/command_fixture.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "pipelines/link/link_segment.h"
#include "platform/process/child.h"
#include "platform/wait/clock.h"

namespace slipring::tools {
namespace {

// Long for a loaded machine; only a program that hangs gets there.
constexpr std::uint64_t kEndDeadlineNs = 60'000'000'000;

Descriptor memory_file() {
  Descriptor file(memfd_create("output", MFD_CLOEXEC));
  REQUIRE(file.is_open());
  return file;
}

std::string text_of(const Descriptor& file) {
  std::string text;
  std::array<char, 4096> piece{};
  off_t offset = 0;
  for (;;) {
    const ssize_t got = pread(file.get(), piece.data(), piece.size(), offset);
    if (got <= 0) return text;
    text.append(piece.data(), static_cast<std::size_t>(got));
    offset += got;
  }
}

}  // namespace

CommandFixture::CommandFixture() {
  std::string pattern = "/dev/shm/slipring-tools-test-XXXXXX";
  REQUIRE(mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
  REQUIRE(setenv("SLIPRING_DIR", path_.c_str(), 1) == 0);
  Result<SegmentDirectory> opened = SegmentDirectory::open();
  REQUIRE(opened.ok());
  directory_ = std::make_unique<SegmentDirectory>(std::move(opened).value());
}

CommandFixture::~CommandFixture() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Running CommandFixture::start(const std::vector<std::string>& words,
                              const CallOptions& options) const {
  Descriptor out = memory_file();
  Descriptor err = memory_file();
  ChildOptions child;
  child.program = "tools/slipring";
  child.arguments = words;
  child.environment = options.environment;
  child.stdin_fd = options.stdin_fd;
  child.stdout_fd = options.stdout_fd >= 0 ? options.stdout_fd : out.get();
  child.stderr_fd = err.get();
  Result<Peer> peer = start_child(child);
  REQUIRE(peer.ok());
  return {std::move(peer).value(), std::move(out), std::move(err)};
}

Ending CommandFixture::finish(Running running) const {
  Result<std::optional<ExitStatus>> reaped = running.peer.reap(deadline_after(kEndDeadlineNs));
  REQUIRE(reaped.ok());
  REQUIRE_MESSAGE(reaped->has_value(), "the program hangs");
  Ending ending;
  const slipring::ExitStatus status = **reaped;
  if (status.by_signal) {
    ending.signal_number = status.value;
  } else {
    ending.exit_status = status.value;
  }
  ending.out = text_of(running.out);
  ending.err = text_of(running.err);
  return ending;
}

Ending CommandFixture::call(const std::vector<std::string>& words,
                            const CallOptions& options) const {
  return finish(start(words, options));
}

void CommandFixture::make_records(std::string_view name, std::uint64_t capacity_bytes) const {
  LinkShape shape;
  shape.kind = SegmentKind::kRecordLink;
  shape.capacity_bytes = capacity_bytes;
  REQUIRE(create_link(directory(), name, shape).ok());
}

void CommandFixture::make_slots(std::string_view name, const LinkShape& shape) const {
  REQUIRE(create_link(directory(), name, shape).ok());
}

void CommandFixture::scribble(const std::string& name, std::uint64_t offset_bytes,
                              std::string_view bytes) const {
  const Descriptor file(open((path_ + "/" + name).c_str(), O_WRONLY | O_CLOEXEC));
  REQUIRE(file.is_open());
  REQUIRE(pwrite(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset_bytes)) ==
          static_cast<ssize_t>(bytes.size()));
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

}  // namespace slipring::tools
