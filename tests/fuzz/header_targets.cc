// What a segment says about itself, and the pages that observers read.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>

#include "core/error/check.h"
#include "core/segment/segment_layout.h"
#include "pipelines/link/board.h"
#include "pipelines/link/link_layout.h"
#include "pipelines/link/link_observer.h"
#include "pipelines/link/link_segment.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/targets.h"

namespace slipring::fuzz {
namespace {

[[nodiscard]] LinkShape some_shape(std::size_t which) {
  LinkShape shape;
  shape.kind = which == 0   ? SegmentKind::kRecordLink
               : which == 1 ? SegmentKind::kValueLink
                            : SegmentKind::kSlotLink;
  if (which == 0) {
    shape.capacity_bytes = 4096;
    return shape;
  }
  shape.slot_count = 16;
  shape.slot_bytes = 64;
  if (which != 3) return shape;
  shape.pool_buffer_count = 8;
  shape.pool_buffer_bytes = 4096;
  shape.credit_count = 4;
  return shape;
}

// A header with a few fields changed and, mostly, a right check over them.
class HeaderTarget final : public FuzzTarget {
 public:
  void run(std::span<const std::uint8_t> bytes, Tally& tally) override {
    FuzzInput input(bytes);
    const std::uint8_t mode = input.byte();
    SegmentHeader header = make_link_header(some_shape(mode % 4), "fuzz", 4096);
    std::uint64_t file_bytes = header.total_bytes;
    for (std::uint32_t changes = mode / 4 % 4; changes != 0; --changes) change(header, input);
    if (mode >= 16) header.check = segment_check(header);
    if (mode >= 240) file_bytes = hostile_value(input, {file_bytes, file_bytes, 4096});
    if (mode >= 128 && mode < 240) file_bytes = header.total_bytes;
    if (!validate_segment(header, file_bytes)) return tally.count(Answer::kRefused);
    check_regions(header, file_bytes, tally);
    const Result<LinkShape> shape = shape_of(header);
    tally.count(shape.ok() ? Answer::kDone : Answer::kCorruptPeer);
    if (shape.ok()) check_shape(shape.value(), header, tally);
  }
  std::size_t make_input(Random& random, std::span<std::uint8_t> place) override {
    random.fill(place.first(32));
    return 32;
  }

 private:
  // Words of eight, four or one byte, anywhere.
  static void change(SegmentHeader& header, FuzzInput& input) {
    auto* bytes = reinterpret_cast<unsigned char*>(&header);
    const std::uint8_t width = input.byte();
    const std::size_t size = width < 128 ? 8 : width < 224 ? 4 : 1;
    // Mostly the counts, the parameters and the two regions.
    const std::uint32_t where = input.half();
    const std::size_t at =
        (where < 0xe000 ? 24 + where % 216 : where % sizeof header) / size * size;
    std::uint64_t now = 0;
    std::memcpy(&now, bytes + at, size);
    const std::uint64_t value = hostile_value(input, {now, now, 4096});
    std::memcpy(bytes + at, &value, size);
  }
  static void check_regions(const SegmentHeader& header, std::uint64_t file_bytes, Tally& tally) {
    std::uint64_t free_from = header.page_bytes;
    tally.expect(header.region_count <= kMaxRegions, "more regions than a header has");
    for (std::uint32_t i = 0; i < header.region_count && tally.broken == nullptr; ++i) {
      const Region& region = header.regions[i];
      tally.expect(region.offset_bytes >= free_from && region.offset_bytes <= file_bytes &&
                       region.size_bytes <= file_bytes - region.offset_bytes,
                   "a region outside the file, or over another");
      free_from = region.offset_bytes + region.size_bytes;
    }
  }
  static void check_shape(const LinkShape& shape, const SegmentHeader& header, Tally& tally) {
    const LinkParts parts = parts_of(shape, header.page_bytes);
    tally.expect(parts.ring_offset >= kTableOffset + shape.pool_buffer_count * sizeof(PoolWord),
                 "the ring over the table");
    tally.expect(parts.ring_offset < parts.buffers_offset &&
                     parts.ring_bytes <= parts.buffers_offset - parts.ring_offset,
                 "the ring over the buffers");
    tally.expect(parts.buffers_offset <= header.regions[0].size_bytes &&
                     pool_geometry(shape).buffer_bytes * shape.pool_buffer_count <=
                         header.regions[0].size_bytes - parts.buffers_offset,
                 "buffers outside the writer's region");
    tally.expect(
        kTableOffset + shape.pool_buffer_count * sizeof(PoolWord) <= header.regions[1].size_bytes,
        "a table outside the reader's region");
  }
};

// A segment without a name, so that nothing is left behind, all of it mapped to be scribbled over.
class NamelessSegment {
 public:
  template <typename Create>
  explicit NamelessSegment(Create create) {
    char path[] = "/dev/shm/slipring-fuzz-XXXXXX";
    check(::mkdtemp(path) != nullptr, "no directory");
    path_ = path;
    directory_.emplace(SegmentDirectory::open_at(path_).value());
    check(create(*directory_).ok(), "no segment");
    const int fd = ::open((path_ + "/fuzz").c_str(), O_RDWR | O_CLOEXEC);
    struct stat facts {};
    check(fd >= 0 && ::fstat(fd, &facts) == 0, "no segment's file");
    size_bytes_ = static_cast<std::size_t>(facts.st_size);
    void* address = ::mmap(nullptr, size_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    check(address != MAP_FAILED, "no segment's memory");
    bytes_ = static_cast<std::byte*>(address);
    ::close(fd);
  }
  NamelessSegment(const NamelessSegment&) = delete;
  NamelessSegment& operator=(const NamelessSegment&) = delete;
  ~NamelessSegment() { ::munmap(bytes_, size_bytes_); }

  // To be attached to once.
  [[nodiscard]] const SegmentDirectory& directory() const { return *directory_; }
  void forget_name() const { std::filesystem::remove_all(path_); }
  [[nodiscard]] std::byte* bytes() const { return bytes_; }

 private:
  std::string path_;
  std::optional<SegmentDirectory> directory_;
  std::byte* bytes_ = nullptr;
  std::size_t size_bytes_ = 0;
};

class BoardTarget final : public FuzzTarget {
 public:
  BoardTarget()
      : segment_([](const SegmentDirectory& directory) { return create_board(directory, "fuzz"); }),
        observer_(BoardObserver::attach(segment_.directory(), "fuzz").value()),
        page_(reinterpret_cast<BoardPage*>(segment_.bytes() + 4096)) {
    segment_.forget_name();
  }

