// What happens to segments themselves: made, removed, boards, certificates, the published word.

#include <stdlib.h>

#include <array>
#include <memory>
#include <string>
#include <utility>

#include "pipelines/link/board.h"
#include "pipelines/link/published_word.h"
#include "platform/memory/segment_file.h"
#include "tests/crash/link/file_scene.h"
#include "tests/crash/link/link_operations.h"
#include "tests/crash/link/link_scene.h"

namespace slipring::crash {
namespace {

constexpr const char* kFileActs[] = {"create", "remove", "remove while attached"};
constexpr const char* kBoardName = "crash.board";
constexpr const char* kEntries[] = {"first", "second_entry", "third"};

// A stage's board: made, attached, filled.
class BoardScene : public DirectoryScene {
 public:
  BoardScene(const PrivateTmpfs& tmpfs, bool creates) : DirectoryScene(tmpfs), creates_(creates) {
    if (!creates && !create_board(segments(), kBoardName)) abort();
  }

  int child() override {
    mark();
    if (creates_) {
      const Status made = create_board(segments(), kBoardName);
      mark();
      return made.ok() ? 0 : made.error().code == ErrorCode::kExists ? kExitBusy : 1;
    }
    Result<Board> board = Board::attach(segments(), kBoardName);
    if (board) {
      std::uint64_t value = 1;
      for (const char* entry : kEntries) board->number(entry, BoardKind::kCounter).set(value++);
    }
    mark();
    return board.ok() ? 0 : board.error().code == ErrorCode::kBusy ? kExitBusy : 1;
  }

  void others_go_on(Verdict& verdict, const TracedChild&, std::uint64_t) override {
    if (creates_) {
      const Status made = create_board(segments(), kBoardName);
      verdict.expect(made.ok() || made.error().code == ErrorCode::kExists, "create does not work");
    }
    observe(verdict);
    Result<Board> board = Board::attach(segments(), kBoardName);
    verdict.expect(board.ok() || board.error().code == ErrorCode::kBusy, "a board is refused");
  }

  void settle(Verdict& verdict, int exit_status) override {
    verdict.expect(exit_status == kWasKilled || exit_status == 0 || exit_status == kExitBusy,
                   "the child does not end well");
    const Status made = create_board(segments(), kBoardName);
    verdict.expect(made.ok() || made.error().code == ErrorCode::kExists, "create does not work");
    observe(verdict);
    {
      Result<Board> board = Board::attach(segments(), kBoardName);
      if (verdict.expect(board.ok(), "a successor cannot take the board")) {
        for (const char* entry : kEntries) board->number(entry, BoardKind::kCounter).add(10);
      }
    }
    observe(verdict);
    verdict.expect(remove_segment(segments(), kBoardName).ok(), "remove does not work");
    expect_nothing_left(verdict);
  }

 private:
  // Whoever looks sees whole names only.
  void observe(Verdict& verdict) {
    Result<BoardObserver> observer = BoardObserver::attach(segments(), kBoardName);
    if (!verdict.expect(observer.ok(), "a board cannot be looked at")) return;
    const std::uint32_t count = observer->entry_count();
    for (std::uint32_t i = 0; i < count; ++i) {
      const BoardObserver::Entry entry = observer->entry(i);
      verdict.expect(i < 3 && std::string(entry.name) == kEntries[i], "an entry is torn");
      verdict.expect(entry.value == 0 || entry.value % 10 == i + 1 || entry.value % 10 == 0,
                     "a value is torn");
    }
  }
  bool creates_;
};

// Certificates by themselves: asked for, probed, laid down, on a lock file of their own.
class CertificateScene : public DirectoryScene {
 public:
  explicit CertificateScene(const PrivateTmpfs& tmpfs) : DirectoryScene(tmpfs) {
    if (!create_board(segments(), kBoardName)) abort();
    Result<SegmentFile> file = SegmentFile::open(segments(), kBoardName);
    if (!file) abort();
    file_.emplace(std::move(file).value());
  }

  int child() override {
    Result<SegmentFile> own = SegmentFile::open(segments(), kBoardName);
    if (!own) return 1;
    mark();
    const bool probed = own->lock_file().probe(kByte).ok();
    Result<Certificate> held = Certificate::acquire(own->lock_file(), kByte);
    if (held) {
      static_cast<void>(held->is_intact());
      held->release();
    }
    mark();
    return !probed ? 1 : held.ok() ? 0 : held.error().code == ErrorCode::kBusy ? kExitBusy : 1;
  }

  void others_go_on(Verdict& verdict, const TracedChild& child, std::uint64_t turn) override {
    Result<Probe> probe = file_->lock_file().probe(kByte);
    if (!verdict.expect(probe.ok(), "a probe fails")) return;
    const bool is_held = probe->holder == Holder::kAnother;
    verdict.expect(!is_held || probe->pid == child.pid(), "the holder is not named");
    if (squatter_) return;
    Result<Certificate> ours = Certificate::acquire(file_->lock_file(), kByte);
    verdict.expect(ours.ok() != is_held, "a role has two holders, or none although one asked");
    if (ours && turn % 2 == 1) squatter_.emplace(std::move(ours).value());
  }

