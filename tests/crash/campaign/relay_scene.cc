// A pipe of three processes over two record links: source, relay, sink.  The relay copies each
// input record to its output and then finishes the input; each output record carries its input's
// position, and a mark when the input came again.
//
// A relay that dies between the two has its last input delivered again, marked; its successor sends
// it again, marked.  So the sink sees the source's sequence, every repeat marked, and by the
// positions it can leave repeats out: what it takes is the source's sequence exactly.

#include <array>
#include <cstring>
#include <optional>

#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_segment.h"
#include "pipelines/link/link_writer.h"
#include "tests/crash/campaign/judge.h"
#include "tests/crash/campaign/link_life.h"
#include "tests/crash/campaign/scenes.h"

namespace slipring::campaign {
namespace {

constexpr const char* kInput = "relay-in";
constexpr const char* kOutput = "relay-out";
constexpr std::array<Role, 3> kPipeRoles{Role{"source", RoleKind::kProducer},
                                         Role{"relay", RoleKind::kRelay},
                                         Role{"sink", RoleKind::kConsumer}};

// In front of each output record.
struct Origin {
  std::uint64_t position;   // of the input link
  std::uint64_t is_repeat;  // the relay's input had been taken by a predecessor
};

class RelayScene : public Scene {
 public:
  [[nodiscard]] const char* name() const override { return "relay"; }
  [[nodiscard]] std::span<const Role> roles() const override { return kPipeRoles; }
  [[nodiscard]] bool has_certificates() const override { return true; }
  void open_books(const Context& /*context*/, std::uint32_t /*role*/) override {}

  void begin(const Context& context) override {
    Chance chance(context.stage->seed);
    directory_ = open_directory(context);
    if (!directory_) return;
    for (const char* name : {kInput, kOutput}) {
      LinkShape shape;
      shape.kind = SegmentKind::kRecordLink;
      shape.capacity_bytes = std::uint64_t{512} << chance.below(6);
      if (Status made = create_link(*directory_, name, shape, {}); !made) {
        context.report(Wrong::kCrash, "no link: code, errno",
                       static_cast<std::uint64_t>(made.error().code),
                       static_cast<std::uint64_t>(made.error().os_errno));
      }
    }
  }
  void end(const Context& /*context*/) override {
    if (!directory_) return;
    static_cast<void>(remove_segment(*directory_, kInput));
    static_cast<void>(remove_segment(*directory_, kOutput));
  }

  void play(Life& life) override {
    if (life.role() == 0) return produce(life);
    if (life.role() == 1) return relay(life);
    consume(life);
  }
  void judge(const Context& context) override { judge_pipe(context); }

 private:
  void produce(Life& life) {
    LinkWriter writer = attach_end<LinkWriter>(life, *directory_, kInput);
    ProducerBook& book = life.stage().producers[0];
    book.begin_life();
    Sender sender(book);
    send_records(life, sender, writer);
  }

  void relay(Life& life) {
    LinkReader reader = attach_end<LinkReader>(life, *directory_, kInput);
    LinkWriter writer = attach_end<LinkWriter>(life, *directory_, kOutput);
    LinkWaiter waiter(life);
    for (;;) {
      Message message;
      life.now(Op::kTake);
      const Transfer answer = reader.try_peek(message);
      life.now(Op::kNothing);
      if (answer == Transfer::kCorruptPeer) life.fail(Wrong::kCorrupt, "the relay's input");
      if (answer == Transfer::kBlocked) {
        if (!life.stays(Phase::kDrainRelays)) return;
        waiter.wait(reader.message_point(), [&] { return reader.has_message(); });
        continue;
      }
      const Origin origin{message.position, message.redelivered ? 1U : 0U};
      while (!send(life, writer, origin, message.bytes)) {
        waiter.wait(writer.space_point(),
                    [&] { return writer.has_space(sizeof origin + message.bytes.size()); });
      }
      life.now(Op::kFinish);
      reader.release(message);
      life.now(Op::kNothing);
      life.moved();
    }
  }

  [[nodiscard]] static bool send(Life& life, LinkWriter& writer, const Origin& origin,
                                 std::span<const std::byte> message) {
    std::span<std::byte> place;
    life.now(Op::kPush);
    const Transfer answer = writer.try_reserve(sizeof origin + message.size(), place);
    if (answer == Transfer::kCorruptPeer) life.fail(Wrong::kCorrupt, "the relay's output");
    if (answer == Transfer::kDone) {
      std::memcpy(place.data(), &origin, sizeof origin);
      std::memcpy(place.data() + sizeof origin, message.data(), message.size());
      writer.commit(sizeof origin + message.size());
    }
    life.now(Op::kNothing);
    return answer == Transfer::kDone;
  }

  void consume(Life& life) {
    LinkReader reader = attach_end<LinkReader>(life, *directory_, kOutput);
    ConsumerBook& book = life.stage().consumers[0];
    book.begin_life();
    Taker taker(book);
    LinkWaiter waiter(life);
    for (;;) {
      if (!life.has_room(taker)) continue;
      Message message;
      life.now(Op::kTake);
      const Transfer answer = reader.try_peek(message);
      life.now(Op::kNothing);
      if (answer == Transfer::kCorruptPeer) life.fail(Wrong::kCorrupt, "the sink's input");
      if (answer == Transfer::kBlocked) {
        if (!life.stays()) return;
        waiter.wait(reader.message_point(), [&] { return reader.has_message(); });
        continue;
      }
      Origin origin{};
      if (message.bytes.size() < sizeof origin) life.fail(Wrong::kTorn, "no whole record");
      std::memcpy(&origin, message.bytes.data(), sizeof origin);
      log_message(life, taker, message.bytes.subspan(sizeof origin),
                  message.redelivered || origin.is_repeat != 0);
      life.now(Op::kFinish);
      reader.release(message);
      life.now(Op::kNothing);
    }
  }

  // The sink's log is the source's sequence: a step back is to what came before, marked; a step
  // forward leaves nothing out that the source had sent.
  static void judge_pipe(const Context& context) {
    const ProducerBook& sent = context.stage->producers[0];
    const ConsumerBook& got = context.stage->consumers[0];
    std::uint8_t* known = context.stage->known[0];
    const std::uint32_t count = read_book(sent, known);
    const std::uint32_t end = got.life_count == 0 ? 0 : got.lives[got.life_count - 1].end.get();
    std::int64_t seen = -1;
    for (std::uint32_t i = 0; i < end; ++i) {
      const LogEntry& entry = got.log[i];
      if (entry.id >= count || entry.producer != 0) {
        context.report(Wrong::kInvented, "never sent: number", entry.id);
        return;
      }
      const bool came_before = (known[entry.id] & kDelivered) != 0;
      if (came_before) {
        ++context.tally->redelivered;
        if ((entry.flags & kMarked) == 0) {
          context.report(Wrong::kDuplicated, "came again without a mark: number", entry.id);
        }
      } else if (std::int64_t{entry.id} < seen) {
        context.report(Wrong::kOrder, "out of order: number, behind", entry.id,
                       static_cast<std::uint64_t>(seen));
      } else {
        seen = entry.id;
      }
      known[entry.id] |= kDelivered;
    }
    close_book(context, 0, count);
  }

  std::optional<SegmentDirectory> directory_;
};

}  // namespace

Scene& relay_scene() {
  static RelayScene scene;
  return scene;
}

}  // namespace slipring::campaign
