// One lane of a set, as a wire sends it: each of its writers by itself.
//
// Protocol.  A *turn* is all that one writer publishes in the lane.  A conversation over the wire
// carries one turn, under a session of its own, and ends when the writer has closed or gone and all
// of it is acknowledged; the next writer's messages wait for the next conversation.  Since a lane
// goes to another writer only when every message in it is finished, and messages are finished when
// they are acknowledged, whatever is not acknowledged is one writer's.  Which turn is under way
// stands beside the session (source_session.h), before any of it is sent.
//
// A lane whose words no correct writer writes ends its turn, and what its writer left is lost; of a
// guarded set it comes back with the next writer, of a named one never.
//
// One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "pipelines/link/link_reader.h"
#include "pipelines/wire/message_link_source.h"
#include "pipelines/wire/source_session.h"

namespace slipring::wire {

class LaneLinkSource final : public MessageLinkSource {
 public:
  // `session` is the lane's, and outlives this.
  LaneLinkSource(LinkReader lane, SourceSession& session) noexcept;

  [[nodiscard]] std::uint32_t lane_count() const noexcept override {
    return messages().shape().lane_count;
  }
  [[nodiscard]] Transfer next(Piece& piece, std::size_t bytes_max) noexcept override;
  [[nodiscard]] WriterName writer() noexcept override;
  [[nodiscard]] bool has_more() const noexcept override;
  [[nodiscard]] bool is_at_end() const noexcept override;
  void look_for_news() noexcept override;
  // Finds out whether the turn's writer has died.  Asks the kernel.
  void look_for_end() noexcept override;
  // The turn is over, and all of it has arrived: the next one is another session.
  void finish() noexcept override;

  // There is something to say: a turn is under way, or waits to begin.
  [[nodiscard]] bool wants_carrying() const noexcept override;
  [[nodiscard]] bool had_writer() const noexcept override { return present_writer() != 0; }
  // Nobody writes, and nothing is left.
  [[nodiscard]] bool is_quiet() const noexcept override;

 private:
  [[nodiscard]] std::uint32_t present_writer() const noexcept;
  [[nodiscard]] std::uint32_t turn() const noexcept { return session_.turn(); }
  void cut_off() noexcept;

  SourceSession& session_;
  std::optional<WriterName> name_;  // of the turn's writer
  bool is_succeeded_ = false;       // the first message of the next turn is held
  bool is_gone_ = false;            // the turn's writer is dead, and everything was looked at
  bool is_cut_ = false;             // the lane makes no sense, until its next writer comes
};

}  // namespace slipring::wire