  void settle(Verdict& verdict, int exit_status) override {
    verdict.expect(exit_status == kWasKilled || exit_status == 0 ||
                       (exit_status == kExitBusy && squatter_.has_value()),
                   "the child does not end well");
    if (!squatter_) {
      Result<Certificate> successor = Certificate::acquire(file_->lock_file(), kByte);
      verdict.expect(successor.ok(), "the role of the dead is not free");
    }
    squatter_.reset();
    file_.reset();
    verdict.expect(remove_segment(segments(), kBoardName).ok(), "remove does not work");
    expect_nothing_left(verdict);
  }

 private:
  static constexpr std::uint32_t kByte = 7;
  std::optional<SegmentFile> file_;
  std::optional<Certificate> squatter_;
};

// A word that changes with each publication, kept on the board for a successor.
class PublishedScene : public DirectoryScene {
 public:
  explicit PublishedScene(const PrivateTmpfs& tmpfs) : DirectoryScene(tmpfs) {
    if (!create_board(segments(), kBoardName)) abort();
    if (!create_link(segments(), kLinkName, shape_of(LinkSort::kSlots))) abort();
    reader_.emplace(std::move(Reader::attach(segments(), kLinkName, LinkSort::kSlots)).value());
  }

  int child() override {
    Result<Board> board = Board::attach(segments(), kBoardName);
    Result<Writer> writer = Writer::attach(segments(), kLinkName, LinkSort::kSlots);
    if (!board || !writer) return 1;
    PublishedWord word = word_of(*board);
    mark();
    for (int i = 0; i < 3; ++i) {
      word.before_publish(writer->next_number(), word_for(writer->next_number() + 1));
      static_cast<void>(writer->put());
      word.after_publish();
    }
    mark();
    return 0;
  }

  void others_go_on(Verdict& verdict, const TracedChild&, std::uint64_t) override {
    Taken taken;
    while (reader_->take(taken) == Transfer::kDone) {
      verdict.expect(taken.number == next_++ && taken.is_whole, "a message is lost or torn");
      reader_->release();
    }
  }

  void settle(Verdict& verdict, int exit_status) override {
    verdict.expect(exit_status <= 0, "the child does not end well");
    {
      Result<Board> board = Board::attach(segments(), kBoardName);
      Result<Writer> writer = Writer::attach(segments(), kLinkName, LinkSort::kSlots);
      if (verdict.expect(board.ok() && writer.ok(), "a successor cannot attach")) {
        verdict.expect(
            word_of(*board).value(writer->next_number()) == word_for(writer->next_number()),
            "the word is not the last published message's");
      }
    }
    reader_.reset();
    static_cast<void>(remove_segment(segments(), kBoardName));
    static_cast<void>(remove_segment(segments(), kLinkName));
    expect_nothing_left(verdict);
  }

 private:
  // Of the state after `count` messages; a fresh board has 0.
  [[nodiscard]] static std::uint64_t word_for(std::uint64_t count) {
    return count == 0 ? 0 : proof_of(count);
  }
  [[nodiscard]] static PublishedWord word_of(Board& board) {
    return PublishedWord(board.number(".before_at", BoardKind::kGauge),
                         board.number(".before", BoardKind::kGauge),
                         board.number(".after", BoardKind::kGauge));
  }
  std::optional<Reader> reader_;
  std::uint64_t next_ = 0;
};

}  // namespace

std::vector<Operation> segment_operations(const PrivateTmpfs& tmpfs) {
  std::vector<Operation> operations;
  for (const LinkSort sort : kLinkSorts) {
    for (int i = 0; i <= static_cast<int>(FileAct::kRemoveAttached); ++i) {
      const auto act = static_cast<FileAct>(i);
      // To the directory all sorts are alike.
      if (act != FileAct::kCreate && sort != LinkSort::kSlots) continue;
      operations.push_back(
          {std::string(name_of(sort)) + " link: " + kFileActs[i],
           [&tmpfs, sort, act] { return std::make_unique<FileScene>(tmpfs, sort, act); }});
    }
  }
  operations.push_back(
      {"board: create", [&tmpfs] { return std::make_unique<BoardScene>(tmpfs, true); }});
  operations.push_back(
      {"board: attach and add", [&tmpfs] { return std::make_unique<BoardScene>(tmpfs, false); }});
  operations.push_back({"certificate: probe to release",
                        [&tmpfs] { return std::make_unique<CertificateScene>(tmpfs); }});
  operations.push_back({"published word: three messages",
                        [&tmpfs] { return std::make_unique<PublishedScene>(tmpfs); }});
  return operations;
}

}  // namespace slipring::crash
