// A command to drop what is queued: the commander, and the reader that obeys, at every instruction.

#include <stdlib.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "pipelines/link/commander.h"
#include "tests/crash/link/link_operations.h"
#include "tests/crash/link/link_scene.h"

namespace slipring::crash {
namespace {

constexpr std::uint64_t kQueued = 4;  // as many as the pool has buffers
constexpr LinkSort kSorts[] = {LinkSort::kRecords, LinkSort::kSlots, LinkSort::kPool};

// A link with kQueued messages in it.  This process writes, and reads where the child does not.
class AbortScene : public DirectoryScene {
 public:
  AbortScene(const PrivateTmpfs& tmpfs, LinkSort sort) : DirectoryScene(tmpfs), sort_(sort) {
    if (!create_link(segments(), kLinkName, shape_of(sort))) abort();
    writer_.emplace(std::move(Writer::attach(segments(), kLinkName, sort)).value());
    for (std::uint64_t i = 0; i < kQueued; ++i) {
      if (writer_->put() != Transfer::kDone) abort();
    }
    Result<LinkCommander> commander = LinkCommander::attach(segments(), kLinkName);
    if (!commander) abort();
    commander_.emplace(std::move(commander).value());
  }

 protected:
  [[nodiscard]] Result<Reader> attach_reader() {
    return Reader::attach(segments(), kLinkName, sort_);
  }
  [[nodiscard]] DropReport drops() { return commander_->link().drops(); }

  // Reads what there is, from `first` on or from 0: all of it whole and in order.
  void drain(Verdict& verdict, Reader& reader, std::uint64_t& next) {
    Taken taken;
    while (reader.take(taken) == Transfer::kDone) {
      verdict.expect(taken.is_whole, "a torn message");
      verdict.expect(taken.number == next, "a message is lost, repeated or out of order");
      next = taken.number + 1;
      reader.release();
    }
  }
  // All buffers are back, and the sender's word is that `dropped` messages were dropped.
  void judge_drops(Verdict& verdict, std::uint64_t dropped) {
    const LinkReport report = commander_->link().report();
    verdict.expect(report.drops.dropped.messages == dropped, "the sender is told another count");
    const std::uint64_t each = sort_ == LinkSort::kRecords ? kRecordStride : sizeof(Payload);
    verdict.expect(report.drops.dropped.bytes == dropped * each, "the sender is told other bytes");
    verdict.expect(report.fill == 0, "space does not come back");
    verdict.expect(report.pool_lent_count == 0, "a buffer does not come back");
  }
  void drop_everything(Verdict& verdict) {
    commander_.reset();
    writer_.reset();
    static_cast<void>(remove_segment(segments(), kLinkName));
    expect_nothing_left(verdict);
  }

  LinkSort sort_;
  std::optional<Writer> writer_;
  std::optional<LinkCommander> commander_;
};

// The child reads, perhaps holds a message, and obeys a command that has been given.
class ObeyScene : public AbortScene {
 public:
  ObeyScene(const PrivateTmpfs& tmpfs, LinkSort sort, bool holds)
      : AbortScene(tmpfs, sort), holds_(holds) {}

  int child() override {
    Result<Reader> reader = attach_reader();
    if (!reader) return 1;
    Taken taken;
    if (holds_ && reader->take(taken) != Transfer::kDone) return 2;
    mark();
    const Transfer answer = reader->take(taken);
    if (holds_) reader->release();
    mark();
    return answer == Transfer::kBlocked || (taken.number >= kQueued && taken.is_whole) ? 0 : 3;
  }
  void child_is_ready() override {
    if (!commander_->abort()) abort();
    // A pool has buffers again only once it was obeyed.
    if (sort_ != LinkSort::kPool && writer_->put() != Transfer::kDone) abort();
  }
  void others_go_on(Verdict& verdict, const TracedChild&, std::uint64_t) override {
    const DropReport now = drops();
    verdict.expect(now.dropped.messages == 0 || now.dropped.messages == may_drop(),
                   "the sender is told a part");
    verdict.expect(now.dropped.messages >= told_, "the sender's word is taken back");
    verdict.expect(now.refused == 0, "an honest command is refused");
    told_ = now.dropped.messages;
    static_cast<void>(writer_->put());
  }
  void settle(Verdict& verdict, int exit_status) override {
    verdict.expect(exit_status == kWasKilled || exit_status == 0, "the child does not end well");
    const std::uint64_t before = drops().dropped.messages;
    {
      Result<Reader> successor = attach_reader();
      if (verdict.expect(successor.ok(), "a successor cannot attach")) {
        std::uint64_t next = kQueued;
        drain(verdict, *successor, next);
        verdict.expect(writer_->put() == Transfer::kDone, "the link does not go on");
        drain(verdict, *successor, next);
        verdict.expect(next == writer_->next_number(), "a message behind the command is lost");
      }
    }
    // Killed with the first one held, its successor drops that as well.
    const std::uint64_t dropped = before != 0 ? before : drops().dropped.messages;
    verdict.expect(dropped == kQueued || (holds_ && dropped == may_drop()), "a drop is not told");
    judge_drops(verdict, dropped);
    drop_everything(verdict);
  }

 private:
  [[nodiscard]] std::uint64_t may_drop() const { return holds_ ? kQueued - 1 : kQueued; }
  bool holds_;
  std::uint64_t told_ = 0;
};

// The child commands; this process reads.
class CommandScene : public AbortScene {
 public:
  CommandScene(const PrivateTmpfs& tmpfs, LinkSort sort) : AbortScene(tmpfs, sort) {
    reader_.emplace(std::move(attach_reader()).value());
  }