  void run(std::span<const std::uint8_t> bytes, Tally& tally) override {
    FuzzInput input(bytes);
    const std::uint32_t at = input.byte() % kMaxBoardEntries;
    page_->entry_count.store(
        static_cast<std::uint32_t>(hostile_value(input, {0, at + 1, kMaxBoardEntries})),
        std::memory_order_relaxed);
    BoardEntry& entry = page_->entries[at];
    std::memset(entry.name, 0, sizeof entry.name);
    const std::size_t size = std::min(input.byte() % (sizeof entry.name + 1), input.rest().size());
    if (size != 0) std::memcpy(entry.name, input.rest().data(), size);
    const std::uint32_t count = observer_.entry_count();
    tally.expect(count <= kMaxBoardEntries, "more entries than a board has");
    const BoardObserver::Entry seen = observer_.entry(at);
    tally.expect(seen.name[kBoardNameBytes - 1] == '\0', "a name without an end");
    for (const char letter : seen.name) {
      tally.expect(letter == '\0' || (letter >= ' ' && letter <= '~'), "an unprintable name");
    }
    static_cast<void>(observer_.value_of({seen.name, std::strlen(seen.name)}));
    tally.count(count > at ? Answer::kDone : Answer::kBlocked);
  }
  std::size_t make_input(Random& random, std::span<std::uint8_t> place) override {
    random.fill(place.first(48));
    if (random.below(2) == 0) {
      for (std::uint8_t& byte : place.first(48)) {
        if (&byte > &place[5]) byte = static_cast<std::uint8_t>('a' + byte % 26);
      }
    }
    return 48;
  }

 private:
  NamelessSegment segment_;
  BoardObserver observer_;
  BoardPage* page_;
};

// What stat, top and the runner see of a link both of whose ends lie.
class LinkObserverTarget final : public FuzzTarget {
 public:
  LinkObserverTarget()
      : shape_(some_shape(3)),
        segment_([this](const SegmentDirectory& directory) {
          return create_link(directory, "fuzz", shape_);
        }),
        observer_(LinkObserver::attach(segment_.directory(), "fuzz").value()) {
    segment_.forget_name();
    const SegmentHeader header = make_link_header(shape_, "fuzz", 4096);
    regions_ = {segment_.bytes() + header.regions[0].offset_bytes,
                segment_.bytes() + header.regions[1].offset_bytes};
  }

  void run(std::span<const std::uint8_t> bytes, Tally& tally) override {
    FuzzInput input(bytes);
    for (int i = 0; i < 4; ++i) {
      std::byte* region = regions_[input.byte() % 2];
      auto& word = *reinterpret_cast<std::atomic<std::uint64_t>*>(region + input.half() % 136 * 8);
      word.store(hostile_value(input, {word.load(std::memory_order_relaxed), 16, 16}),
                 std::memory_order_relaxed);
      ++tally.scribbles;
    }
    const LinkReport report = observer_.report();
    tally.expect(report.fill <= report.capacity && report.capacity == shape_.slot_count,
                 "more than a full link");
    tally.expect(report.pool_lent_count <= shape_.pool_buffer_count, "more lent than there are");
    tally.expect(static_cast<std::uint32_t>(report.writer.state) <= 2 &&
                     static_cast<std::uint32_t>(report.reader.state) <= 2,
                 "a state that there is not");
    tally.count(report.fill != 0 ? Answer::kDone : Answer::kBlocked);
  }
  std::size_t make_input(Random& random, std::span<std::uint8_t> place) override {
    random.fill(place.first(24));
    return 24;
  }

 private:
  LinkShape shape_;
  NamelessSegment segment_;
  LinkObserver observer_;
  std::array<std::byte*, 2> regions_{};
};

constexpr std::array<TargetInfo, 3> kTargets{{
    {"segment_header", TargetKind::kParser,
     "a link's header with at most 3 words changed, validated, and its shape read",
     make_target<HeaderTarget>},
    {"board", TargetKind::kParser, "a count and a name stored in a board, and the entry observed",
     make_target<BoardTarget>},
    {"link_observer", TargetKind::kShared,
     "4 stores to the ends' pages and tables, and one report of the link",
     make_target<LinkObserverTarget>},
}};

}  // namespace

std::span<const TargetInfo> header_targets() {
  return kTargets;
}

}  // namespace slipring::fuzz
