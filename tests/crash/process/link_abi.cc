// One end of a link, as a program that is built for two processors (link_abi_test.sh).
// usage: link_abi create DIRECTORY
//        link_abi write|read DIRECTORY COUNT end|die|hold
// end: closes; die: is killed with the role held; hold: says "held" and waits for its own death.
// A reader that dies holds its last message.  Exit status 40: the role is busy.

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string_view>
#include <utility>

#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"

namespace slipring {
namespace {

constexpr const char* kName = "abi.link";
constexpr int kExitBusy = 40;

[[nodiscard]] int refused(const Error& error) {
  if (error.code == ErrorCode::kBusy) return kExitBusy;
  std::fprintf(stderr, "link_abi: %s: %s\n", name_of(error.code), error.doing);
  return 1;
}

// What is done with the role in the end; never returns for "die" and "hold".
void part(std::string_view how) {
  if (how == "die") raise(SIGKILL);
  if (how != "hold") return;
  std::printf("held\n");
  std::fflush(stdout);
  for (;;) pause();
}

int write_numbers(const SegmentDirectory& directory, std::uint64_t count, std::string_view how) {
  Result<LinkWriter> writer = LinkWriter::attach(directory, kName);
  if (!writer) return refused(writer.error());
  for (std::uint64_t i = 0; i < count; ++i) {
    std::span<std::byte> place;
    if (writer->try_reserve(sizeof(std::uint64_t), place) != Transfer::kDone) return 2;
    const std::uint64_t number = writer->position();
    std::memcpy(place.data(), &number, sizeof number);
    writer->commit(sizeof number);
  }
  part(how);
  writer->close();
  std::printf("incarnation %u\n", static_cast<unsigned>(writer->incarnation()));
  return 0;
}

int read_numbers(const SegmentDirectory& directory, std::uint64_t count, std::string_view how) {
  Result<LinkReader> reader = LinkReader::attach(directory, kName);
  if (!reader) return refused(reader.error());
  for (std::uint64_t i = 0; i < count; ++i) {
    Message message;
    if (reader->try_peek(message) != Transfer::kDone) return 2;
    std::uint64_t number = 0;
    std::memcpy(&number, message.bytes.data(), sizeof number);
    if (number != message.position) return 3;
    // A predecessor has left exactly one that it held.
    if (message.redelivered != (i == 0 && reader->incarnation() > 1)) return 4;
    if (i + 1 < count || how == "end") reader->release(message);
  }
  part(how);
  std::printf("incarnation %u, finished %d\n", static_cast<unsigned>(reader->incarnation()),
              reader->is_finished() ? 1 : 0);
  return 0;
}

int run(int argc, char** argv) {
  if (argc < 3) return 2;
  Result<SegmentDirectory> directory = SegmentDirectory::open_at(argv[2]);
  if (!directory) return refused(directory.error());
  const std::string_view what = argv[1];
  if (what == "create") {
    LinkShape shape;
    shape.kind = SegmentKind::kSlotLink;
    shape.slot_count = 64;
    shape.slot_bytes = 24;
    const Status made = create_link(*directory, kName, shape);
    return made.ok() ? 0 : refused(made.error());
  }
  if (argc < 5) return 2;
  const std::uint64_t count = std::strtoull(argv[3], nullptr, 10);
  return what == "write" ? write_numbers(*directory, count, argv[4])
                         : read_numbers(*directory, count, argv[4]);
}

}  // namespace
}  // namespace slipring

int main(int argc, char** argv) {
  return slipring::run(argc, argv);
}
