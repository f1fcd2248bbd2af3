// An exchange over a wire whose connection is cut, and perhaps a process or two with it; and the
// judgement: nothing lost, nothing repeated, order kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "tests/pipelines/wire/message_programs.h"
#include "tests/pipelines/wire/wire_fixture.h"

namespace slipring::wire {

enum class Killed : std::uint8_t { kNobody, kSender, kReceiver, kBoth };
inline constexpr std::size_t kKilledCount = 4;

// Two machines and the programs at their ends; exchanges follow each other on the same rings.
class CutExchange {
 public:
  CutExchange(const LinkShape& here, const LinkShape& there, LinkSide client,
              bool there_is_guarded = false);

  struct Round {
    Cut cut;
    Killed killed = Killed::kNobody;
    bool aborts = false;       // the writer aborts between two of its messages
    bool reads_early = false;  // the reader reads before the cut, too
    std::size_t piece_bytes = SIZE_MAX;
  };
  // Empty if all is as it has to be; otherwise what is not.
  std::string run(const Round& round);

  // Of a round: bytes that go in each direction if nothing is cut.
  struct Lengths {
    std::size_t to_server = 0;
    std::size_t to_client = 0;
  };
  Lengths measure();

  // For planted mistakes: what else happens while the receiver is dead, and what happens to the
  // bytes of the second connection.
  std::function<void(const SegmentDirectory& there)> while_dead;
  Connection::Tamper tamper_to_client;

  [[nodiscard]] std::uint64_t message_count() const { return message_count_; }
  // What was dropped of the sender's ring, and of the receiver's, as the sender knows it.
  [[nodiscard]] std::uint64_t dropped_here() const;
  [[nodiscard]] std::uint64_t dropped_there() const;

 private:
  void connect(const Cut& cut, const Round& round, bool is_second);
  void write(std::size_t bytes);
  void read(bool aborted_is_gone);
  void drop_aborted();
  void restart(Killed killed);
  [[nodiscard]] std::string judge_drops() const;
  [[nodiscard]] std::string judge_buffers() const;

  Machine here_;
  Machine there_;
  LinkSide client_;
  WireKind kind_;
  std::unique_ptr<MessagePrograms> programs_;  // or, of a stream
  std::optional<StreamWriter> stream_writer_;
  std::optional<StreamReader> stream_reader_;
  std::unique_ptr<Connection> connection_;
  std::uint64_t message_count_ = 0;
  std::uint64_t missing_ = 0;  // messages, or bytes of a stream, that were aborted and not read
  std::uint64_t read_count_ = 0;
  std::uint64_t aborted_below_ = 0;   // messages that need not be read
  std::deque<std::string> expected_;  // from read_count_ on
  std::string stream_expected_;
  std::size_t stream_aborted_ = 0;  // bytes at its front that need not be read
  std::string fault_;
};

// An exchange that a cut runs through.
struct CutScene {
  const char* name;
  LinkShape here;
  LinkShape there;
  bool there_is_guarded = false;
};

// Cuts it after every byte in either direction; a round that goes wrong fails the test.
// `while_dead`: what else happens while the receiver is.
void cut_everywhere(const CutScene& scene, LinkSide client, bool aborts,
                    std::function<void(const SegmentDirectory& there)> while_dead = {});

}  // namespace slipring::wire
