#include "pipelines/link/broadcast_sender.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "core/error/check.h"
#include "pipelines/link/guard_protocol.h"
#include "pipelines/link/link_segment.h"
#include "platform/memory/page_size.h"
#include "platform/memory/sealed_memory.h"

namespace slipring {

BroadcastSender::BroadcastSender(OpenBroadcast link, Certificate certificate, Mapping own,
                                 Mapping readers) noexcept
    : file_(std::move(link.file)),
      shape_(link.shape),
      parts_(link.parts),
      certificate_(std::move(certificate)),
      own_(std::move(own)),
      readers_(std::move(readers)) {}

BroadcastSender::BroadcastSender(GuardedHold hold, Mapping nobody) noexcept
    : shape_(guarded_broadcast(hold.shape)),
      parts_{hold.parts.ring_offset, hold.parts.writer_bytes, nobody.size_bytes()},
      guard_(std::move(hold.end)),
      own_(std::move(hold.own)),
      readers_(std::move(nobody)) {}

Result<BroadcastSender> BroadcastSender::attach(const SegmentDirectory& directory,
                                                std::string_view name,
                                                MemoryLock memory_lock) noexcept {
  // The guarded one first, as take_role().
  Result<GuardedHold> guarded =
      GuardedEnd::take_role(directory, name, Role::kWriter, memory_lock, kAnyLane);
  if (guarded) return attach_guarded(std::move(guarded).value());
  if (!is_no_rendezvous(guarded.error())) return guarded.error();
  Result<BroadcastSender> named = attach_named(directory, name, memory_lock);
  if (!named && named.error().code == ErrorCode::kNotFound && guarded.error().os_errno != ENOENT) {
    return guarded.error();
  }
  return named;
}

Result<BroadcastSender> BroadcastSender::attach_guarded(GuardedHold hold) noexcept {
  if (hold.shape.kind != SegmentKind::kBroadcastLink) {
    return Error{ErrorCode::kVersion, 0, "not a broadcast link",
                 static_cast<std::uint64_t>(segment_kind(hold.shape)),
                 static_cast<std::uint64_t>(SegmentKind::kBroadcastLink)};
  }
  Result<SealedMemory> nobody = make_unsealed_memory(
      parts_of(guarded_broadcast(hold.shape), page_size_bytes()).place_bytes, MemoryLock::kOff);
  if (!nobody) return nobody.error();
  BroadcastSender sender(std::move(hold), std::move(nobody->own));
  sender.subscribers_.reserve(kSubscriberPlaces);
  if (Status opened = sender.open(); !opened) return opened.error();
  return sender;
}

Status BroadcastSender::open() noexcept {
  if (Status attached = attach_ring(); !attached) return attached;
  open_end(end(), is_locked());
  auto* notes =
      reinterpret_cast<PublisherNote*>(own_.writable_bytes().data() + kBroadcastNotesOffset);
  note_publisher({notes, kPublisherNoteCount},
                 {incarnation(), static_cast<std::uint32_t>(getpid()), geteuid(), getegid()});
  // Of every message's header.
  const std::uint32_t writer = incarnation();
  std::memcpy(slot_.data() + sizeof writer, &writer, sizeof writer);
  // A predecessor may have died between publishing and ringing.
  doorbells_.front().ring_always();
  return {};
}

Result<BroadcastSender> BroadcastSender::attach_named(const SegmentDirectory& directory,
                                                      std::string_view name,
                                                      MemoryLock memory_lock) noexcept {
  Result<OpenBroadcast> link = OpenBroadcast::open(directory, name);
  if (!link) return link.error();
  Result<Certificate> certificate =
      Certificate::acquire(link->file.lock_file(), static_cast<std::uint32_t>(Role::kWriter));
  if (!certificate) return certificate.error();
  Result<Descriptor> writable = link->file.open_writable(directory);
  if (!writable) return writable.error();
  MappingOptions options;
  options.memory_lock = memory_lock;
  options.access = Access::kReadWrite;
  Result<Mapping> own =
      Mapping::map(writable->get(), link->writer_offset(), link->parts.writer_bytes, options);
  if (!own) return own.error();
  options.access = Access::kReadOnly;
  Result<Mapping> readers =
      Mapping::map(link->file.read_only_fd(), link->place_offset(0),
                   link->shape.reader_count * link->parts.place_bytes, options);
  if (!readers) return readers.error();
  BroadcastSender sender(std::move(link).value(), std::move(certificate).value(),
                         std::move(own).value(), std::move(readers).value());
  if (Status opened = sender.open(); !opened) return opened.error();
  return sender;
}

Status BroadcastSender::attach_ring() noexcept {
  std::byte* region = own_.writable_bytes().data();
  std::array<const BroadcastReaderPage*, kMaxBroadcastPlaces> pages{};
  auto* arms = reinterpret_cast<ArmLine*>(region + kBroadcastArmsOffset);
  for (std::uint32_t place = 0; place < shape_.reader_count; ++place) {
    pages[place] = &reader(place);
    doorbells_.emplace_back(end().bell, reader_end(place).arm);
    disarm(arms[place].armed);
    points_.push_back(WaitPoint::of(reader_end(place).bell, arms[place]));
  }
  Result<BroadcastWriter> ring = BroadcastWriter::attach(
      *reinterpret_cast<BroadcastWriterPage*>(region), region + parts_.slots_offset,
      {pages.data(), shape_.reader_count}, geometry_of(shape_));
  if (!ring) return ring.error();
  ring_.emplace(*ring);
  slot_.resize(shape_.message_bytes + kBroadcastHeaderBytes);
  return {};
}

EndPage& BroadcastSender::end() const noexcept {
  return *reinterpret_cast<EndPage*>(own_.writable_bytes().data() + kBroadcastEndOffset);
}
const BroadcastReaderPage& BroadcastSender::reader(std::uint32_t place) const noexcept {
  return *reinterpret_cast<const BroadcastReaderPage*>(readers_.bytes().data() +
                                                       place * parts_.place_bytes);
}
const EndPage& BroadcastSender::reader_end(std::uint32_t place) const noexcept {
  return *reinterpret_cast<const EndPage*>(readers_.bytes().data() + place * parts_.place_bytes +
                                           kEndPageOffset);
}

Transfer BroadcastSender::try_make_room() noexcept {
  Transfer answer = ring_->try_make_room();
  // Each place lies once: then it is excluded.
  while (answer == Transfer::kCorruptPeer) {
    count(end().counters.corrupt_count);
    excluded_ |= std::uint32_t{1} << ring_->corrupt_reader();
    ring_->exclude(ring_->corrupt_reader());
    answer = ring_->try_make_room();
  }
  if (answer != Transfer::kDone) count(end().counters.blocked_count);
  return answer;
}

std::uint64_t BroadcastSender::room() const noexcept {
  std::uint64_t room = shape_.slot_count;
  if (shape_.policy != BroadcastPolicy::kBlock) return room;
  for (std::uint32_t place = 0; place < shape_.reader_count; ++place) {
    // relaxed, both: a hint.
    const std::uint64_t joined = reader(place).joined.load(std::memory_order_relaxed);
    const std::uint64_t credit = reader(place).credit.load(std::memory_order_relaxed);
    // One that joins, or lies, is found out by try_make_room().
    if (broadcast_member(joined) != BroadcastMember::kIn || !is_waited_for(place)) continue;
    if (credit > position()) continue;
    const std::uint64_t behind = position() - credit;
    room = std::min(room, shape_.slot_count - std::min(behind, shape_.slot_count));
  }
  return room;
}

void BroadcastSender::pass_over_to(std::uint64_t position) noexcept {
  ring_->pass_over_to(position);
  ring_sleepers();
}

Transfer BroadcastSender::try_send(std::span<const std::byte> message) noexcept {
  check(message.size() <= shape_.message_bytes, "a message larger than the link's");
  const auto size_bytes = static_cast<std::uint32_t>(message.size());
  std::memcpy(slot_.data(), &size_bytes, sizeof size_bytes);
  if (size_bytes != 0) {
    std::memcpy(slot_.data() + kBroadcastHeaderBytes, message.data(), message.size());
  }
  const std::span<const std::byte> slot(slot_.data(), kBroadcastHeaderBytes + message.size());
  if (const Transfer answer = try_make_room(); answer != Transfer::kDone) return answer;
  const Transfer answer = ring_->try_push(slot);
  check(answer == Transfer::kDone, "no room where there was some");
  count(end().counters.message_count);
  count(end().counters.payload_bytes, size_bytes);
  ring_sleepers();
  return answer;
}

// The first doorbell orders the looks behind the publication; of a guarded link it is nobody's.
void BroadcastSender::ring_sleepers() noexcept {
  doorbells_.front().ring_if_armed();
  const std::uint32_t used = used_places_.count(
      shape_.reader_count, [&](std::uint32_t place) -> const std::atomic<std::uint32_t>& {
        return reader_end(place).incarnation;
      });
  for (std::uint32_t place = 1; place < used; ++place) doorbells_[place].ring_if_armed();
  if (!guard_) return;
  if (guard_->has_news()) [[unlikely]]
    show_subscribers();
  for (Subscriber& subscriber : subscribers_) {
    if (subscriber.doorbell) subscriber.doorbell->ring_if_armed();
  }
  if (guard_->must_ring()) [[unlikely]]
    doorbells_.front().ring_always();
}

// Each with a doorbell of its own: armings of a place's next holder begin anew.
void BroadcastSender::show_subscribers() noexcept {
  while (auto shown = guard_->next_subscriber()) {
    if (subscribers_.size() <= shown->place) subscribers_.resize(shown->place + 1);
    Subscriber& subscriber = subscribers_[shown->place];
    subscriber.doorbell.reset();
    subscriber.page = std::move(shown->page);
    subscriber.doorbell.emplace(end().bell,
                                *reinterpret_cast<const ArmLine*>(subscriber.page.bytes().data()));
    guard_->acknowledge(*shown);
  }
}

bool BroadcastSender::is_waited_for(std::uint32_t place) const noexcept {
  // relaxed, both: only a hint for whom to ask about; the other word is our own.
  const std::uint64_t joined = reader(place).joined.load(std::memory_order_relaxed);
  const auto& page = *reinterpret_cast<const BroadcastWriterPage*>(own_.bytes().data());
  const std::uint64_t put_out = page.put_out[place].load(std::memory_order_relaxed);
  return broadcast_member(joined) != BroadcastMember::kOut &&
         broadcast_membership(joined) != put_out;
}

Result<std::uint32_t> BroadcastSender::drop_dead_readers() noexcept {
  std::uint32_t dropped = 0;
  if (guard_) return dropped;  // nobody is waited for
  for (std::uint32_t place = 0; place < shape_.reader_count; ++place) {
    if (!is_waited_for(place)) continue;
    Result<Certificate> taken = Certificate::acquire(file_->lock_file(), kFirstPlaceByte + place);
    if (!taken && taken.error().code == ErrorCode::kBusy) continue;
    if (!taken) return taken.error();
    // Held by us, so that nobody takes the place while its membership is ended.
    if (is_waited_for(place)) {
      ring_->drop_reader(place);
      ++dropped;
    }
  }
  return dropped;
}

void BroadcastSender::abort_published() noexcept {
  ring_->abort_published();
  count(end().counters.abort_count);
  doorbells_.front().ring_always();
}

void BroadcastSender::close() noexcept {
  end().state.store(static_cast<std::uint32_t>(EndState::kClosed),
                    std::memory_order_release);  // link.A pairs with link.B
  doorbells_.front().ring_always();
}

std::uint32_t BroadcastSender::count_members() const noexcept {
  std::uint32_t member_count = 0;
  for (std::uint32_t place = 0; place < shape_.reader_count; ++place) {
    // relaxed: shown to people.
    const std::uint64_t joined = reader(place).joined.load(std::memory_order_relaxed);
    if (broadcast_member(joined) == BroadcastMember::kIn) ++member_count;
  }
  return member_count;
}

std::uint32_t BroadcastSender::incarnation() const noexcept {
  return end().incarnation.load(std::memory_order_relaxed);  // relaxed: our own word
}

}  // namespace slipring
