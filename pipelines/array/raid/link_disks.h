// The members as the raid stage has them: a pair of links to each disk's process.
//
// Commands are cut to buffers of the links' pools; all that fit are under way at once.  A disk
// whose process dies keeps its commands waiting until its successor answers them; one whose process
// has finished for good answers ENXIO, and so does one that is told to have failed while it is
// waited for.
//
// How long members let the array wait stands on the stage's board: diskN_latency_us, a moving mean
// of what one batch of commands took of it; slowest_answer_us, the most of this process's life, and
// slowest_disk, whose it was; waits_for_disk, who alone is waited for now.  These two are numbers
// plus 1.
//
// One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "pipelines/array/disk/disk_request.h"
#include "pipelines/array/raid/disk_set.h"
#include "pipelines/array/raid/raid_commands.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/stage/stage.h"

namespace slipring::array {

class LinkDisks final : public DiskSet {
 public:
  // Adds a member; in order, from 0.  Requires: both links have pools.
  void add(LinkWriter& requests, LinkReader& replies);

  // Requires: both outlive the disks.
  LinkDisks(Stage& stage, RaidCommands& commands)
      : stage_(stage),
        commands_(commands),
        waits_for_(stage.gauge("waits_for_disk")),
        slowest_(stage.gauge("slowest_answer_us")),
        slowest_disk_(stage.gauge("slowest_disk")) {}

  // Asks every member how large it is.  It answers after everything that our predecessor had asked
  // of it: from then on nobody else writes to the members.
  void identify();

  [[nodiscard]] std::uint32_t count() const noexcept {
    return static_cast<std::uint32_t>(members_.size());
  }
  // Asks this member again, also one that was given up.
  std::uint64_t size_bytes(std::uint32_t member) override;
  void run(std::span<DiskCommand> commands) override;

 private:
  // A part of a command, as large as a buffer.
  struct Piece {
    DiskCommand* command;
    std::uint32_t at_bytes;
    std::uint32_t length_bytes;
    std::uint64_t position;  // of the request in its ring, once it is there
  };
  struct Member {
    LinkWriter* requests;
    LinkReader* replies;
    std::uint64_t size_bytes = 0;
    bool is_gone = false;
    bool is_timed = false;  // the batch under way has something of it
    std::uint64_t mean_ns = 0;
    Board::Number latency{};
    std::deque<Piece> waiting;
    std::deque<Piece> asked;
  };

  void cut(Member& member, DiskCommand& command);
  [[nodiscard]] bool ask(Member& member);
  [[nodiscard]] bool hear(Member& member);
  void take(Member& member, const Piece& piece, const DiskReply& reply);
  void give_up(Member& member, const char* why);
  // Those that are waited for, and are to be waited for no more.
  void obey();
  [[nodiscard]] bool is_over() const noexcept;
  [[nodiscard]] LinkReader* last_asked() noexcept;  // nullptr: there is more to ask
  void exchange();
  // Those that have answered all since `begin_ns`.
  void note_latencies(std::uint64_t begin_ns);
  // 0 when it is not one alone.
  [[nodiscard]] std::uint64_t only_one_waited_for() const noexcept;

  Stage& stage_;
  RaidCommands& commands_;
  std::vector<Member> members_;
  Board::Number waits_for_;
  Board::Number slowest_;
  Board::Number slowest_disk_;
  std::uint64_t slowest_ns_ = 0;
  bool is_identifying_ = false;
};

}  // namespace slipring::array
