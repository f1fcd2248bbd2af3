// Links with their real certificates and doorbells: records, slots with a buffer pool, and values;
// named ones, and guarded ones with a broker in a process of its own, which nobody kills.
//
// A successor may be born while the dead one still leaves its memory: it asks for the role until
// the kernel gives the lock away.  Readers and writers sleep on their doorbells when they have
// nothing to do, in half of their lives; the others poll.

#include <sched.h>

#include <array>
#include <cstring>
#include <string>

#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_segment.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/link/value_link.h"
#include "platform/wait/waiter.h"
#include "tests/crash/campaign/broker_process.h"
#include "tests/crash/campaign/link_life.h"
#include "tests/crash/campaign/pair_scenes.h"
#include "tests/crash/campaign/scenes.h"

namespace slipring::campaign {
namespace {

constexpr const char* kLinkName = "campaign";

class LinkScene : public PairScene {
 public:
  LinkScene(const char* name, bool is_guarded) : name_(name), is_guarded_(is_guarded) {}
  [[nodiscard]] const char* name() const override { return name_; }
  [[nodiscard]] bool has_certificates() const override { return true; }
  // The books are opened under the certificate: the dead one may not have left yet.
  void open_books(const Context& /*context*/, std::uint32_t /*role*/) override {}

  void shape(const Context& context, Chance& chance) override {
    shape_ = link_shape(chance);
    directory_ = open_directory(context);
    if (!directory_) return;
    const Status made = is_guarded_ ? broker_.start(*directory_, kLinkName, shape_)
                                    : create_link(*directory_, kLinkName, shape_, {});
    if (!made) {
      context.report(Wrong::kCrash, "no link: code, errno",
                     static_cast<std::uint64_t>(made.error().code),
                     static_cast<std::uint64_t>(made.error().os_errno));
    }
  }
  void tell(const Context& /*context*/) const override {}  // its memory is not mapped here
  void end(const Context& /*context*/) override {
    broker_.stop();
    if (directory_) static_cast<void>(remove_segment(*directory_, kLinkName));
  }

 protected:
  [[nodiscard]] virtual LinkShape link_shape(Chance& chance) = 0;
  [[nodiscard]] const SegmentDirectory& directory() const { return *directory_; }

  LinkShape shape_;

 private:
  const char* name_;
  bool is_guarded_;
  BrokerProcess broker_;
  std::optional<SegmentDirectory> directory_;
};

class RecordLinkScene : public LinkScene {
 public:
  using LinkScene::LinkScene;

 private:
  [[nodiscard]] LinkShape link_shape(Chance& chance) override {
    LinkShape shape;
    shape.kind = SegmentKind::kRecordLink;
    shape.capacity_bytes = std::uint64_t{512} << chance.below(6);
    return shape;
  }
  void produce(Life& life) override {
    LinkWriter writer = attach_end<LinkWriter>(life, directory(), kLinkName);
    ProducerBook& book = life.stage().producers[0];
    book.begin_life();
    Sender sender(book);
    send_records(life, sender, writer);
    writer.close();  // nothing more: who drains the link knows when it is through
  }
  void consume(Life& life) override {
    LinkReader reader = attach_end<LinkReader>(life, directory(), kLinkName);
    ConsumerBook& book = life.stage().consumers[0];
    book.begin_life();
    Taker taker(book);
    take_records(life, taker, reader);
  }
};

class SlotLinkScene : public LinkScene {
 public:
  using LinkScene::LinkScene;

  void judge(const Context& context) override {
    PairScene::judge(context);
    // All is read: a new writer takes back what was lent and never sent, and finds all free.
    const std::uint32_t lent = lent_count();
    if (lent != 0) context.report(Wrong::kLeaked, "buffers that are not free", lent);
  }

 private:
  [[nodiscard]] std::uint32_t lent_count() const {
    for (;;) {
      Result<LinkWriter> writer = LinkWriter::attach(directory(), kLinkName, MemoryLock::kOff);
      if (writer) return writer->pool()->lent_count();
      // A broker may not have heard yet that the last one has left.
      if (writer.error().code != ErrorCode::kBusy) return shape_.pool_buffer_count;
      sched_yield();
    }
  }
  [[nodiscard]] LinkShape link_shape(Chance& chance) override {
    LinkShape shape;
    shape.kind = SegmentKind::kSlotLink;
    shape.slot_count = std::uint64_t{2} << chance.below(6);
    shape.slot_bytes = 16;
    shape.pool_buffer_count = 2 + chance.below(30);
    shape.pool_buffer_bytes = std::uint64_t{64} << chance.below(4);
    return shape;
  }

  void produce(Life& life) override {
    LinkWriter writer = attach_end<LinkWriter>(life, directory(), kLinkName);
    ProducerBook& book = life.stage().producers[0];
    book.begin_life();
    Sender sender(book);
    LinkWaiter waiter(life);
    while (life.goes_on(sender)) {
      std::span<std::byte> slot;
      std::uint32_t buffer = 0;
      life.now(Op::kPush);
      Transfer answer = writer.try_reserve(sizeof(BufferHandle), slot);
      if (answer == Transfer::kDone) answer = writer.pool()->try_acquire(buffer);
      life.now(Op::kNothing);
      if (answer == Transfer::kCorruptPeer) {
        life.fail(Wrong::kCorrupt, "a link's writer found its reader corrupt", sender.next());
      }
      if (answer == Transfer::kBlocked) {
        // Buffers come back to who looks at the reader's present page, which a guarded end does by
        // itself only when its ring is full.
        writer.look_for_news();
        waiter.wait(writer.space_point(), [&] {
          return writer.has_space(sizeof(BufferHandle)) &&
                 writer.pool()->lent_count() != shape_.pool_buffer_count;
        });
        continue;
      }
      write_message(writer.pool()->bytes(buffer), {sender.next(), 0, sender.life()});
      sender.about_to_send(1);
      life.now(Op::kPush);
      const BufferHandle handle = writer.pool()->lend(buffer);
      std::memcpy(slot.data(), &handle, sizeof handle);
      writer.commit(sizeof handle);
      writer.pool()->drop(buffer);
      life.now(Op::kNothing);
      sender.sent(1);
      life.moved();
    }
    writer.close();
  }

