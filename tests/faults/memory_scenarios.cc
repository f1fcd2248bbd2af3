// platform/memory: directories, segments, mappings, memory without a name.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "platform/memory/mapping.h"
#include "platform/memory/memory_file.h"
#include "platform/memory/numa.h"
#include "platform/memory/page_size.h"
#include "platform/memory/residency.h"
#include "platform/memory/segment_file.h"
#include "platform/process/descriptor.h"
#include "tests/faults/scenario.h"

namespace slipring::faults {

namespace {

constexpr std::uint64_t kSegmentBytes = 16384;
constexpr std::uint64_t kHugeFileBytes = 4u << 20;

void publish_one(Stage& stage, const char* name) {
  NewSegment made = needed(NewSegment::create(*stage.directory, name, kSegmentBytes));
  needed(made.publish());
}

bool can_be_opened(Stage& stage, const char* name) {
  return SegmentFile::open(*stage.directory, name).ok();
}

void prepare_segment(Stage& stage) {
  prepare_directory(stage);
  publish_one(stage, "a");
}

const char* verify_segment(Stage& stage) {
  return can_be_opened(stage, "a") ? nullptr : "the segment beside it cannot be opened any more";
}

Outcome create_and_publish(Stage& stage, const SegmentOptions& options) {
  Result<NewSegment> made = NewSegment::create(*stage.directory, "a", kSegmentBytes, options);
  if (!made.ok()) return Outcome::failed(made.error());
  if (Status published = made->publish(); !published.ok()) {
    return Outcome::failed(published.error());
  }
  if (made->numa().outcome == NumaOutcome::kUnavailable) {
    return Outcome::downgraded(made->numa().os_errno, "NumaReport::os_errno");
  }
  return Outcome::done();
}

void remove_a(Stage& stage) {
  needed(remove_segment(*stage.directory, "a"));
}

// A lock file that a creator left which died between its two links.
void leave_orphan(Stage& stage) {
  const Descriptor orphan(
      ::openat(stage.directory->fd(), ".a.12345.lock", O_CREAT | O_RDWR | O_CLOEXEC, 0600));
  if (!orphan.is_open()) scenario_broken("no orphan");
}

std::vector<Scenario> directory_scenarios() {
  std::vector<Scenario> all;
  const auto open = [](Stage& stage) {
    return Outcome::of(SegmentDirectory::open_at(stage.path + "/new"));
  };
  const auto drop = [](Stage& stage) { ::rmdir((stage.path + "/new").c_str()); };
  all.push_back({.name = "directory: open", .run = [](Stage& stage) {
                   return Outcome::of(SegmentDirectory::open_at(stage.path));
                 }});
  all.push_back({.name = "directory: make", .run = open, .undo = drop});
  all.push_back({.name = "directory: make under an odd umask",
                 .prepare = [](Stage&) { ::umask(0200); },
                 .run = open,
                 .undo =
                     [](Stage& stage) {
                       struct stat found = {};
                       const std::string path = stage.path + "/new";
                       if (::stat(path.c_str(), &found) != 0 || (found.st_mode & 0777) != 0700) {
                         scenario_broken("a mode that is not 0700");
                       }
                       ::rmdir(path.c_str());
                     }});
  all.push_back({.name = "directory: list",
                 .prepare =
                     [](Stage& stage) {
                       prepare_segment(stage);
                       publish_one(stage, "b");
                     },
                 .run =
                     [](Stage& stage) {
                       auto names = stage.directory->list();
                       if (!names.ok()) return Outcome::failed(names.error());
                       return names->size() == 2 ? Outcome::done()
                                                 : Outcome::lying("a list that lacks a segment");
                     }});
  return all;
}

std::vector<Scenario> segment_scenarios() {
  std::vector<Scenario> all;
  all.push_back({.name = "segment: create",
                 .prepare = prepare_directory,
                 .run = [](Stage& stage) { return create_and_publish(stage, {}); },
                 .undo = remove_a});
  all.push_back({.name = "segment: create for a group",
                 .prepare = prepare_directory,
                 .run =
                     [](Stage& stage) {
                       return create_and_publish(stage, {.mode = 0660, .group = ::getegid()});
                     },
                 .undo = remove_a});
  all.push_back({.name = "segment: create on a node",
                 .prepare = prepare_directory,
                 .run =
                     [](Stage& stage) {
                       return create_and_publish(stage, {.numa = {NumaPolicy::kLocal, 0}});
                     },
                 .undo = remove_a});
  all.push_back({.name = "segment: create over an orphan",
                 .prepare = prepare_directory,
                 .arrange = leave_orphan,
                 .run = [](Stage& stage) { return create_and_publish(stage, {}); },
                 .undo =
                     [](Stage& stage) {
                       remove_a(stage);
                       leave_orphan(stage);
                     },
                 .may_leave = "; file gone: .a..lock"});
  // The sweep that precedes every create looks at a living segment's lock file.
  all.push_back({.name = "segment: create under a taken name",
                 .prepare = prepare_segment,
                 .run =
                     [](Stage& stage) {
                       return Outcome::of(NewSegment::create(*stage.directory, "a", kSegmentBytes));
                     },
                 .verify = verify_segment,
                 .expected = ErrorCode::kExists});
  all.push_back({.name = "segment: open",
                 .prepare = prepare_segment,
                 .run =
                     [](Stage& stage) {
                       Result<SegmentFile> file = SegmentFile::open(*stage.directory, "a");
                       if (!file.ok()) return Outcome::failed(file.error());
                       return Outcome::of(file->open_writable(*stage.directory));
                     },
                 .verify = verify_segment});
  all.push_back(
      {.name = "segment: remove",
       .prepare = prepare_directory,
       .arrange =
           [](Stage& stage) {
             if (!can_be_opened(stage, "a")) publish_one(stage, "a");
           },
       .run = [](Stage& stage) { return Outcome::of(remove_segment(*stage.directory, "a")); },
       .undo = [](Stage& stage) { publish_one(stage, "a"); }});
  return all;
}

// What a mapping's answer says of its wishes.
Outcome outcome_of(Result<Mapping> mapping) {
  if (!mapping.ok()) return Outcome::failed(mapping.error());
  const MappingReport& report = mapping->report();
  if (report.lock_errno != 0) return Outcome::downgraded(report.lock_errno, "lock_errno");
  if (report.numa.outcome == NumaOutcome::kUnavailable) {
    return Outcome::downgraded(report.numa.os_errno, "NumaReport::os_errno");
  }
  if (report.huge_errno != 0) return Outcome::downgraded(report.huge_errno, "huge_errno");
  if (report.prefault == Prefault::kTouched) return Outcome::downgraded(kAnyErrno, "kTouched");
  return Outcome::done();
}

Scenario map_scenario(const char* name, const MappingOptions& options) {
  return {.name = name,
          .prepare =
              [](Stage& stage) {
                prepare_segment(stage);
                stage.kept =
                    std::make_shared<SegmentFile>(needed(SegmentFile::open(*stage.directory, "a")));
              },
          .run =
              [options](Stage& stage) {
                auto& file = *std::any_cast<std::shared_ptr<SegmentFile>&>(stage.kept);
                if (options.access == Access::kReadOnly) {
                  return outcome_of(Mapping::map(file.read_only_fd(), 0, kSegmentBytes, options));
                }
                Result<Descriptor> writable = file.open_writable(*stage.directory);
                if (!writable.ok()) return Outcome::failed(writable.error());
                return outcome_of(Mapping::map(writable->get(), 0, kSegmentBytes, options));
              },
          .verify = verify_segment};
}

std::vector<Scenario> mapping_scenarios() {
  std::vector<Scenario> all;
  all.push_back(map_scenario("mapping: read-only, locked if possible",
                             {.access = Access::kReadOnly, .memory_lock = MemoryLock::kTry}));
  all.push_back(map_scenario("mapping: read-write, locked",
                             {.access = Access::kReadWrite, .memory_lock = MemoryLock::kRequire}));
  all.push_back(map_scenario("mapping: on a node, not locked", {.access = Access::kReadWrite,
                                                                .memory_lock = MemoryLock::kOff,
                                                                .numa = {NumaPolicy::kLocal, 0}}));
  all.push_back({.name = "mapping: huge pages",
                 .prepare =
                     [](Stage& stage) {
                       stage.kept = std::make_shared<MemoryFile>(
                           needed(make_memory_file(kHugeFileBytes, false)));
                     },
                 .run =
                     [](Stage& stage) {
                       auto& file = *std::any_cast<std::shared_ptr<MemoryFile>&>(stage.kept);
                       return outcome_of(Mapping::map(file.descriptor.get(), 0, kHugeFileBytes,
                                                      {.access = Access::kReadWrite,
                                                       .memory_lock = MemoryLock::kOff,
                                                       .huge_pages = true}));
                     }});
  return all;
}

std::vector<Scenario> other_scenarios() {
  std::vector<Scenario> all;
  all.push_back({.name = "memory file: make, and read-only", .run = [](Stage&) {
                   Result<MemoryFile> file = make_memory_file(kSegmentBytes, false);
                   if (!file.ok()) return Outcome::failed(file.error());
                   return Outcome::of(file->open_read_only());
                 }});
  all.push_back({.name = "memory file: of the pool if possible", .run = [](Stage&) {
                   Result<MemoryFile> file = make_memory_file(kSegmentBytes, true);
                   if (!file.ok()) return Outcome::failed(file.error());
                   return Outcome::downgraded(file->huge_errno, "huge_errno");
                 }});
  all.push_back({.name = "memory: the budget for locking",
                 .run = [](Stage&) { return Outcome::of(memlock_budget()); }});
  all.push_back({.name = "memory: what is resident", .run = [](Stage&) {
                   static char here[1];
                   return Outcome::of(residency_of(here, 1));
                 }});
  return all;
}

}  // namespace

std::vector<Scenario> memory_scenarios() {
  std::vector<Scenario> all;
  for (auto* part : {directory_scenarios, segment_scenarios, mapping_scenarios, other_scenarios}) {
    for (Scenario& scenario : part()) all.push_back(std::move(scenario));
  }
  return all;
}

}  // namespace slipring::faults
