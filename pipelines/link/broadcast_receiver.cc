#include "pipelines/link/broadcast_receiver.h"

#include <errno.h>

#include <cstring>
#include <utility>

#include "core/error/check.h"
#include "pipelines/link/guarded_end.h"
#include "pipelines/link/link_segment.h"
#include "pipelines/link/process_owner.h"
#include "pipelines/link/used_places.h"
#include "platform/memory/page_size.h"
#include "platform/memory/sealed_memory.h"

namespace slipring {
namespace {

// Whether the place's last holder is a member still.  Requires: nobody but the caller holds it.
Result<bool> has_member(const OpenBroadcast& link, std::uint32_t place) noexcept {
  MappingOptions options;
  options.memory_lock = MemoryLock::kOff;
  Result<Mapping> page = Mapping::map(link.file.read_only_fd(), link.place_offset(place),
                                      link.parts.place_bytes, options);
  if (!page) return page.error();
  // relaxed: taking the place's lock ordered us after its last holder.
  const std::uint64_t joined = reinterpret_cast<const BroadcastReaderPage*>(page->bytes().data())
                                   ->joined.load(std::memory_order_relaxed);
  return broadcast_member(joined) != BroadcastMember::kOut;
}

}  // namespace

BroadcastReceiver::BroadcastReceiver(const OpenBroadcast& link, std::uint32_t place,
                                     Certificate certificate, Mapping own, Mapping writer) noexcept
    : shape_(link.shape),
      parts_(link.parts),
      place_(place),
      certificate_(std::move(certificate)),
      own_(std::move(own)),
      writer_(std::move(writer)) {}

BroadcastReceiver::BroadcastReceiver(GuardedSubscription::Taken link, Mapping own) noexcept
    : shape_(guarded_broadcast(link.shape)),
      parts_{link.parts.ring_offset, link.parts.writer_bytes, own.size_bytes()},
      place_(0),
      guard_(std::move(link.subscription)),
      own_(std::move(own)),
      writer_(std::move(link.writer)) {}

BroadcastReceiver::BroadcastReceiver(BroadcastReceiver&& other) noexcept = default;

BroadcastReceiver::~BroadcastReceiver() {
  if (own_.is_mapped() && ring_ && certificate_ && certificate_->is_intact()) leave();
}

Result<Certificate> BroadcastReceiver::take_place(const OpenBroadcast& link,
                                                  const BroadcastReadOptions& options) noexcept {
  const std::uint32_t place_count = link.shape.reader_count;
  if (options.resumed_place) {
    if (*options.resumed_place >= place_count) {
      return Error{ErrorCode::kInvalidArgument, 0, "no such place for a reader",
                   *options.resumed_place, place_count};
    }
    return Certificate::acquire(link.file.lock_file(), kFirstPlaceByte + *options.resumed_place);
  }
  // What a dead reader left last of all: a successor may want it.
  std::optional<Certificate> left_by_the_dead;
  for (std::uint32_t place = 0; place < place_count; ++place) {
    Result<Certificate> taken =
        Certificate::acquire(link.file.lock_file(), kFirstPlaceByte + place);
    if (!taken && taken.error().code == ErrorCode::kBusy) continue;
    if (!taken) return taken;
    Result<bool> member = has_member(link, place);
    if (!member) return member.error();
    if (!*member) return taken;
    if (!left_by_the_dead) left_by_the_dead.emplace(std::move(taken).value());
  }
  if (left_by_the_dead) return std::move(*left_by_the_dead);
  return Error{ErrorCode::kBusy, 0, "take a place while living readers hold them all", 0,
               place_count};
}

Result<BroadcastReceiver> BroadcastReceiver::attach(const SegmentDirectory& directory,
                                                    std::string_view name,
                                                    const BroadcastReadOptions& options) noexcept {
  // The guarded one first, as take_role().
  Result<GuardedSubscription::Taken> guarded =
      GuardedSubscription::attach(directory, name, options.memory_lock);
  if (guarded) return attach_guarded(std::move(guarded).value(), options);
  if (!is_no_rendezvous(guarded.error())) return guarded.error();
  Result<BroadcastReceiver> named = attach_named(directory, name, options);
  if (!named && named.error().code == ErrorCode::kNotFound && guarded.error().os_errno != ENOENT) {
    return guarded.error();
  }
  return named;
}

Result<BroadcastReceiver> BroadcastReceiver::attach_guarded(
    GuardedSubscription::Taken link, const BroadcastReadOptions& options) noexcept {
  if (options.resumed_place) {
    return Error{ErrorCode::kInvalidArgument, 0, "a guarded broadcast link has no places",
                 *options.resumed_place, 0};
  }
  Result<SealedMemory> own = make_unsealed_memory(
      parts_of(guarded_broadcast(link.shape), page_size_bytes()).place_bytes, options.memory_lock);
  if (!own) return own.error();
  BroadcastReceiver receiver(std::move(link), std::move(own->own));
  receiver.stream_ = receiver.stream_shown();
  if (Status attached = receiver.attach_ring(options); !attached) {
    // The writer's words make no sense: that is an answer of try_receive(), until another comes.
    if (attached.error().code != ErrorCode::kCorruptPeer || !receiver.ring_) {
      return attached.error();
    }
    receiver.is_corrupt_ = true;
  }
  return receiver;
}

Result<BroadcastReceiver> BroadcastReceiver::attach_named(
    const SegmentDirectory& directory, std::string_view name,
    const BroadcastReadOptions& options) noexcept {
  Result<OpenBroadcast> link = OpenBroadcast::open(directory, name);
  if (!link) return link.error();
  Result<Certificate> certificate = take_place(*link, options);
  if (!certificate) return certificate.error();
  const std::uint32_t place = certificate->role_byte() - kFirstPlaceByte;
  Result<Descriptor> writable = link->file.open_writable(directory);
  if (!writable) return writable.error();
  MappingOptions mapping;
  mapping.memory_lock = options.memory_lock;
  mapping.access = Access::kReadWrite;
  Result<Mapping> own =
      Mapping::map(writable->get(), link->place_offset(place), link->parts.place_bytes, mapping);
  if (!own) return own.error();
  mapping.access = Access::kReadOnly;
  Result<Mapping> writer = Mapping::map(link->file.read_only_fd(), link->writer_offset(),
                                        link->parts.writer_bytes, mapping);
  if (!writer) return writer.error();
  BroadcastReceiver receiver(*link, place, std::move(certificate).value(), std::move(own).value(),
                             std::move(writer).value());
  if (place != 0) {
    mapping.memory_lock = MemoryLock::kOff;
    mapping.prefaults = false;
    Result<Mapping> below = Mapping::map(link->file.read_only_fd(), link->place_offset(0),
                                         place * link->parts.place_bytes, mapping);
    if (!below) return below.error();
    receiver.places_below_ = std::move(below).value();
  }
  if (Status attached = receiver.attach_ring(options); !attached) return attached.error();
  return receiver;
}

Status BroadcastReceiver::attach_ring(const BroadcastReadOptions& options) noexcept {
  const std::byte* region = writer_.bytes().data();
  const auto* arms = reinterpret_cast<const ArmLine*>(region + kBroadcastArmsOffset);
  doorbell_.emplace(end().bell, arms[place_]);
  open_end(end(), is_locked());
  Result<BroadcastReader> ring =
      BroadcastReader::attach(*reinterpret_cast<BroadcastReaderPage*>(own_.writable_bytes().data()),
                              *reinterpret_cast<const BroadcastWriterPage*>(region),
                              region + parts_.slots_offset, place_, geometry_of(shape_));
  if (!ring) return ring.error();
  ring_.emplace(*ring);
  slot_.resize(shape_.message_bytes + kBroadcastHeaderBytes);
  const bool resumes = options.resumed_place && ring_->is_member();
  if (!resumes) {
    if (ring_->is_member()) ring_->leave();
    lost_before_us_ = ring_->lost_count();
    if (Status joined = ring_->join(options.from); !joined) return joined;
    if (options.is_owed_all) {
      untold_lost_ = ring_->position();
      lost_in_hand_ += untold_lost_;
    }
  }
  // Whoever waited for our predecessor looks again.
  doorbell_->ring_always();
  return {};
}

EndPage& BroadcastReceiver::end() const noexcept {
  return end_page_of(own_.writable_bytes());
}
const EndPage& BroadcastReceiver::writer_end() const noexcept {
  return *reinterpret_cast<const EndPage*>(writer_.bytes().data() + kBroadcastEndOffset);
}

// Finds the next message; where we were put out, after joining again.
Reception BroadcastReceiver::take(BroadcastView& view) noexcept {
  const bool is_held = shape_.policy == BroadcastPolicy::kBlock;
  const auto look = [&] { return is_held ? ring_->try_peek(view) : ring_->try_pop(slot_, view); };
  Reception answer = look();
  if (answer != Reception::kEvicted) return answer;
  ++evicted_count_;
  if (!ring_->join(BroadcastJoin::kOldest)) return Reception::kCorruptPeer;
  answer = look();
  return answer == Reception::kEvicted ? Reception::kBlocked : answer;
}

// The message of a view.  False when it was overwritten before it was copied.
bool BroadcastReceiver::take_out(const BroadcastView& view, BroadcastMessage& message) noexcept {
  if (shape_.policy == BroadcastPolicy::kBlock && !ring_->copy_out(view, slot_)) return false;
  const std::optional<std::span<const std::byte>> bytes = broadcast_message_in(slot_);
  if (!bytes) {
    is_corrupt_ = true;
    return false;
  }
  message.bytes = *bytes;
  message.writer = broadcast_writer_of(slot_);
  message.position = view.position;
  message.lost = view.lost + untold_lost_;
  message.redelivered = view.redelivered;
  message.aborted = view.aborted;
  untold_lost_ = 0;
  return true;
}

Transfer BroadcastReceiver::try_receive(BroadcastMessage& message) noexcept {
  const Transfer answer = receive(message);
  if (answer == Transfer::kDone || !take_news()) return answer;
  return receive(message);
}

// Shows a writer's successor, if there is one.
bool BroadcastReceiver::take_news() noexcept {
  if (!guard_ || !guard_->take_news(writer_)) return false;
  const std::uint32_t before = std::exchange(stream_, stream_shown());
  // An honest predecessor's successor goes on behind all that we have read; and the first writer
  // where we wait for it.
  if (is_corrupt_ || (before != 0 && before != stream_)) begin_anew();
  return true;
}

std::uint32_t BroadcastReceiver::stream_shown() const noexcept {
  // relaxed: stored before the memory was handed over.
  return writer_end().peer_generation.load(std::memory_order_relaxed);
}

// What we lost of the writer before is counted as far as it can be known.
void BroadcastReceiver::begin_anew() noexcept {
  lost_in_hand_ += ring_->lost_count() - lost_before_us_;
  std::memset(own_.writable_bytes().data(), 0, sizeof(BroadcastReaderPage));
  is_corrupt_ = !attach_ring({BroadcastJoin::kOldest, std::nullopt, MemoryLock::kOff}).ok();
}

Transfer BroadcastReceiver::receive(BroadcastMessage& message) noexcept {
  // Bounded: what is overwritten under our hands again and again is found at the next call.
  for (int attempt = 0; attempt < 4 && !is_corrupt_; ++attempt) {
    BroadcastView view;
    const Reception answer = take(view);
    if (answer == Reception::kBlocked) {
      ring_for_credit();
      count(end().counters.blocked_count);
      return Transfer::kBlocked;
    }
    if (answer != Reception::kDone) {
      is_corrupt_ = true;
      break;
    }
    if (take_out(view, message)) {
      if (message.redelivered) count(end().counters.redelivered_count);
      if (message.aborted) count(end().counters.abort_count);
      if (shape_.policy != BroadcastPolicy::kBlock) {
        count(end().counters.message_count);
        count(end().counters.payload_bytes, message.bytes.size());
        ring_for_credit();
      }
      return Transfer::kDone;
    }
    if (is_corrupt_) break;
    untold_lost_ += view.lost + 1;
    ++lost_in_hand_;
  }
  if (!is_corrupt_) return Transfer::kBlocked;
  count(end().counters.corrupt_count);
  return Transfer::kCorruptPeer;
}

void BroadcastReceiver::release(const BroadcastMessage& message) noexcept {
  if (shape_.policy != BroadcastPolicy::kBlock) return;
  BroadcastView view;
  view.position = message.position;
  ring_->release(view);
  count(end().counters.message_count);
  count(end().counters.payload_bytes, message.bytes.size());
  ring_for_credit();
}

bool BroadcastReceiver::go_to(std::uint64_t position) noexcept {
  if (is_corrupt_ || !ring_->is_member() || !ring_->go_to(position)) return false;
  untold_lost_ = 0;
  ring_for_credit();
  return true;
}

void BroadcastReceiver::ring_for_credit() noexcept {
  if (ring_->credit_given() == rung_credit_) return;
  rung_credit_ = ring_->credit_given();
  doorbell_->ring_if_armed();
}

void BroadcastReceiver::leave() noexcept {
  ring_->leave();
  end().state.store(static_cast<std::uint32_t>(EndState::kClosed),
                    std::memory_order_release);  // link.A pairs with link.B
  doorbell_->ring_always();
}

bool BroadcastReceiver::has_message() const noexcept {
  if (guard_ && guard_->has_news()) return true;
  return is_corrupt_ || ring_->has_message();
}

bool BroadcastReceiver::is_writer_closed() const noexcept {
  return writer_end().state.load(std::memory_order_acquire) ==  // link.B pairs with link.A
         static_cast<std::uint32_t>(EndState::kClosed);
}

bool BroadcastReceiver::is_finished() const noexcept {
  // In this order: what was published before closing is seen now.
  return is_writer_closed() && !has_message();
}

Result<Probe> BroadcastReceiver::probe_writer() const noexcept {
  if (guard_) {
    return Probe{guard_->is_writer_held() ? Holder::kAnother : Holder::kNobody,
                 guard_->sender().process_id};
  }
  check(certificate_.has_value(), "an end that was moved from");
  return certificate_->probe(static_cast<std::uint32_t>(Role::kWriter));
}

LinkPeer BroadcastReceiver::look_at_publisher(std::uint32_t incarnation) const noexcept {
  if (guard_) return guard_->sender();
  const auto* notes =
      reinterpret_cast<const PublisherNote*>(writer_.bytes().data() + kBroadcastNotesOffset);
  LinkPeer said;
  said.incarnation = incarnation;
  const std::optional<Publisher> noted = find_publisher({notes, kPublisherNoteCount}, incarnation);
  if (!noted) return said;
  said.user = noted->user;
  said.group = noted->group;
  said.process_id = static_cast<pid_t>(noted->process_id);
  if (incarnation != writer_incarnation()) return said;
  const Result<Probe> holder = probe_writer();
  if (!holder || holder.value().pid == 0 || holder.value().pid != said.process_id) return said;
  const Owner owner = owner_of(said.process_id);
  said.is_known = true;
  said.user = owner.user;
  said.group = owner.group;
  return said;
}

std::uint32_t BroadcastReceiver::writer_incarnation() const noexcept {
  return writer_end().incarnation.load(std::memory_order_relaxed);  // relaxed: to show
}

WaitPoint BroadcastReceiver::message_point() noexcept {
  WaitPoint point = WaitPoint::of(writer_end().bell, guard_ ? guard_->arm() : end().arm);
  point.is_deaf = !is_looked_at();
  return point;
}

// Whether the writer's looks come as far as our place.
bool BroadcastReceiver::is_looked_at() noexcept {
  if (!places_below_.is_mapped()) return true;
  const std::byte* pages = places_below_.bytes().data();
  const auto word_of = [&](std::uint32_t place) -> const std::atomic<std::uint32_t>& {
    return reinterpret_cast<const EndPage*>(pages + place * parts_.place_bytes + kEndPageOffset)
        ->incarnation;
  };
  if (!all_used_below<StdAtomics>(place_, word_of)) return false;
  places_below_ = Mapping();
  return true;
}

std::optional<WaitPoint> BroadcastReceiver::news_point() noexcept {
  if (!guard_) return std::nullopt;
  return guard_->news_point();
}

std::uint64_t BroadcastReceiver::lost_count() const noexcept {
  return ring_->lost_count() - lost_before_us_ + lost_in_hand_;
}

}  // namespace slipring
