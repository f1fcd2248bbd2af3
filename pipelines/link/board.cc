#include "pipelines/link/board.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace slipring {
namespace {

// The board's region of a validated header.  Errors: kCorruptPeer.
[[nodiscard]] Result<Region> board_region(const SegmentHeader& header) noexcept {
  if (header.kind != SegmentKind::kBoard || header.region_count != 1 ||
      header.regions[0].role != Role::kWriter || header.regions[0].size_bytes < sizeof(BoardPage)) {
    return Error{ErrorCode::kCorruptPeer, 0, "segment is not a board",
                 static_cast<std::uint64_t>(header.kind),
                 static_cast<std::uint64_t>(SegmentKind::kBoard)};
  }
  return Region{header.regions[0]};
}

[[nodiscard]] bool has_name(const BoardEntry& entry, std::string_view name) noexcept {
  return name.size() < kBoardNameBytes && std::memcmp(entry.name, name.data(), name.size()) == 0 &&
         entry.name[name.size()] == '\0';
}

}  // namespace

Status create_board(const SegmentDirectory& directory, std::string_view name,
                    const SegmentOptions& options) noexcept {
  SegmentHeader header = begin_header(SegmentKind::kBoard, name, page_size_bytes());
  add_region(header, Role::kWriter, sizeof(BoardPage));
  return create_segment(directory, name, header, options);
}

Board::Board(std::optional<Certificate> certificate, std::unique_ptr<GuardedEnd> guard,
             Mapping own) noexcept
    : certificate_(std::move(certificate)), guard_(std::move(guard)), own_(std::move(own)) {}

void Board::open() noexcept {
  BoardPage& board = page();
  // relaxed: only this stage writes them, and observers merely show them.
  board.process_id.store(static_cast<std::uint32_t>(getpid()), std::memory_order_relaxed);
  board.incarnation.store(board.incarnation.load(std::memory_order_relaxed) + 1,
                          std::memory_order_relaxed);
}

BoardPage& Board::page() noexcept {
  return *reinterpret_cast<BoardPage*>(own_.writable_bytes().data());
}

Result<Board> Board::attach(const SegmentDirectory& directory, std::string_view name,
                            MemoryLock memory_lock) noexcept {
  // The guarded one first, as take_role().
  Result<GuardedHold> guarded = GuardedEnd::take_role(directory, name, Role::kWriter, memory_lock);
  if (guarded) {
    if (guarded->shape.kind != SegmentKind::kBoard) {
      return Error{ErrorCode::kVersion, 0, "not a board but a link"};
    }
    Board board(std::nullopt, std::move(guarded->end), std::move(guarded->own));
    board.open();
    return board;
  }
  if (!is_no_rendezvous(guarded.error())) return guarded.error();
  Result<Board> named = attach_named(directory, name, memory_lock);
  if (!named && named.error().code == ErrorCode::kNotFound && guarded.error().os_errno != ENOENT) {
    return guarded.error();
  }
  return named;
}

Result<Board> Board::attach_named(const SegmentDirectory& directory, std::string_view name,
                                  MemoryLock memory_lock) noexcept {
  Result<SegmentFile> file = SegmentFile::open(directory, name);
  if (!file) return file.error();
  Result<SegmentHeader> header = read_header(*file);
  if (!header) return header.error();
  Result<Region> region = board_region(*header);
  if (!region) return region.error();
  Result<Certificate> certificate =
      Certificate::acquire(file->lock_file(), static_cast<std::uint32_t>(Role::kWriter));
  if (!certificate) return certificate.error();
  Result<Descriptor> writable = file->open_writable(directory);
  if (!writable) return writable.error();
  MappingOptions options;
  options.access = Access::kReadWrite;
  options.memory_lock = memory_lock;
  Result<Mapping> own =
      Mapping::map(writable->get(), region->offset_bytes, region->size_bytes, options);
  if (!own) return own.error();
  Board board(std::move(certificate).value(), nullptr, std::move(own).value());
  board.open();
  return board;
}

Board::Number Board::number(std::string_view name, BoardKind kind) noexcept {
  name = name.substr(0, kBoardNameBytes - 1);
  BoardPage& board = page();
  // relaxed: our own word, or our dead predecessor's.
  std::uint32_t entry_count = board.entry_count.load(std::memory_order_relaxed);
  entry_count = std::min(entry_count, kMaxBoardEntries);
  for (std::uint32_t i = 0; i < entry_count; ++i) {
    if (has_name(board.entries[i], name)) return Number(board.entries[i].value);
  }
  if (entry_count == kMaxBoardEntries) return Number();
  BoardEntry& entry = board.entries[entry_count];
  std::memset(entry.name, 0, sizeof entry.name);
  std::memcpy(entry.name, name.data(), name.size());
  entry.kind = kind;
  entry.value.store(0, std::memory_order_relaxed);  // relaxed: shown by the count, board.A
  board.entry_count.store(entry_count + 1,
                          std::memory_order_release);  // board.A pairs with board.B
  return Number(entry.value);
}