  void consume(Life& life) override {
    LinkReader reader = attach_end<LinkReader>(life, directory(), kLinkName);
    ConsumerBook& book = life.stage().consumers[0];
    book.begin_life();
    Taker taker(book);
    LinkWaiter waiter(life);
    for (;;) {
      if (!life.has_room(taker)) continue;
      Message message;
      taker.about_to_take(1);
      life.now(Op::kTake);
      const Transfer answer = reader.try_peek(message);
      life.now(Op::kNothing);
      if (answer == Transfer::kCorruptPeer) {
        life.fail(Wrong::kCorrupt, "a link's reader found its writer corrupt", taker.end());
      }
      if (answer == Transfer::kBlocked) {
        taker.took(0);
        if (!life.stays() && reader.is_finished()) return;
        waiter.wait(reader.message_point(), [&] { return reader.has_message(); });
        continue;
      }
      BufferHandle handle;
      std::memcpy(&handle, message.bytes.data(), sizeof handle);
      if (reader.pool()->holds(handle)) {
        log_message(life, taker, reader.pool()->bytes(handle), message.redelivered);
        taker.about_to_finish(taker.end());
      } else if (!message.redelivered) {
        life.fail(Wrong::kInvented, "a handle that names nothing lent: slot, generation",
                  handle.slot, handle.generation);
      }
      life.now(Op::kFinish);
      reader.give_back(handle);
      reader.release(message);
      life.now(Op::kNothing);
      taker.finished(taker.end());
    }
  }
};

struct LinkValue {
  std::uint64_t words[3];
};

class ValueLinkScene : public LinkScene {
 public:
  using LinkScene::LinkScene;

 private:
  [[nodiscard]] LinkShape link_shape(Chance& chance) override {
    return value_link_shape<LinkValue>(1 + chance.below(500));
  }
  void produce(Life& life) override {
    auto writer = attach_end<ValueWriter<LinkValue>>(life, directory(), kLinkName);
    ProducerBook& book = life.stage().producers[0];
    book.begin_life();
    Sender sender(book);
    LinkWaiter waiter(life);
    send_messages(life, sender, 0, sizeof(LinkValue), sizeof(LinkValue),
                  [&](std::span<const std::byte> message) {
                    LinkValue value;
                    std::memcpy(&value, message.data(), sizeof value);
                    const Transfer answer = writer.try_push(value);
                    if (answer == Transfer::kBlocked) {
                      waiter.wait(writer.space_point(), [&] { return writer.has_space(); });
                    }
                    return answer;
                  });
    writer.close();
  }
  void consume(Life& life) override {
    auto reader = attach_end<ValueReader<LinkValue>>(life, directory(), kLinkName);
    ConsumerBook& book = life.stage().consumers[0];
    book.begin_life();
    Taker taker(book);
    LinkWaiter waiter(life);
    for (;;) {
      if (!life.has_room(taker)) continue;
      const std::uint64_t marked_count = reader.redelivered_count();
      std::span<const LinkValue> values;
      taker.about_to_take(kAnyNumber);
      life.now(Op::kTake);
      const Transfer answer = reader.try_peek(values);
      life.now(Op::kNothing);
      if (answer == Transfer::kCorruptPeer) {
        life.fail(Wrong::kCorrupt, "a value link's reader found its writer corrupt", taker.end());
      }
      if (answer == Transfer::kBlocked) {
        taker.took(0);
        if (!life.stays() && reader.is_finished()) return;
        waiter.wait(reader.value_point(), [&] { return reader.has_value(); });
        continue;
      }
      taker.took(static_cast<std::uint32_t>(values.size()));
      for (std::size_t i = 0; i < values.size(); ++i) {
        log_message(life, taker, std::as_bytes(values.subspan(i, 1)), i < marked_count);
      }
      taker.about_to_finish(taker.end());
      life.now(Op::kFinish);
      reader.release(values.size());
      life.now(Op::kNothing);
      taker.finished(taker.end());
    }
  }
};

}  // namespace

Scene& record_link_scene() {
  static RecordLinkScene scene("link-records", false);
  return scene;
}
Scene& pool_link_scene() {
  static SlotLinkScene scene("link-pool", false);
  return scene;
}
Scene& value_link_scene() {
  static ValueLinkScene scene("link-values", false);
  return scene;
}

Scene& guarded_record_scene() {
  static RecordLinkScene scene("guarded-records", true);
  return scene;
}
Scene& guarded_pool_scene() {
  static SlotLinkScene scene("guarded-pool", true);
  return scene;
}
Scene& guarded_value_scene() {
  static ValueLinkScene scene("guarded-values", true);
  return scene;
}

}  // namespace slipring::campaign
