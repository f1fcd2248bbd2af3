#include "tests/pipelines/array/power/power_record.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace slipring::array::test {
namespace {

constexpr std::uint64_t kFirst = 64;  // the end of what is taken is a word before it

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  std::abort();
}

std::atomic_ref<std::uint64_t> end_of(std::byte* bytes) {
  return std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(bytes));
}

bool has_data(EventKind kind) {
  return kind == EventKind::kWriteBegins || kind == EventKind::kDurableWriteBegins;
}

std::uint64_t size_of(const PowerEvent& event) {
  const std::uint64_t data_bytes = has_data(event.kind) ? event.length_bytes : 0;
  return sizeof(PowerEvent) + (data_bytes + 7) / 8 * 8;
}

}  // namespace

PowerRecord::PowerRecord(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || ftruncate(fd, kFileBytes) != 0) give_up(path.c_str());
  void* mapped = mmap(nullptr, kFileBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) give_up("mapping the record");
  close(fd);
  bytes_ = static_cast<std::byte*>(mapped);
}

PowerRecord::~PowerRecord() {
  munmap(bytes_, kFileBytes);
}

std::uint64_t PowerRecord::note(PowerEvent event, const std::byte* data) {
  // Sequentially consistent: the file's order is everybody's order.
  const std::uint64_t at = kFirst + end_of(bytes_).fetch_add(size_of(event));
  if (at + size_of(event) > kFileBytes) give_up("the record is full");
  event.position = at;
  std::memcpy(bytes_ + at, &event, sizeof event);
  if (has_data(event.kind)) std::memcpy(bytes_ + at + sizeof event, data, event.length_bytes);
  return at;
}

std::uint64_t PowerRecord::asked(std::uint64_t number) {
  PowerEvent event;
  event.kind = EventKind::kAsked;
  event.begin = number;
  return note(event);
}

std::uint64_t PowerRecord::answered(std::uint64_t number) {
  PowerEvent event;
  event.kind = EventKind::kAnswered;
  event.begin = number;
  return note(event);
}

std::vector<PowerEvent> PowerRecord::events() const {
  std::vector<PowerEvent> all;
  const std::uint64_t end = kFirst + end_of(bytes_).load();
  for (std::uint64_t at = kFirst; at < end;) {
    PowerEvent event;
    std::memcpy(&event, bytes_ + at, sizeof event);
    if (event.position != at) give_up("an event of the record is not whole");
    all.push_back(event);
    at += size_of(event);
  }
  return all;
}

const std::byte* PowerRecord::data_of(const PowerEvent& event) const {
  return bytes_ + event.position + sizeof event;
}

}  // namespace slipring::array::test
