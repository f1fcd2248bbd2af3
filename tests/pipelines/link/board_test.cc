#include "pipelines/link/board.h"

#include <string>

#include <doctest/doctest.h>

#include "tests/pipelines/link/link_fixture.h"

namespace slipring {
namespace {

using test::Directory;
using test::must;

TEST_CASE("board: numbers are seen by name, and outlive their writer") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_board(directory, "t.board").ok());
  BoardObserver observer = must(BoardObserver::attach(directory, "t.board"));
  {
    Board board = must(Board::attach(directory, "t.board"));
    Board::Number frames = board.number("frames", BoardKind::kCounter);
    frames.add(41);
    frames.add();
    board.number("fill_bytes", BoardKind::kGauge).set(7);
    CHECK(observer.is_held());
  }
  CHECK_FALSE(observer.is_held());
  REQUIRE(observer.entry_count() == 2);
  CHECK(std::string(observer.entry(0).name) == "frames");
  CHECK(observer.entry(0).kind == BoardKind::kCounter);
  CHECK(observer.value_of("frames") == 42);
  CHECK(observer.value_of("fill_bytes") == 7);
  CHECK(observer.value_of("absent") == 0);

  Board successor = must(Board::attach(directory, "t.board"));
  CHECK(successor.incarnation() == 2);
  CHECK(successor.number("frames", BoardKind::kCounter).get() == 42);
  CHECK(observer.entry_count() == 2);
}

TEST_CASE("board: a full board swallows numbers and a long name is cut") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_board(directory, "t.board").ok());
  Board board = must(Board::attach(directory, "t.board"));
  BoardObserver observer = must(BoardObserver::attach(directory, "t.board"));
  const std::string name(100, 'a');
  board.number(name, BoardKind::kGauge).set(5);
  CHECK(std::string(observer.entry(0).name) == std::string(kBoardNameBytes - 1, 'a'));
  CHECK(board.number(name, BoardKind::kGauge).get() == 5);
  for (std::uint32_t i = 1; i < kMaxBoardEntries; ++i) {
    board.number("n" + std::to_string(i), BoardKind::kCounter).add(i);
  }
  Board::Number beyond = board.number("beyond", BoardKind::kCounter);
  beyond.add(3);
  CHECK(beyond.get() == 0);
  CHECK(observer.entry_count() == kMaxBoardEntries);
  CHECK(observer.value_of("n95") == 95);
}

TEST_CASE("board: a link is not a board, and the other way round") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_board(directory, "t.board").ok());
  REQUIRE(create_link(directory, "t.link", test::records(4096)).ok());
  CHECK(Board::attach(directory, "t.link").error().code == ErrorCode::kCorruptPeer);
  CHECK(LinkWriter::attach(directory, "t.board").error().code == ErrorCode::kCorruptPeer);
}

}  // namespace
}  // namespace slipring
