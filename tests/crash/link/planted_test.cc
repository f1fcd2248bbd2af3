// Every oracle of the walk is shown a bug that it must see.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "core/ring/slot_ring.h"
#include "pipelines/link/link_end.h"
#include "platform/memory/segment_file.h"
#include "platform/memory/segment_name.h"
#include "tests/crash/link/crash_report.h"
#include "tests/crash/link/file_scene.h"
#include "tests/crash/link/link_scene.h"
#include "tests/crash/link/private_tmpfs.h"

namespace slipring::crash {
namespace {

template <typename Planted>
void is_red(const char* name, const std::string& oracle) {
  const PrivateTmpfs tmpfs;
  const Operation operation{name, [&tmpfs] { return std::make_unique<Planted>(tmpfs); }};
  const Report report =
      walk_all({operation}, {.stride = 400, .stop_every = 1, .drawn_kills = 0, .seed = 1});
  MESSAGE(report.sum.text());
  CHECK(report.sum.violations > 0);
  bool is_named = false;
  std::string said;
  for (const std::string& failure : report.failures) {
    is_named = is_named || failure.find(oracle) != std::string::npos;
    said += "\n  " + failure;
  }
  CHECK_MESSAGE(is_named, "nobody said: " << oracle << said);
}

// The writer's end of a slot link in its parts, so that they can be put together wrongly.
struct WriterParts {
  explicit WriterParts(LinkHold hold)
      : end(std::move(hold)),
        ring(SlotProducer::attach(*reinterpret_cast<ProducerPage*>(end.own_bytes()),
                                  end.own_bytes() + end.parts().ring_offset,
                                  *reinterpret_cast<const ConsumerPage*>(end.peer_bytes()),
                                  slot_geometry(end.shape()))
                 .value()) {}
  LinkEnd end;
  SlotProducer ring;
};

class PlantedWriter : public LinkScene {
 public:
  explicit PlantedWriter(const PrivateTmpfs& tmpfs)
      : LinkScene(tmpfs, LinkSort::kSlots, Role::kWriter) {}

 protected:
  [[nodiscard]] LinkHold hold() {
    return std::move(take_role(segments(), kLinkName, Role::kWriter, MemoryLock::kOff)).value();
  }
  void fill_slot(SlotProducer& ring, std::uint64_t number) {
    std::span<std::byte> place;
    const Payload payload{0, number, proof_of(number)};
    if (ring.try_reserve(place) != Transfer::kDone) _exit(9);
    std::memcpy(place.data(), &payload, sizeof payload);
  }
};

class SaysDoneFirst : public PlantedWriter {
 public:
  using PlantedWriter::PlantedWriter;
  int child() override {
    WriterParts writer(hold());
    writer.end.open();
    mark();
    diary_->begun = 1;
    diary_->finished = 1;
    fill_slot(writer.ring, 0);
    writer.ring.commit();
    writer.end.ring();
    mark();
    return 0;
  }
};

class RingsFirst : public PlantedWriter {
 public:
  using PlantedWriter::PlantedWriter;
  void child_is_ready() override { fall_asleep(); }
  int child() override {
    WriterParts writer(hold());
    writer.end.open();
    mark();
    diary_->begun = 1;
    fill_slot(writer.ring, 0);
    writer.end.ring();
    writer.ring.commit();
    diary_->finished = 1;
    mark();
    return 0;
  }
};

class PublishesBeforeItWrites : public PlantedWriter {
 public:
  using PlantedWriter::PlantedWriter;
  int child() override {
    WriterParts writer(hold());
    writer.end.open();
    mark();
    diary_->begun = 1;
    std::span<std::byte> place;
    if (writer.ring.try_reserve(place) != Transfer::kDone) return 1;
    writer.ring.commit();
    const Payload payload{0, 0, proof_of(0)};
    std::memcpy(place.data(), &payload, sizeof payload);
    diary_->finished = 1;
    mark();
    return 0;
  }
};

// Lays its role down, and only then says that it is closed.
class StoresAfterRelease : public PlantedWriter {
 public:
  using PlantedWriter::PlantedWriter;
  int child() override {
    LinkHold held = hold();
    open_end(end_page(held.own), false);
    mark();
    held.certificate->release();
    end_page(held.own).state.store(static_cast<std::uint32_t>(EndState::kClosed));
    mark();
    return 0;
  }
};

// The writer's page, by somebody who has not asked for its role.
template <typename Act>
void meddle(const SegmentDirectory& directory, Act act) {
  Result<SegmentFile> file = SegmentFile::open(directory, kLinkName);
  Result<SegmentHeader> header = read_header(*file);
  Result<Descriptor> writable = file->open_writable(directory);
  MappingOptions options;
  options.access = Access::kReadWrite;
  options.memory_lock = MemoryLock::kOff;
  Result<Mapping> own = Mapping::map(writable->get(), header->regions[0].offset_bytes,
                                     header->regions[0].size_bytes, options);
  act(end_page(*own));
}
void count_an_incarnation(const SegmentDirectory& directory) {
  meddle(directory, [](EndPage& page) { page.incarnation.fetch_add(1); });
}

// An attach that counts the incarnation before it takes the certificate.
class CountsFirst : public PlantedWriter {
 public:
  using PlantedWriter::PlantedWriter;
  int child() override {
    mark();
    count_an_incarnation(segments());
    Result<Writer> writer = Writer::attach(segments(), kLinkName, LinkSort::kSlots);
    mark();
    return writer.ok() ? 0 : kExitBusy;
  }
};

// The same, of whoever asks while the child holds the role.
class AskerCountsFirst : public PlantedWriter {
 public:
  using PlantedWriter::PlantedWriter;
  int child() override {
    WriterParts writer(hold());
    mark();
    mark();
    return 0;
  }

