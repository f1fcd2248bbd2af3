// pipelines/link: create, attach each role, take over, observe, board, remove.
#include <fcntl.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <utility>

#include "pipelines/link/board.h"
#include "pipelines/link/link_observer.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/link/value_link.h"
#include "platform/process/descriptor.h"
#include "platform/wait/waiter.h"
#include "tests/faults/scenario.h"

namespace slipring::faults {

namespace {

constexpr std::uint64_t kMessages = 3;

LinkShape records() {
  LinkShape shape;
  shape.kind = SegmentKind::kRecordLink;
  shape.capacity_bytes = 4096;
  return shape;
}

LinkShape slots_with_pool() {
  LinkShape shape;
  shape.kind = SegmentKind::kSlotLink;
  shape.slot_count = 8;
  shape.slot_bytes = 16;
  shape.pool_buffer_count = 4;
  shape.pool_buffer_bytes = 4096;
  return shape;
}

void put(LinkWriter& writer, std::uint64_t number) {
  std::span<std::byte> place;
  if (writer.try_reserve(16, place) != Transfer::kDone) scenario_broken("no room");
  const BufferHandle nothing{kNoBufferSlot, 0};
  std::memcpy(place.data(), &nothing, sizeof nothing);
  std::memcpy(place.data() + 8, &number, sizeof number);
  writer.commit(16);
}

// Are the messages of prepare_messages there, whole and in order?  Gives none of them back.
const char* verify_messages(Stage& stage) {
  Result<LinkReader> reader = LinkReader::attach(*stage.directory, "l");
  if (!reader.ok()) return "no reader can attach any more";
  Message message;
  if (reader->try_peek(message) != Transfer::kDone) return "the first message is gone";
  std::uint64_t number = 99;
  std::memcpy(&number, message.bytes.data() + 8, sizeof number);
  if (number != 0) return "the first message is another";
  Result<LinkObserver> observer = LinkObserver::attach(*stage.directory, "l");
  if (!observer.ok()) return "no observer can attach any more";
  if (observer->report().writer.message_count != kMessages) return "messages were lost";
  return nullptr;
}

void prepare_link(Stage& stage, const LinkShape& shape) {
  prepare_directory(stage);
  needed(create_link(*stage.directory, "l", shape));
  LinkWriter writer = needed(LinkWriter::attach(*stage.directory, "l"));
  for (std::uint64_t i = 0; i < kMessages; ++i) put(writer, i);
}

void remove_l(Stage& stage) {
  needed(remove_segment(*stage.directory, "l"));
}

std::vector<Scenario> create_scenarios() {
  std::vector<Scenario> all;
  for (const auto& [name, shape] : {std::pair("link: create, of records", records()),
                                    std::pair("link: create, of slots", slots_with_pool())}) {
    all.push_back({.name = name,
                   .prepare = prepare_directory,
                   .run =
                       [shape = shape](Stage& stage) {
                         return Outcome::of(create_link(*stage.directory, "l", shape));
                       },
                   .undo = remove_l});
  }
  all.push_back(
      {.name = "link: create a board",
       .prepare = prepare_directory,
       .run = [](Stage& stage) { return Outcome::of(create_board(*stage.directory, "l")); },
       .undo = remove_l});
  return all;
}

template <typename End>
Outcome outcome_of(Result<End> end) {
  if (!end.ok()) return Outcome::failed(end.error());
  return end->is_locked() ? Outcome::done() : Outcome::downgraded(kAnyErrno, "is_locked()");
}

template <typename End>
Scenario attach_scenario(const char* name, const LinkShape& shape, MemoryLock memory_lock) {
  return {.name = name,
          .prepare = [shape](Stage& stage) { prepare_link(stage, shape); },
          .run =
              [memory_lock](Stage& stage) {
                return outcome_of(End::attach(*stage.directory, "l", memory_lock));
              },
          .verify = verify_messages};
}

template <typename End>
Scenario value_scenario(const char* name) {
  return {.name = name,
          .prepare =
              [](Stage& stage) {
                prepare_directory(stage);
                needed(create_link(*stage.directory, "l", value_link_shape<std::uint64_t>(16)));
              },
          .run =
              [](Stage& stage) {
                return outcome_of(End::attach(*stage.directory, "l", MemoryLock::kRequire));
              }};
}

std::vector<Scenario> attach_scenarios() {
  std::vector<Scenario> all;
  all.push_back(attach_scenario<LinkWriter>("link: succeed a writer of records, locked", records(),
                                            MemoryLock::kRequire));
  all.push_back(attach_scenario<LinkWriter>("link: succeed a writer of slots, locked if possible",
                                            slots_with_pool(), MemoryLock::kTry));
  all.push_back(attach_scenario<LinkReader>("link: attach a reader of records, locked if possible",
                                            records(), MemoryLock::kTry));
  all.push_back(attach_scenario<LinkReader>("link: attach a reader of slots, locked",
                                            slots_with_pool(), MemoryLock::kRequire));
  all.push_back(value_scenario<ValueWriter<std::uint64_t>>("link: attach a writer of values"));
  all.push_back(value_scenario<ValueReader<std::uint64_t>>("link: attach a reader of values"));
  return all;
}

using Ends = std::pair<LinkWriter, LinkReader>;

void prepare_ends(Stage& stage) {
  prepare_link(stage, records());
  LinkWriter writer = needed(LinkWriter::attach(*stage.directory, "l"));
  LinkReader reader = needed(LinkReader::attach(*stage.directory, "l"));
  stage.kept = std::make_shared<Ends>(std::move(writer), std::move(reader));
}

Ends& ends_of(Stage& stage) {
  return *std::any_cast<std::shared_ptr<Ends>&>(stage.kept);
}

// A writer that rings a reader which sleeps, and a reader that sleeps until its deadline.
std::vector<Scenario> traffic_scenarios() {
  std::vector<Scenario> all;
  all.push_back(
      {.name = "link: send, wake, wait, receive", .prepare = prepare_ends, .run = [](Stage& stage) {
         auto& [writer, reader] = ends_of(stage);
         const WaitPoint point = reader.message_point();
         {
           const Arming arming({&point, 1});
           put(writer, 7);  // armed: this rings
         }
         Waiter waiter({.strategy = WaitStrategy::kSleep});
         int looks = 0;
         const WaitOutcome woken = waiter.wait(
             {&point, 1}, [&] { return ++looks > 3 && reader.has_message(); },
             deadline_after(2'000'000'000));
         if (woken != WaitOutcome::kReady) return Outcome::lying("nothing was received");
         Message message;
         if (reader.try_peek(message) != Transfer::kDone) {
           return Outcome::lying("nothing was received");
         }
         reader.release(message);
         return Outcome::done();
       }});
  all.push_back({.name = "link: close", .prepare = prepare_ends, .run = [](Stage& stage) {
                   auto& [writer, reader] = ends_of(stage);
                   writer.close();
                   reader.close();
                   return Outcome::done();
                 }});
  return all;
}

// Another open file's lock on the writing role conflicts as another process's would.
Descriptor foreign_holder(Stage& stage) {
  constexpr int kOfdSetlk = 37;
  for (const auto& entry : std::filesystem::directory_iterator(stage.path)) {
    if (entry.path().extension() != ".lock") continue;
    Descriptor file(::open(entry.path().c_str(), O_RDWR | O_CLOEXEC));
    struct flock lock = {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = static_cast<off_t>(Role::kWriter);
    lock.l_len = 1;
    if (::fcntl(file.get(), kOfdSetlk, &lock) == 0) return file;
  }
  scenario_broken("no foreign lock");
}

template <typename Observer>
struct Watched {
  Watched(Observer of, Descriptor holder) : observer(std::move(of)), living(std::move(holder)) {}
  Observer observer;
  Descriptor living;
};

template <typename Observer>
Observer& watched(Stage& stage) {
  return std::any_cast<std::shared_ptr<Watched<Observer>>&>(stage.kept)->observer;
}

std::vector<Scenario> observer_scenarios() {
  std::vector<Scenario> all;
  all.push_back({.name = "link: observe",
                 .prepare =
                     [](Stage& stage) {
                       prepare_link(stage, slots_with_pool());
                       stage.kept = std::make_shared<LinkWriter>(
                           needed(LinkWriter::attach(*stage.directory, "l")));
                     },
                 .run =
                     [](Stage& stage) {
                       Result<LinkObserver> observer = LinkObserver::attach(*stage.directory, "l");
                       return Outcome::of(observer);
                     },
                 .verify = verify_messages});
  all.push_back({.name = "link: report",
                 .prepare =
                     [](Stage& stage) {
                       prepare_link(stage, records());
                       stage.kept = std::make_shared<Watched<LinkObserver>>(
                           needed(LinkObserver::attach(*stage.directory, "l")),
                           foreign_holder(stage));
                     },
                 .run =
                     [](Stage& stage) {
                       const LinkReport report = watched<LinkObserver>(stage).report();
                       if (report.writer.holder != Holder::kAnother) {
                         return Outcome::lying("the living is dead");
                       }
                       if (report.writer.message_count != kMessages)
                         return Outcome::lying("miscounted");
                       return Outcome::done();
                     }});
  return all;
}

std::vector<Scenario> board_scenarios() {
  std::vector<Scenario> all;
  const auto prepare = [](Stage& stage) {
    prepare_directory(stage);
    needed(create_board(*stage.directory, "l"));
  };
  all.push_back({.name = "board: attach", .prepare = prepare, .run = [](Stage& stage) {
                   Result<Board> board = Board::attach(*stage.directory, "l", MemoryLock::kRequire);
                   if (!board.ok()) return Outcome::failed(board.error());
                   board->number("frames", BoardKind::kCounter).add(1);
                   return Outcome::done();
                 }});
  all.push_back({.name = "board: observe", .prepare = prepare, .run = [](Stage& stage) {
                   return Outcome::of(BoardObserver::attach(*stage.directory, "l"));
                 }});
  all.push_back(
      {.name = "board: is it held",
       .prepare =
           [prepare](Stage& stage) {
             prepare(stage);
             stage.kept = std::make_shared<Watched<BoardObserver>>(
                 needed(BoardObserver::attach(*stage.directory, "l")), foreign_holder(stage));
           },
       .run =
           [](Stage& stage) {
             return watched<BoardObserver>(stage).is_held() ? Outcome::done()
                                                            : Outcome::lying("the living is dead");
           }});
  return all;
}

}  // namespace

std::vector<Scenario> link_scenarios() {
  std::vector<Scenario> all;
  for (auto* part : {create_scenarios, attach_scenarios, traffic_scenarios, observer_scenarios,
                     board_scenarios}) {
    for (Scenario& scenario : part()) all.push_back(std::move(scenario));
  }
  return all;
}

}  // namespace slipring::faults
