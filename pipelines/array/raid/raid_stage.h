// The RAID stage: one array of blocks over the disks' stages.
//
// Two pairs of links, reads and writes, so that reads do not stand behind writes.  Each request has
// exactly one reply, in the requests' order and at the same position of its ring; a successor goes
// on where the replies end.  Reads see every write that was answered before they were asked.
//
// A successor asks every disk first how large it is: the answers come after all that its
// predecessor had asked, so that nobody else writes any more.  Then it assembles the array as after
// a power cut.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "pipelines/array/block_request.h"
#include "pipelines/array/raid/raid_array.h"
#include "pipelines/array/raid/raid_commands.h"
#include "pipelines/array/raid/raid_report.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/stage/stage.h"

namespace slipring::array {

// One thread.
class RaidStage {
 public:
  // Requires: the commands outlive it.
  RaidStage(Stage& stage, RaidCommands& commands, RaidArray array);

  // To the end; answers the process's status.
  int run();

 private:
  struct Read {
    Message message;
    BlockRequest request;
    std::optional<std::uint32_t> slot;
    int error = 0;
  };
  struct Write {
    Message message;
    BlockRequest request;
    int error = 0;
  };

  int end();
  void complain(const std::optional<LinkPeer>& offender);
  // A member's number behind the verb, or nothing.
  [[nodiscard]] std::optional<std::uint32_t> member_in(std::string_view text,
                                                       std::string_view verb) const;
  void take_commands();
  // Members that were dropped since the last time.
  void tell_dropped();
  // A little of a rebuild or a scrub; whether there is more.
  bool work_aside();

  // The next request of a link, unless it was answered already; those are done with.
  bool next(LinkReader& requests, const LinkWriter& replies, Message& message,
            BlockRequest& request);
  // Waits for the place of a reply; false when nobody will read it.
  bool reserve(LinkWriter& replies, std::span<std::byte>& place);
  void publish(LinkWriter& replies, const BlockReply& reply);
  [[nodiscard]] bool is_range(const BlockRequest& request) const;
  // 0 when the request is one of whole blocks within the array that fit a buffer.
  [[nodiscard]] int fault_of(const BlockRequest& request) const;

  // Each: whether something moved.
  bool serve_reads();
  bool serve_writes();
  void answer(Read& read);
  [[nodiscard]] BlockExport description() const;
  // False when one of the blocks is among them already.
  bool add_blocks(const BlockRequest& request, const BufferHandle& data,
                  std::unordered_set<std::uint64_t>& seen, std::vector<WriteBlock>& blocks);

  static constexpr std::uint64_t kNoScrub = UINT64_MAX;

  Stage& stage_;
  RaidCommands& commands_;
  RaidArray array_;
  LinkReader& reads_;
  LinkWriter& read_data_;
  LinkReader& writes_;
  LinkWriter& write_acks_;
  RaidReport report_;
  std::array<MemberState, kMemberCountMax> told_states_{};
  bool told_broken_ = false;
  std::optional<Write> held_write_;
  std::uint64_t scrub_row_ = kNoScrub;
  bool is_corrupt_ = false;
};

}  // namespace slipring::array
