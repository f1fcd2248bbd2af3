// What happens to segments themselves: made, removed, boards, certificates, the published word.

#include <stdlib.h>

#include <array>
#include <memory>
#include <string>
#include <utility>

#include "pipelines/link/board.h"
#include "pipelines/link/published_word.h"
#include "platform/memory/segment_file.h"
#include "tests/crash/link/link_operations.h"
#include "tests/crash/link/link_scene.h"

namespace slipring::crash {
namespace {

// Whether a link that was just made carries messages.
void use_once(Verdict& verdict, const SegmentDirectory& directory, LinkSort sort) {
  Result<Writer> writer = Writer::attach(directory, kLinkName, sort);
  Result<Reader> reader = Reader::attach(directory, kLinkName, sort);
  if (!verdict.expect(writer.ok() && reader.ok(), "a segment that is there cannot be attached")) {
    return;
  }
  Taken taken;
  for (std::uint64_t i = 0; i < 20; ++i) {
    const std::uint64_t number = writer->next_number();
    const bool crossed = writer->put() == Transfer::kDone && reader->take(taken) == Transfer::kDone;
    verdict.expect(crossed && taken.number == number && taken.is_whole, "a fresh link is not one");
    reader->release();
  }
}

// The user tries again: the segment is then there whole, whoever made it.
void create_again(Verdict& verdict, const SegmentDirectory& directory, LinkSort sort) {
  const Status made = create_link(directory, kLinkName, shape_of(sort));
  verdict.expect(made.ok() || made.error().code == ErrorCode::kExists,
                 "create does not work again");
  use_once(verdict, directory, sort);
}

enum class FileAct { kCreate, kRemove, kRemoveAttached };
constexpr const char* kFileActs[] = {"create", "remove", "remove while attached"};

class FileScene : public DirectoryScene {
 public:
  FileScene(const PrivateTmpfs& tmpfs, LinkSort sort, FileAct act)
      : DirectoryScene(tmpfs), sort_(sort), act_(act) {
    if (act == FileAct::kCreate) return;
    if (!create_link(segments(), kLinkName, shape_of(sort))) abort();
    if (act == FileAct::kRemove) return;
    writer_.emplace(std::move(Writer::attach(segments(), kLinkName, sort)).value());
    reader_.emplace(std::move(Reader::attach(segments(), kLinkName, sort)).value());
  }

  int child() override {
    if (act_ == FileAct::kCreate) {
      mark();
      const Status made = create_link(segments(), kLinkName, shape_of(sort_));
      mark();
      return made.ok() ? 0 : made.error().code == ErrorCode::kExists ? kExitBusy : 1;
    }
    mark();
    const Status removed = remove_segment(segments(), kLinkName);
    mark();
    return removed.ok() ? 0 : removed.error().code == ErrorCode::kNotFound ? kExitBusy : 1;
  }

  // Others make and remove the same name meanwhile; every second time it is there when the stopped
  // one goes on.
  void others_go_on(Verdict& verdict, const TracedChild&, std::uint64_t turn) override {
    pass_one(verdict);
    if (writer_) static_cast<void>(remove_segment(segments(), kLinkName));
    create_again(verdict, segments(), sort_);
    verdict.expect(remove_segment(segments(), kLinkName).ok(), "remove does not work");
    if (turn % 2 == 1) create_again(verdict, segments(), sort_);
  }

  void settle(Verdict& verdict, int exit_status) override {
    verdict.expect(exit_status == kWasKilled || exit_status == 0 || exit_status == kExitBusy,
                   "the child does not end well");
    pass_one(verdict);
    writer_.reset();
    reader_.reset();
    create_again(verdict, segments(), sort_);
    verdict.expect(remove_segment(segments(), kLinkName).ok(), "remove does not work");
    expect_nothing_left(verdict);
  }

 private:
  // Who is attached stays attached.
  void pass_one(Verdict& verdict) {
    if (!writer_) return;
    Taken taken;
    const bool crossed =
        writer_->put() == Transfer::kDone && reader_->take(taken) == Transfer::kDone;
    verdict.expect(crossed && taken.is_whole, "who is attached has lost the link");
    reader_->release();
  }

  LinkSort sort_;
  FileAct act_;
  std::optional<Writer> writer_;
  std::optional<Reader> reader_;
};

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