 protected:
  Result<Writer> attach_writer() override {
    count_an_incarnation(segments());
    return Writer::attach(segments(), kLinkName, LinkSort::kSlots);
  }
};

// A successor that does not ring for what its predecessor published and did not ring for.
class SuccessorIsSilent : public PlantedWriter {
 public:
  using PlantedWriter::PlantedWriter;
  void child_is_ready() override { fall_asleep(); }
  int child() override {
    WriterParts writer(hold());
    writer.end.open();
    mark();
    diary_->begun = 1;
    fill_slot(writer.ring, 0);
    writer.ring.commit();
    writer.end.ring();
    diary_->finished = 1;
    mark();
    return 0;
  }

 protected:
  Result<Writer> attach_writer() override {
    std::uint32_t rings = 0;
    meddle(segments(), [&](const EndPage& page) { rings = page.bell.bell; });
    Result<Writer> writer = Writer::attach(segments(), kLinkName, LinkSort::kSlots);
    meddle(segments(), [&](EndPage& page) { page.bell.bell = rings; });
    return writer;
  }
};

// A reader that finishes a message before its user has seen it.
class FinishesEarly : public LinkScene {
 public:
  explicit FinishesEarly(const PrivateTmpfs& tmpfs)
      : LinkScene(tmpfs, LinkSort::kSlots, Role::kReader) {
    for (int i = 0; i < 3; ++i) static_cast<void>(writer_->put());
  }
  int child() override {
    Result<Reader> reader = attach_reader();
    Taken taken;
    mark();
    diary_->may_be_taken = 1;
    static_cast<void>(reader->take(taken));
    reader->release();
    diary_->taken = 1;
    diary_->begun = 1;
    diary_->finished = 1;
    mark();
    return 0;
  }
};

// A reader that hands out a message of which no successor would know.
class ForgetsWhatItTook : public LinkScene {
 public:
  explicit ForgetsWhatItTook(const PrivateTmpfs& tmpfs)
      : LinkScene(tmpfs, LinkSort::kSlots, Role::kReader) {
    for (int i = 0; i < 3; ++i) static_cast<void>(writer_->put());
  }
  int child() override {
    Result<Reader> reader = attach_reader();
    mark();
    diary_->may_be_taken = 1;
    diary_->taken = 1;
    Taken taken;
    static_cast<void>(reader->take(taken));
    mark();
    return 0;
  }
};

// A file without a name, or with an error that ends the child.
int unnamed(int directory_fd, off_t size_bytes) {
  const int fd = openat(directory_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0 || ftruncate(fd, size_bytes) != 0) _exit(9);
  return fd;
}

// The data file gets its name before the lock file.
class LinksDataFirst : public FileScene {
 public:
  explicit LinksDataFirst(const PrivateTmpfs& tmpfs)
      : FileScene(tmpfs, LinkSort::kSlots, FileAct::kCreate) {}

