// A rendezvous's name: whose it is, and how it changes hands.
//
// Protocol.  A socket listens before it can be found: it is bound to a random name first.  So what
// refuses connections has a dead owner, for good.
//   NAME.guard           the root
//   .NAME.<inode>.heir   who follows the dead socket with that inode
// The chain leads from the root to its heir, to the heir's heir, and on, while each is dead.  Its
// living end, if it has one, is the owner.  Who finds no owner links its socket to the chain's end;
// link(2) fails where there is something, and so decides between claimants.  Unless there was no
// root at all, the claim counts if afterwards the root is still the one that was followed; else it
// is taken back, and all begins again.  A claimant whose claim counts renames its socket over the
// root and takes all heirs of this name away.
//
// Why no living owner loses its name, and no name has two owners.
//   1. A root is made by link(2) where there is none, replaced by the chain's living end only, and
//      unlinked by its own living owner only.  Nobody links behind the living.
//   2. The root that was followed is held open, so that its inode number is not given again: a root
//      that is the same after the link was there all the time.  Until it is replaced, no heir is
//      taken away; so the chain as it was followed leads to the new socket, and to no other.
//   3. Heirs are taken away by a living owner at the root.  While it lives the chain is the root
//      alone, and no claim behind anything else counts.
//   4. The heir's name is that of a dead socket that the claimant holds open too: a claim that does
//      not count cannot come to lie on another chain by a number that was given again.
//
// Nobody waits for the stopped.  A claimant that is stopped before its link stands in nobody's way;
// one stopped behind it is an owner of this one name, as a line later, and its claim counts or is
// seen by nobody.
//
// Crash.  The dead leave a random name, which whoever takes a name next sweeps away; or a dead
// heir, behind which the next claimant links.
//
// Who may write in the directory (its owner and root alone) can of course do as they like.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/error/result.h"
#include "platform/memory/segment_directory.h"
#include "platform/process/descriptor.h"

namespace slipring {

enum class NameState : std::uint8_t {
  kOwned,      // somebody listens, or is about to be found at the root
  kStale,      // the owner is dead
  kMissing,    // there is no root
  kOtherFile,  // the root is no socket
};

// Follows the chain; changes nothing.  Errors: kInvalidArgument (name), kPermission, kSystem.
Result<NameState> look_at_name(const SegmentDirectory& directory, std::string_view name) noexcept;

struct OwnedName {
  Descriptor socket;        // listens; SOCK_SEQPACKET, non-blocking
  std::uint64_t inode = 0;  // of the socket's file
};

// Who may connect.
struct NameAccess {
  mode_t mode = 0600;
  std::optional<gid_t> group;
};

// Takes the name with a new socket, unless it has an owner.  Errors: kExists (it has, or the name
// is another file's, or others took it and died again and again), kInvalidArgument (name),
// kPermission, kNotFound (the directory is gone), kNoSpace, kSystem.
Result<OwnedName> claim_name(const SegmentDirectory& directory, std::string_view name,
                             const NameAccess& access) noexcept;

// Takes the owner's own name away.  Requires: the owner still listens.  A failure leaves a stale
// name.
void give_up_name(int directory_fd, std::string_view name, std::uint64_t inode) noexcept;

}  // namespace slipring