  int child() override {
    Result<LinkCommander> commander = LinkCommander::attach(segments(), kLinkName);
    if (!commander) return 1;
    mark();
    const Result<AbortTicket> ticket = commander->abort();
    mark();
    return ticket.ok() ? 0 : ticket.error().code == ErrorCode::kBusy ? kExitBusy : 1;
  }
  void others_go_on(Verdict& verdict, const TracedChild& child, std::uint64_t) override {
    // A stopped commander holds up neither end, and another one is told of it.
    look(verdict);
    static_cast<void>(writer_->put());
    const Result<AbortTicket> other = commander_->abort();
    const bool is_named =
        other.ok() || (other.error().code == ErrorCode::kBusy &&
                       other.error().found == static_cast<std::uint64_t>(child.pid()));
    verdict.expect(is_named, "a second commander is neither served nor told why");
    look(verdict);
  }
  void settle(Verdict& verdict, int exit_status) override {
    verdict.expect(exit_status == kWasKilled || exit_status == 0, "the child does not end well");
    look(verdict);
    if (exit_status == 0) {
      verdict.expect(drops().dropped.messages != 0 || was_read_, "a command is lost");
    }
    const Result<AbortTicket> next = commander_->abort();
    verdict.expect(next.ok(), "a dead commander's role cannot be taken");
    verdict.expect(writer_->put() == Transfer::kDone, "the link does not go on");
    const std::uint64_t fresh = writer_->next_number() - 1;
    Taken taken;
    if (verdict.expect(reader_->take(taken) == Transfer::kDone, "what follows is lost, too")) {
      verdict.expect(taken.number == fresh, "a message before the command is delivered");
      reader_->release();
      ++read_;
    }
    judge_drops(verdict, fresh + 1 - read_);
    reader_.reset();
    drop_everything(verdict);
  }

 private:
  // What there is: each message is read, or was dropped with all before it.
  void look(Verdict& verdict) {
    Taken taken;
    while (reader_->take(taken) == Transfer::kDone) {
      verdict.expect(taken.is_whole, "a torn message");
      verdict.expect(taken.number >= next_, "a message is repeated");
      const std::uint64_t passed = taken.number - next_;
      next_ = taken.number + 1;
      reader_->release();
      ++read_;
      was_read_ = true;
      verdict.expect(passed == 0 || drops().dropped.messages + read_ == next_,
                     "a message is lost without a word");
    }
  }

  std::optional<Reader> reader_;
  std::uint64_t next_ = 0;
  std::uint64_t read_ = 0;
  bool was_read_ = false;
};

// The child writes; a command is given, and obeyed, while it stands or is dead.
class WriterUnderAbortScene : public AbortScene {
 public:
  WriterUnderAbortScene(const PrivateTmpfs& tmpfs, LinkSort sort) : AbortScene(tmpfs, sort) {
    writer_.reset();
    reader_.emplace(std::move(attach_reader()).value());
  }

  int child() override {
    Result<Writer> writer = Writer::attach(segments(), kLinkName, sort_);
    if (!writer) return 1;
    mark();
    const bool is_put = sort_ == LinkSort::kPool || writer->put() == Transfer::kDone;
    const bool is_put_again = sort_ == LinkSort::kPool || writer->put() == Transfer::kDone;
    mark();
    return is_put && is_put_again ? 0 : 2;
  }
  void others_go_on(Verdict& verdict, const TracedChild&, std::uint64_t) override { cut(verdict); }
  void settle(Verdict& verdict, int exit_status) override {
    verdict.expect(exit_status == kWasKilled || exit_status == 0, "the child does not end well");
    cut(verdict);
    cut(verdict);
    writer_.emplace(std::move(Writer::attach(segments(), kLinkName, sort_)).value());
    const std::uint64_t published = writer_->next_number();
    cut(verdict);
    judge_drops(verdict, published - read_);
    reader_.reset();
    drop_everything(verdict);
  }

 private:
  // A commit that was under way may count as behind the command: it is read then.
  void cut(Verdict& verdict) {
    verdict.expect(commander_->abort().ok(), "a command fails");
    Taken taken;
    while (reader_->take(taken) == Transfer::kDone) {
      verdict.expect(taken.is_whole, "a torn message");
      reader_->release();
      ++read_;
    }
  }
  std::optional<Reader> reader_;
  std::uint64_t read_ = 0;
};

}  // namespace

std::vector<Operation> abort_operations(const PrivateTmpfs& tmpfs) {
  std::vector<Operation> operations;
  for (const LinkSort sort : kSorts) {
    const std::string name = name_of(sort);
    operations.push_back({name + " reader: obey", [&tmpfs, sort] {
                            return std::make_unique<ObeyScene>(tmpfs, sort, false);
                          }});
    operations.push_back({name + " reader: obey, holding", [&tmpfs, sort] {
                            return std::make_unique<ObeyScene>(tmpfs, sort, true);
                          }});
    operations.push_back({name + " writer: put under abort", [&tmpfs, sort] {
                            return std::make_unique<WriterUnderAbortScene>(tmpfs, sort);
                          }});
  }
  operations.push_back({"records commander: abort", [&tmpfs] {
                          return std::make_unique<CommandScene>(tmpfs, LinkSort::kRecords);
                        }});
  return operations;
}

}  // namespace slipring::crash
