// A process that is attached as a peer and stores to every byte of every page that it may not
// write: each store faults, in it, and nobody else notices.
#include <doctest/doctest.h>

#include <string>

#include "pipelines/link/board.h"
#include "pipelines/link/value_link.h"
#include "tests/hostile/hostile_fixture.h"
#include "tests/pipelines/link/guarded_fixture.h"

namespace slipring::hostile {
namespace {

using test::BrokerProcess;
using test::Directory;
using test::must;

struct Count {
  std::uint64_t tried = 0;
  std::uint64_t faulted = 0;
  std::uint64_t own_bytes = 0;  // what it may write
};

// In the hostile process, once it holds what it can get.
void store_everywhere(Count& count) {
  catch_faults();
  for (const SharedRange& range : shared_ranges()) {
    if (range.is_writable) {
      count.own_bytes += range.size();
      continue;
    }
    for (unsigned char* byte = range.begin; byte != range.end; ++byte) {
      ++count.tried;
      if (!may_store(byte)) ++count.faulted;
    }
  }
}

// Attaches with `attach` in a process of its own and attacks; `look` is the honest side's.
template <typename Attach, typename Honest>
void attack(Matrix& matrix, Bystander& bystander, const std::string& link, const char* role,
            std::uint64_t least_bytes, Attach attach, Honest honest) {
  Told<Count> count;
  OtherProcess hostile([&](Line line) {
    auto end = attach();
    if (!end.ok()) return 1;
    store_everywhere(*count);
    line.say('y');
    line.hear();
    return 0;
  });
  CHECK(bystander.work());
  REQUIRE(hostile.line().hear() == 'y');
  const bool is_contained = count->tried >= least_bytes && count->faulted == count->tried;
  matrix.add(link, std::string(role) + " stores to every foreign byte",
             is_contained && honest() && bystander.work(),
             std::to_string(count->faulted) + " SIGSEGV of " + std::to_string(count->tried) +
                 " stores, in the offender; " + std::to_string(count->own_bytes) +
                 " bytes are its own");
}

[[nodiscard]] LinkShape with_pool() {
  LinkShape shape = test::slots(8, 64);
  shape.pool_buffer_count = 4;
  shape.pool_buffer_bytes = 4096;
  return shape;
}

// Both ends of a link, one hostile and one honest; then the other way round.
void attack_link(Matrix& matrix, Bystander& bystander, const SegmentDirectory& directory,
                 const std::string& link, const LinkParts& parts) {
  {
    LinkWriter writer = must(LinkWriter::attach(directory, "t.link"));
    REQUIRE(test::put(writer, 7));
    attack(
        matrix, bystander, link, "reader", parts.writer_bytes,
        [&] { return LinkReader::attach(directory, "t.link"); },
        [&] { return test::put(writer, 8); });
  }
  Result<LinkReader> reader = test::attach_when_free<LinkReader>(directory);
  REQUIRE(reader.ok());
  attack(
      matrix, bystander, link, "writer", parts.reader_bytes,
      [&] { return test::attach_when_free<LinkWriter>(directory); },
      [&] {
        Message message;
        if (!test::peek(*reader, message)) return false;
        const bool is_whole = test::number_in(message) == 7;
        reader->release(message);
        return is_whole && test::peek(*reader, message) && test::number_in(message) == 8;
      });
}

TEST_CASE("hostile process: every store to a foreign byte faults in who stores") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  Bystander bystander(directory);
  Matrix matrix("stores to what others own");
  const std::uint64_t page = page_size_bytes();
  for (const bool is_guarded : {false, true}) {
    for (const auto& [shape, name] : {std::pair{test::records(4096), std::string("records")},
                                      std::pair{with_pool(), std::string("slots and pool")}}) {
      std::optional<BrokerProcess> broker;
      if (is_guarded) {
        broker.emplace(directory, shape);
      } else {
        REQUIRE(create_link(directory, "t.link", shape).ok());
      }
      attack_link(matrix, bystander, directory, (is_guarded ? "guarded " : "named ") + name,
                  parts_of(shape, page));
      if (!is_guarded) REQUIRE(remove_segment(directory, "t.link").ok());
    }
  }
  CHECK(matrix.row_count() == 8);
}

TEST_CASE("hostile process: value links and boards, likewise") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  Bystander bystander(directory);
  Matrix matrix("stores to what others own");
  const LinkShape shape = value_link_shape<std::uint64_t>(64);
  const LinkParts parts = parts_of(shape, page_size_bytes());
  REQUIRE(create_link(directory, "t.link", shape).ok());
  auto writer = must(ValueWriter<std::uint64_t>::attach(directory, "t.link"));
  attack(
      matrix, bystander, "named values", "reader", parts.writer_bytes,
      [&] { return ValueReader<std::uint64_t>::attach(directory, "t.link"); },
      [&] { return writer.try_push(1) == Transfer::kDone; });

  REQUIRE(create_board(directory, "t.board").ok());
  Board board = must(Board::attach(directory, "t.board"));
  Board::Number number = board.number("packets", BoardKind::kCounter);
  number.set(41);
  attack(
      matrix, bystander, "named board", "observer", sizeof(BoardPage),
      [&] { return BoardObserver::attach(directory, "t.board"); },
      [&] {
        number.add();
        return number.get() == 42;
      });
  CHECK(matrix.row_count() == 2);
}

}  // namespace
}  // namespace slipring::hostile