 protected:
  Status create() override {
    SegmentHeader header =
        make_link_header(shape_of(LinkSort::kSlots), kLinkName, page_size_bytes());
    const int lock = unnamed(segments().fd(), 0);
    const int data = unnamed(segments().fd(), static_cast<off_t>(header.total_bytes));
    struct stat lock_made {};
    struct stat data_made {};
    if (fstat(lock, &lock_made) != 0 || fstat(data, &data_made) != 0) _exit(9);
    header.lock_inode = lock_made.st_ino;
    header.check = segment_check(header);
    if (pwrite(data, &header, sizeof header, 0) != sizeof header) _exit(9);
    const std::string lock_name = lock_file_name(kLinkName, data_made.st_ino);
    if (linkat(data, "", segments().fd(), kLinkName, AT_EMPTY_PATH) != 0) {
      return Error{ErrorCode::kExists, errno, "planted"};
    }
    static_cast<void>(!linkat(lock, "", segments().fd(), lock_name.c_str(), AT_EMPTY_PATH));
    return {};
  }
};

// The lock file loses its name before the data file.
class UnlinksLockFirst : public FileScene {
 public:
  explicit UnlinksLockFirst(const PrivateTmpfs& tmpfs)
      : FileScene(tmpfs, LinkSort::kSlots, FileAct::kRemove) {}

 protected:
  Status remove() override {
    struct stat found {};
    if (fstatat(segments().fd(), kLinkName, &found, 0) != 0) {
      return Error{ErrorCode::kNotFound, errno, "planted"};
    }
    const std::string lock_name = lock_file_name(kLinkName, found.st_ino);
    static_cast<void>(!unlinkat(segments().fd(), lock_name.c_str(), 0));
    static_cast<void>(!unlinkat(segments().fd(), kLinkName, 0));
    return {};
  }
};

// Written beside under a name that nobody sweeps.
class WritesBeside : public FileScene {
 public:
  explicit WritesBeside(const PrivateTmpfs& tmpfs)
      : FileScene(tmpfs, LinkSort::kSlots, FileAct::kCreate) {}

 protected:
  Status create() override {
    const int fd = openat(segments().fd(), "beside.tmp", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) _exit(9);
    const Status made = FileScene::create();
    static_cast<void>(!unlinkat(segments().fd(), "beside.tmp", 0));
    return made;
  }
};

TEST_CASE("planted: a put that has returned and is not published") {
  is_red<SaysDoneFirst>("says done first", "a put message is lost");
}
TEST_CASE("planted: a commit that rings first and publishes later") {
  is_red<RingsFirst>("rings first", "a wake-up is lost");
}
TEST_CASE("planted: a successor that does not ring for its predecessor") {
  is_red<SuccessorIsSilent>("successor is silent", "to be found by the sleep's bound");
}
TEST_CASE("planted: a slot that is published before it is written") {
  is_red<PublishesBeforeItWrites>("publishes before it writes", "torn");
}
TEST_CASE("planted: a store after the role was laid down") {
  is_red<StoresAfterRelease>("stores after release", "a store without the role's certificate");
}
TEST_CASE("planted: an attach that counts the incarnation before it has the certificate") {
  is_red<CountsFirst>("counts first", "a store without the role's certificate");
  is_red<AskerCountsFirst>("asker counts first", "who is refused a role has stored");
}
TEST_CASE("planted: a reader that finishes what its user has not seen") {
  is_red<FinishesEarly>("finishes early", "a message is lost");
}
TEST_CASE("planted: a reader that hands out a message without a note for its successor") {
  is_red<ForgetsWhatItTook>("forgets what it took", "comes again without a mark");
}
TEST_CASE("planted: a create that links the data file before the lock file") {
  is_red<LinksDataFirst>("links data first", "a segment that is there cannot be attached");
}
TEST_CASE("planted: a remove that takes the lock file first") {
  is_red<UnlinksLockFirst>("unlinks lock first", "a segment that is there cannot be attached");
}
TEST_CASE("planted: a create that writes beside under a name which nobody sweeps") {
  is_red<WritesBeside>("writes beside", "a file is left in the segment directory");
}

}  // namespace
}  // namespace slipring::crash
