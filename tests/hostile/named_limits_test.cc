// What a named link does not contain, and that core/THREATS.md says so: who may open its file may
// cut it short.  Another user may not even open it.
#include <fcntl.h>
#include <sys/stat.h>

#include <doctest/doctest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "tests/hostile/hostile_fixture.h"

namespace slipring::hostile {
namespace {

using test::Directory;
using test::must;

// The lines of THREATS.md as one, without line breaks.
[[nodiscard]] std::string threats() {
  std::ifstream file("core/THREATS.md");
  REQUIRE(file.good());
  std::string text;
  std::string word;
  while (file >> word) text += word + " ";
  return text;
}

TEST_CASE(
    "hostile process: a named link's owner can truncate it, and the page of threats says so") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, "t.link", test::records(4096)).ok());
  OtherProcess honest([&](Line line) {
    Result<LinkReader> reader = LinkReader::attach(directory, "t.link", MemoryLock::kOff);
    if (!reader) return 1;
    line.say('y');
    line.hear();
    Message message;
    static_cast<void>(reader->try_peek(message));
    return 0;
  });
  REQUIRE(honest.line().hear() == 'y');
  const std::string path = folder.path() + "/t.link";
  REQUIRE(::truncate(path.c_str(), 0) == 0);
  honest.line().say('g');
  CHECK(honest.wait() == -SIGBUS);
  const std::string text = threats();
  CHECK(text.find("Named segments trust their owner") != std::string::npos);
  CHECK(text.find("truncate it (SIGBUS in whoever maps it)") != std::string::npos);
}

TEST_CASE("hostile process: another user gets nothing of a named link") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  Matrix matrix("another user against a named link");
  REQUIRE(create_link(directory, "t.link", test::records(4096)).ok());
  LinkWriter writer = must(LinkWriter::attach(directory, "t.link"));
  // The directory is open to all: it is the file's mode that counts.
  REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
  struct Tried {
    int attach = 0;
    int open_errno = 0;
    int truncate_errno = 0;
    int unlink_errno = 0;
  };
  Told<Tried> tried;
  OtherProcess stranger([&](Line line) {
    if (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) return 1;
    const std::string path = folder.path() + "/t.link";
    Result<LinkReader> reader = LinkReader::attach(directory, "t.link");
    tried->attach = reader.ok() ? -1 : static_cast<int>(reader.error().code);
    tried->open_errno = ::open(path.c_str(), O_RDONLY | O_CLOEXEC) < 0 ? errno : 0;
    tried->truncate_errno = ::truncate(path.c_str(), 0) < 0 ? errno : 0;
    tried->unlink_errno = ::unlink(path.c_str()) < 0 ? errno : 0;
    line.say('y');
    return 0;
  });
  REQUIRE(stranger.line().hear() == 'y');
  const std::string link = "named, uid 65534";
  matrix.add(link, "attach", tried->attach == static_cast<int>(ErrorCode::kPermission),
             "permission denied");
  matrix.add(link, "open", tried->open_errno == EACCES, "EACCES");
  matrix.add(link, "truncate", tried->truncate_errno == EACCES, "EACCES");
  matrix.add(link, "unlink", tried->unlink_errno == EACCES, "EACCES");
  CHECK(test::put(writer, 1));
}

// The oracle of the stores is seen to be red: a page that may be written is noticed.
TEST_CASE("hostile process: planted, a foreign page that was mapped writable is seen") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, "t.link", test::records(4096)).ok());
  struct Count {
    int writable_bytes = 0;
    int faulted_bytes = 0;
  };
  Told<Count> count;
  OtherProcess careless([&](Line line) {
    const int fd = ::open((folder.path() + "/t.link").c_str(), O_RDWR | O_CLOEXEC);
    auto* page = static_cast<volatile unsigned char*>(
        ::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096));
    if (::mprotect(const_cast<unsigned char*>(page), 4096, PROT_READ) != 0) return 1;
    catch_faults();
    for (int i = 0; i < 8192; ++i)
      ++(may_store(page + i) ? count->writable_bytes : count->faulted_bytes);
    line.say('y');
    return 0;
  });
  REQUIRE(careless.line().hear() == 'y');
  CHECK(count->writable_bytes == 4096);
  CHECK(count->faulted_bytes == 4096);
}

}  // namespace
}  // namespace slipring::hostile