std::uint32_t Board::incarnation() const noexcept {
  // relaxed: our own word.
  return reinterpret_cast<const BoardPage*>(own_.bytes().data())
      ->incarnation.load(std::memory_order_relaxed);
}

BoardObserver::BoardObserver(std::optional<SegmentFile> file, Mapping page,
                             std::unique_ptr<GuardedView> view) noexcept
    : file_(std::move(file)), page_(std::move(page)), view_(std::move(view)) {}

BoardObserver BoardObserver::of(std::unique_ptr<GuardedView> view) noexcept {
  check(view->is_board(), "a view of a board");
  return BoardObserver(std::nullopt, Mapping(), std::move(view));
}

const BoardPage& BoardObserver::page() const noexcept {
  if (view_) {
    // A successor's board holds what its predecessor's did, so that looks may straddle the two.
    view_->refresh();
    return *reinterpret_cast<const BoardPage*>(view_->region(Role::kWriter).bytes().data());
  }
  return *reinterpret_cast<const BoardPage*>(page_.bytes().data());
}

Result<BoardObserver> BoardObserver::attach(const SegmentDirectory& directory,
                                            std::string_view name) noexcept {
  Result<std::unique_ptr<GuardedView>> view = GuardedView::attach(directory, name);
  if (view) {
    if ((*view)->is_board()) return of(std::move(view).value());
    return Error{ErrorCode::kCorruptPeer, 0, "segment is not a board",
                 static_cast<std::uint64_t>((*view)->shape().kind),
                 static_cast<std::uint64_t>(SegmentKind::kBoard)};
  }
  if (!is_no_rendezvous(view.error())) return view.error();
  Result<SegmentFile> file = SegmentFile::open(directory, name);
  if (!file) return file.error();
  Result<SegmentHeader> header = read_header(*file);
  if (!header) return header.error();
  Result<Region> region = board_region(*header);
  if (!region) return region.error();
  MappingOptions options;
  options.memory_lock = MemoryLock::kOff;
  Result<Mapping> mapped =
      Mapping::map(file->read_only_fd(), region->offset_bytes, region->size_bytes, options);
  if (!mapped) return mapped.error();
  return BoardObserver(std::move(file).value(), std::move(mapped).value(), nullptr);
}

std::uint32_t BoardObserver::entry_count() const noexcept {
  // board.B pairs with board.A.
  return std::min(page().entry_count.load(std::memory_order_acquire), kMaxBoardEntries);
}

BoardObserver::Entry BoardObserver::entry(std::uint32_t index) const noexcept {
  check(index < kMaxBoardEntries, "an entry beyond the board");
  const BoardEntry& shared = page().entries[index];
  Entry copy{};
  std::memcpy(copy.name, shared.name, kBoardNameBytes - 1);
  for (char& letter : copy.name) {
    if (letter != '\0' && (letter < ' ' || letter > '~')) letter = '?';
  }
  copy.kind = shared.kind;
  copy.value = shared.value.load(std::memory_order_relaxed);  // relaxed: shown to people
  return copy;
}

std::uint64_t BoardObserver::value_of(std::string_view name) const noexcept {
  const std::uint32_t end = entry_count();
  for (std::uint32_t i = 0; i < end; ++i) {
    if (has_name(page().entries[i], name)) {
      return page().entries[i].value.load(std::memory_order_relaxed);  // relaxed: shown to people
    }
  }
  return 0;
}

std::uint32_t BoardObserver::process_id() const noexcept {
  return page().process_id.load(std::memory_order_relaxed);  // relaxed: shown to people
}

std::uint32_t BoardObserver::incarnation() const noexcept {
  return page().incarnation.load(std::memory_order_relaxed);  // relaxed: shown to people
}

bool BoardObserver::is_held() const noexcept {
  if (view_) {
    return view_->seat(Role::kWriter).is_held.load(std::memory_order_relaxed) !=
           0;  // relaxed: shown to people
  }
  Result<Probe> probe = file_->lock_file().probe(static_cast<std::uint32_t>(Role::kWriter));
  // Without an answer nothing is certified: the stage may live.
  return !probe || probe->holder != Holder::kNobody;
}

ProtectionLevel BoardObserver::protection() const noexcept {
  return view_ ? shown_protection(view_->seat(Role::kWriter)) : ProtectionLevel::kNone;
}

}  // namespace slipring
