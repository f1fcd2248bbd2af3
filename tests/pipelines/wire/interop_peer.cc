// One machine of two that exchange messages over a wire, to be compiled for another processor than
// the other's: interop_peer DIRECTORY ADDRESS listen|connect send|receive COUNT
// Prints how many messages there were, and the CRC-32C of all their bytes.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <sched.h>

#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/wire/crc32c.h"
#include "platform/wait/clock.h"
#include "tests/pipelines/wire/wire_process.h"

namespace slipring::wire {
namespace {

constexpr const char* kLink = "line";
constexpr std::uint64_t kPatienceNs = 120'000'000'000;

// Bytes that do not depend on the machine.
std::vector<std::byte> message_of(std::uint32_t number) {
  std::vector<std::byte> message(number * 37 % 900);
  std::uint32_t state = number;
  for (std::byte& byte : message) {
    state = state * 1664525U + 1013904223U;
    byte = static_cast<std::byte>(state >> 24);
  }
  return message;
}

int fail(const char* what) {
  std::fprintf(stderr, "interop_peer: %s\n", what);
  return 1;
}

int send_all(const SegmentDirectory& directory, std::uint32_t count, std::uint64_t until_ns) {
  Result<LinkWriter> writer = LinkWriter::attach(directory, kLink);
  if (!writer) return fail(writer.error().doing);
  std::uint32_t crc = 0;
  for (std::uint32_t i = 0; i < count;) {
    const std::vector<std::byte> message = message_of(i);
    std::span<std::byte> place;
    if (writer->try_reserve(message.size(), place) != Transfer::kDone) {
      if (monotonic_ns() > until_ns) return fail("the link stays full");
      sched_yield();
      continue;
    }
    if (!message.empty()) std::memcpy(place.data(), message.data(), message.size());
    writer->commit(message.size());
    crc = crc32c(crc, message);
    ++i;
  }
  writer->close();
  std::printf("%u %08x\n", count, crc);
  return 0;
}

int receive_all(const SegmentDirectory& directory, std::uint64_t until_ns) {
  Result<LinkReader> reader = LinkReader::attach(directory, kLink);
  if (!reader) return fail(reader.error().doing);
  std::uint32_t crc = 0;
  std::uint32_t count = 0;
  while (!reader->is_finished()) {
    Message message;
    if (reader->try_peek(message) != Transfer::kDone) {
      if (monotonic_ns() > until_ns) return fail("nothing comes");
      sched_yield();
      continue;
    }
    const std::vector<std::byte> copy(message.bytes.begin(), message.bytes.end());
    if (copy != message_of(count)) return fail("a message that was not sent");
    crc = crc32c(crc, copy);
    ++count;
    reader->release(message);
  }
  std::printf("%u %08x\n", count, crc);
  return 0;
}

int run(int argc, char** argv) {
  if (argc != 6) return fail("usage: DIRECTORY ADDRESS listen|connect send|receive COUNT");
  const bool sends = std::string_view(argv[4]) == "send";
  Result<SegmentDirectory> directory = SegmentDirectory::open_at(argv[1]);
  if (!directory) return fail(directory.error().doing);
  LinkShape shape;
  shape.kind = SegmentKind::kRecordLink;
  shape.capacity_bytes = 65536;
  if (Status made = create_link(*directory, kLink, shape); !made) return fail(made.error().doing);
  WireProcess process({argv[1], argv[2], kLink, sends ? LinkSide::kSender : LinkSide::kReceiver,
                       std::string_view(argv[3]) == "listen"});
  process.start();
  const std::uint64_t until_ns = deadline_after(kPatienceNs);
  const auto count = static_cast<std::uint32_t>(std::strtoul(argv[5], nullptr, 10));
  const int status =
      sends ? send_all(*directory, count, until_ns) : receive_all(*directory, until_ns);
  std::fflush(stdout);
  if (status != 0) return status;
  for (;;) {
    if (const std::optional<int> ended = process.try_reap()) return *ended;
    if (monotonic_ns() > until_ns) return fail("the wire does not end");
    sched_yield();
  }
}

}  // namespace
}  // namespace slipring::wire

int main(int argc, char** argv) {
  return slipring::wire::run(argc, argv);
}
