// A segment directory of the test's own, gone with it.
#pragma once

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"

namespace slipring::test {

class Directory {
 public:
  Directory() {
    char name[] = "/dev/shm/slipring-test-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    path_ = name;
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  ~Directory() { std::filesystem::remove_all(path_); }

  [[nodiscard]] SegmentDirectory open() const {
    Result<SegmentDirectory> directory = SegmentDirectory::open_at(path_);
    REQUIRE(directory.ok());
    return std::move(directory).value();
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

template <typename T>
[[nodiscard]] T must(Result<T> result) {
  if (!result.ok()) {
    FAIL(name_of(result.error().code)
         << ": " << result.error().doing << " errno " << result.error().os_errno << " found "
         << result.error().found);
  }
  return std::move(result).value();
}

[[nodiscard]] inline LinkShape records(std::uint64_t capacity_bytes) {
  LinkShape shape;
  shape.kind = SegmentKind::kRecordLink;
  shape.capacity_bytes = capacity_bytes;
  return shape;
}

[[nodiscard]] inline LinkShape slots(std::uint64_t slot_count, std::uint32_t slot_bytes) {
  LinkShape shape;
  shape.kind = SegmentKind::kSlotLink;
  shape.slot_count = slot_count;
  shape.slot_bytes = slot_bytes;
  return shape;
}

// Publishes one 64-bit number; false when the link is full.
[[nodiscard]] inline bool put(LinkWriter& writer, std::uint64_t number) {
  std::span<std::byte> place;
  if (writer.try_reserve(sizeof number, place) != Transfer::kDone) return false;
  std::memcpy(place.data(), &number, sizeof number);
  writer.commit(sizeof number);
  return true;
}

[[nodiscard]] inline std::uint64_t number_in(const Message& message) {
  std::uint64_t number = 0;
  std::memcpy(&number, message.bytes.data(), sizeof number);
  return number;
}

// Runs `body` in a process of its own, which ends with its return value.
template <typename Body>
[[nodiscard]] pid_t in_child(Body&& body) {
  const pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) _exit(body());
  return pid;
}

// The status of a child, reaped.
[[nodiscard]] inline int reap(pid_t pid) {
  int status = 0;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  return status;
}

}  // namespace slipring::test
