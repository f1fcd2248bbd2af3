#include "pipelines/link/guarded_seats.h"

#include <time.h>
#include <unistd.h>

#include <utility>

#include "platform/memory/page_size.h"
#include "platform/wait/clock.h"
#include "platform/wait/futex.h"

namespace slipring {
namespace {

[[nodiscard]] std::uint64_t realtime_ns() noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

// relaxed: observers need no order, and the news have their own.
void show(std::atomic<std::uint32_t>& word, std::uint32_t value) noexcept {
  word.store(value, std::memory_order_relaxed);  // relaxed: as above
}

// The first page of a role's memory.
[[nodiscard]] Result<Mapping> look_into(const BrokerSeat& seat) noexcept {
  MappingOptions options;
  options.memory_lock = MemoryLock::kOff;
  return Mapping::map(seat.memory->get(), 0, page_size_bytes(), options);
}

// The roles' memory before anybody has made some.
struct ZeroMemory {
  std::shared_ptr<const Descriptor> writer;
  std::shared_ptr<const Descriptor> reader;
};

[[nodiscard]] Result<ZeroMemory> make_zeros(const GuardShape& shape,
                                            const std::string& shown_name) noexcept {
  ZeroMemory zeros;
  // What is polled before is there; a pool's buffers are named by messages only.
  Result<Descriptor> writer =
      make_zero_memory(shape.parts.writer_bytes,
                       shape.shape.kind == SegmentKind::kBoard ? shape.parts.writer_bytes
                                                               : shape.parts.buffers_offset,
                       shown_name.c_str());
  if (!writer) return writer.error();
  zeros.writer = std::make_shared<const Descriptor>(std::move(writer).value());
  if (shape.is_solo) return zeros;
  Result<Descriptor> reader =
      make_zero_memory(shape.parts.reader_bytes, UINT64_MAX, shown_name.c_str());
  if (!reader) return reader.error();
  zeros.reader = std::make_shared<const Descriptor>(std::move(reader).value());
  return zeros;
}

// Ends would refuse what is protected less than this kernel can: better said at once.
[[nodiscard]] Status verify_own(int fd, std::uint64_t size_bytes) noexcept {
  Result<MemoryFacts> facts = verify_memory(fd, ::geteuid(), size_bytes);
  if (facts) return {};
  Error error = facts.error();
  if (error.code == ErrorCode::kCorruptPeer) error.code = ErrorCode::kSystem;
  error.doing = "seal a link's memory";
  return error;
}

}  // namespace

GuardedSeats::GuardedSeats(const GuardShape& shape, SealedMemory page) noexcept
    : shape_(shape), created_ns_(realtime_ns()), page_(std::move(page)) {}

Result<GuardedSeats> GuardedSeats::make(const GuardShape& shape,
                                        const std::string& shown_name) noexcept {
  const std::uint32_t lane_count = is_lane_set(shape.shape) ? shape.shape.lane_count : 1;
  const std::uint64_t page_bytes = guard_page_bytes(shape.shape);
  Result<SealedMemory> page = make_sealed_memory(page_bytes, MemoryLock::kTry);
  if (!page) return page.error();
  if (Status verified = verify_own(page->descriptor.get(), page_bytes); !verified) {
    return verified.error();
  }
  Result<ZeroMemory> zeros = make_zeros(shape, shown_name);
  if (!zeros) return zeros.error();
  if (Status verified = verify_own(zeros->writer->get(), shape.parts.writer_bytes); !verified) {
    return verified.error();
  }
  if (zeros->reader) {
    if (Status verified = verify_own(zeros->reader->get(), shape.parts.reader_bytes); !verified) {
      return verified.error();
    }
  }
  GuardedSeats seats(shape, std::move(page).value());
  seats.lanes_.resize(lane_count);
  const auto best = static_cast<std::uint32_t>(best_protection_level());
  for (std::uint32_t lane = 0; lane < lane_count; ++lane) {
    seats.at({lane, Role::kWriter}).memory = zeros->writer;
    seats.at({lane, Role::kReader}).memory = zeros->reader;
    for (const Role role : {Role::kWriter, Role::kReader}) {
      show(seats.shown({lane, role}).protection, best);
    }
  }
  return seats;
}

GuardSeat& GuardedSeats::shown(const SeatPlace& place) noexcept {
  return reinterpret_cast<GuardPage*>(page_.own.writable_bytes().data())[place.lane]
      .seats[seat_of(place.role)];
}

std::optional<SeatPlace> GuardedSeats::find(std::uint64_t holder_id) const noexcept {
  for (std::uint32_t lane = 0; lane < lane_count(); ++lane) {
    for (const Role role : {Role::kWriter, Role::kReader}) {
      const BrokerSeat& seat = at({lane, role});
      if (seat.hold != SeatHold::kFree && seat.holder_id == holder_id) return SeatPlace{lane, role};
    }
  }
  return std::nullopt;
}

void GuardedSeats::free(const SeatPlace& place) noexcept {
  BrokerSeat& seat = at(place);
  seat.process.reset();
  seat.hold = SeatHold::kFree;
  seat.holder_id = 0;
  show(shown(place).is_held, 0);
}

bool GuardedSeats::has_died(const SeatPlace& place) const noexcept {
  const BrokerSeat& seat = at(place);
  if (seat.hold == SeatHold::kFree) return false;
  Result<bool> ended = seat.process->has_ended();
  return ended && *ended;  // cannot be said: alive
}

void GuardedSeats::accept(const SeatPlace& place, Descriptor memory,
                          ProtectionLevel protection) noexcept {
  BrokerSeat& seat = at(place);
  seat.memory = std::make_shared<const Descriptor>(std::move(memory));
  seat.owner = seat.holder;
  seat.protection = protection;
  seat.hold = SeatHold::kAttached;
  GuardSeat& page = shown(place);
  show(page.process_id, seat.owner.process_id);
  show(page.user, seat.owner.user);
  show(page.group, seat.owner.group);
  show(page.protection, static_cast<std::uint32_t>(protection));
  if (is_lane_set(shape_.shape) && place.role == Role::kWriter) {
    note_attachment(page.attachments, seat.owner.generation, seat.begins_at);
  }
  show(page.is_held, 1);
  show(page.generation, seat.owner.generation);
}

Result<std::uint64_t> GuardedSeats::done(std::uint32_t lane) const noexcept {
  Result<Mapping> reader = look_into(at({lane, Role::kReader}));
  if (!reader) return reader.error();
  return reinterpret_cast<const ConsumerPage*>(reader->bytes().data())
      ->done.load(std::memory_order_acquire);  // cursor.D pairs with cursor.C
}

Result<bool> GuardedSeats::is_given_up(std::uint32_t lane) const noexcept {
  const BrokerSeat& written = at({lane, Role::kWriter});
  if (shape_.is_solo || written.owner.generation == 0) return false;
  Result<Mapping> reader = look_into(at({lane, Role::kReader}));
  if (!reader) return reader.error();
  return reinterpret_cast<const EndPage*>(reader->bytes().data() + kEndPageOffset)
             ->given_up.load(std::memory_order_acquire) ==  // guard.D pairs with guard.C
         written.owner.generation;
}

Result<bool> GuardedSeats::is_read(std::uint32_t lane) const noexcept {
  const BrokerSeat& written = at({lane, Role::kWriter});
  if (written.owner.generation == 0) return true;
  Result<bool> given_up = is_given_up(lane);
  if (!given_up || *given_up) return given_up;
  Result<Mapping> writer = look_into(written);
  if (!writer) return writer.error();
  Result<std::uint64_t> done = this->done(lane);
  if (!done) return done.error();
  // relaxed: the kernel's word on the writer's end ordered us after it.
  return *done == reinterpret_cast<const ProducerPage*>(writer->bytes().data())
                      ->tail.load(std::memory_order_relaxed);
}

Status GuardedSeats::command(std::uint32_t lane, std::uint32_t process_id) noexcept {
  Result<Mapping> writer = look_into(at({lane, Role::kWriter}));
  if (!writer) return writer.error();
  ControlPage& page = reinterpret_cast<GuardPage*>(page_.own.writable_bytes().data())[lane].control;
  const std::uint64_t now_ns = monotonic_ns();
  post_command(page, published_boundary(shape_.shape, writer->bytes()), now_ns, process_id);
  futex_wake(page.count, kAllSleepers);
  return {};
}

GuardGrant GuardedSeats::grant(std::uint32_t lane) const noexcept {
  GuardGrant grant = grant_of(shape_);
  grant.created_ns = created_ns_;
  grant.lane = lane;
  grant.owners[0] = lanes_[lane][0].owner;
  grant.owners[1] = lanes_[lane][1].owner;
  return grant;
}

GuardedSeats::Descriptors GuardedSeats::descriptors(std::uint32_t lane) const noexcept {
  Descriptors all;
  all.fds[all.count++] = page_.descriptor.get();
  all.fds[all.count++] = lanes_[lane][0].memory->get();
  if (!shape_.is_solo) all.fds[all.count++] = lanes_[lane][1].memory->get();
  return all;
}

}  // namespace slipring
