// Tells a link's reader, from a third process, to drop what is queued.
//
// Protocol.  CONTROL.md.  On a named link the commander's role is taken for the moment of the
// command: its certificate is the right to write the control page.  On a guarded link the broker
// writes it, for whoever its rules allow, and reads in the writer's memory where to cut.
//
// Nothing is waited for but another commander, or the broker's answer.  Neither end need be there:
// the command stays for whoever reads next.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error/result.h"
#include "pipelines/link/link_observer.h"
#include "pipelines/link/link_segment.h"
#include "platform/memory/segment_directory.h"

namespace slipring {

// A command that has been given.
struct AbortTicket {
  std::vector<AbortCommand> lanes;  // of a link of one writer, one
  std::uint64_t issued_ns = 0;      // CLOCK_MONOTONIC
  DropCounts dropped_before;        // in all, when it was given
};

// One thread.  Any number of processes may command: each command counts.
class LinkCommander {
 public:
  // Finds the link; takes nothing.  `directory` outlives it.  Errors: as LinkObserver::attach().
  static Result<LinkCommander> attach(const SegmentDirectory& directory,
                                      std::string_view name) noexcept;

  // Commands that all that is published, in every lane of a set, be dropped.  Errors: kBusy
  // (another commander, by its pid in `found`, which may be stopped; or the broker does not
  // answer), kPermission, kNotFound (the link was removed, or its broker is gone), kLockLimit,
  // kSystem.
  Result<AbortTicket> abort() noexcept;

  // The reader has dropped what the command named, or had read it before.
  [[nodiscard]] bool is_obeyed(const AbortTicket& ticket) const noexcept;
  // What it dropped; with several commands at once, what they dropped together.  Requires: obeyed.
  [[nodiscard]] DropCounts dropped(const AbortTicket& ticket) const noexcept;

  [[nodiscard]] const LinkObserver& link() const noexcept { return link_; }

 private:
  LinkCommander(const SegmentDirectory& directory, std::string_view name,
                LinkObserver link) noexcept
      : directory_(&directory), name_(name), link_(std::move(link)) {}
  Status command_named() noexcept;
  [[nodiscard]] const ControlPage& control_page(std::uint32_t lane) const noexcept;

  const SegmentDirectory* directory_;
  std::string name_;
  LinkObserver link_;
  Mapping control_;  // of a named link
};

}  // namespace slipring
