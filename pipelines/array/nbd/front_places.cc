// Who has a place, who waits for one, and who gives way.

#include <sys/socket.h>

#include <string>
#include <utility>

#include "pipelines/array/nbd/front.h"
#include "pipelines/array/nbd/surviving_word.h"
#include "platform/wait/clock.h"

namespace slipring::array {

void Front::admit(KeptDescriptor accepted) {
  for (std::uint32_t i = 0; i < kConnectionCountMax; ++i) {
    if (clients_[i].connection->phase() != Phase::kFree) continue;
    clients_[i].connection->open(accepted.name);
    return attach_socket(i, std::move(accepted.descriptor));
  }
  if (const std::uint32_t place = make_room(); place != kConnectionCountMax) {
    clients_[place].connection->open(accepted.name);
    return attach_socket(place, std::move(accepted.descriptor));
  }
  if (waiting_.size() < count_in(Phase::kClosed)) {
    waiting_.push_back(std::move(accepted));
    waiting_number_.set(waiting_.size());
    return;
  }
  turned_away_number_.add();
  stage_.log(Severity::kWarning, "a client is turned away: %u are connected", kConnectionCountMax);
  shutdown(accepted.descriptor.get(), SHUT_RDWR);
  static_cast<void>(stage_.keeper().drop(accepted.name));
}

std::uint32_t Front::count_in(Phase phase) const {
  std::uint32_t count = 0;
  for (const Client& client : clients_) count += client.connection->phase() == phase ? 1U : 0U;
  return count;
}

void Front::admit_waiting() {
  while (!waiting_.empty() && count_in(Phase::kFree) != 0) {
    KeptDescriptor next = std::move(waiting_.front());
    waiting_.pop_front();
    admit(std::move(next));
  }
  waiting_number_.set(waiting_.size());
}

// What is waited for is the client's, and nothing of it is at the back end: its place is free at
// once.
bool Front::has_stalled(std::uint32_t index) const {
  const Client& client = clients_[index];
  if (!client.socket.is_open() || client.is_readable || client.waits ||
      !client.connection->has_entered() || !client.connection->owes_bytes()) {
    return false;
  }
  for (std::uint32_t i = 0; i < kPieceCountMax; ++i) {
    const PieceMemory& piece = file_->memory().pieces[i];
    if (piece.connection == index && settled(piece.state) == PieceState::kSubmitted) return false;
  }
  return true;
}

std::uint32_t Front::choosing_longest() const {
  const std::uint64_t now_ns = monotonic_ns();
  std::uint32_t longest = kConnectionCountMax;
  // Until then it is they who wait.
  if (!context_->are_exports_known()) return longest;
  for (std::uint32_t i = 0; i < kConnectionCountMax; ++i) {
    const Client& client = clients_[i];
    if (!client.socket.is_open() || !client.connection->is_choosing() ||
        now_ns - client.came_ns < options_.stalled_ns) {
      continue;
    }
    if (longest == kConnectionCountMax || client.came_ns < clients_[longest].came_ns) longest = i;
  }
  return longest;
}

std::uint32_t Front::stalled_longest() const {
  const std::uint64_t now_ns = monotonic_ns();
  std::uint32_t longest = kConnectionCountMax;
  for (std::uint32_t i = 0; i < kConnectionCountMax; ++i) {
    if (now_ns - clients_[i].heard_ns < options_.stalled_ns || !has_stalled(i)) continue;
    if (longest == kConnectionCountMax || clients_[i].heard_ns < clients_[longest].heard_ns) {
      longest = i;
    }
  }
  return longest;
}

bool Front::show_out(std::uint32_t index, const char* why, std::uint64_t since_ns) {
  stage_.log(Severity::kWarning,
             "client %s gives way to another: all places are taken, and %s %llu ms",
             std::string(clients_[index].connection->name()).c_str(), why,
             static_cast<unsigned long long>((monotonic_ns() - since_ns) / 1'000'000));
  gave_way_number_.add();
  close_client(index);
  return clients_[index].connection->phase() == Phase::kFree;
}

// Who is choosing has nothing yet that could be taken from him; how often he says a little is no
// matter.
std::uint32_t Front::make_room() {
  std::uint32_t place = choosing_longest();
  if (place != kConnectionCountMax) {
    const bool is_free =
        show_out(place, "it has been choosing an export for", clients_[place].came_ns);
    return is_free ? place : kConnectionCountMax;
  }
  place = stalled_longest();
  if (place == kConnectionCountMax) return place;
  const bool is_free = show_out(place, "of a request it has sent a part, and nothing more for",
                                clients_[place].heard_ns);
  return is_free ? place : kConnectionCountMax;
}

bool Front::may_enter(std::uint32_t index, std::string& why) {
  std::uint32_t entered = 0;
  std::uint32_t of_address = 0;
  for (const Client& client : clients_) {
    if (!client.socket.is_open() || !client.connection->has_entered()) continue;
    ++entered;
    if (client.address == clients_[index].address) ++of_address;
  }
  if (!clients_[index].address.empty() && of_address >= options_.clients_an_address) {
    why = "your address has " + std::to_string(of_address) +
          " connections with an export open, as many as one may have; close one";
    return false;
  }
  if (entered < kEnteredCountMax) return true;
  const std::uint32_t stalled = stalled_longest();
  if (stalled != kConnectionCountMax &&
      show_out(stalled, "of a request it has sent a part, and nothing more for",
               clients_[stalled].heard_ns)) {
    return true;
  }
  why = std::to_string(entered) + " clients have an export open, as many as may; try again later";
  return false;
}

std::string_view Front::refusal(std::uint32_t connection) {
  refusal_.clear();
  if (may_enter(connection, refusal_)) return {};
  kept_out_number_.add();
  // Once: it may ask as often as it likes.
  if (!std::exchange(clients_[connection].is_kept_out, true)) {
    stage_.log(Severity::kWarning, "client %s is kept out: %s",
               std::string(clients_[connection].connection->name()).c_str(), refusal_.c_str());
  }
  return refusal_;
}

}  // namespace slipring::array
