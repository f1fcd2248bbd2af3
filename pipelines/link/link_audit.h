// Whether the shared words of a link can be true: for `slipring verify`, and for images of links
// that have no process any more.
//
// Only looks: at the two regions as they are mapped, read-only, while the ends may go on.  Words
// are read in an order in which a moving ring satisfies what is asked of it (what grows later is
// read later); on a processor that reorders loads, or when an end is quick, a look may still find
// what is not there.  A finding is therefore one that several looks confirm.
//
// Invariants looked for (core/LAYOUT.md):
//   credit <= done <= tail;  tail - done <= capacity;  taken <= tail;  abort_before <= tail
//   records: positions are multiples of 8; what lies between done and tail is a chain of records,
//            none longer than half of the ring, padding only before the ring's end, data last
//   pool:    returned <= lent <= returned + 1, a buffer
//   ends:    a state that there is
// On a slot link a commit under way lets positions be one ahead of tail.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "pipelines/link/link_layout.h"

namespace slipring {

struct AuditFinding {
  const char* what;  // a sentence without its end
  std::uint64_t found;
  std::uint64_t wanted;
};

// The regions from their first byte.  Requires: both reach at least to the ring (writer) or to the
// end of the returned table (reader), 8-byte aligned.
struct LinkImage {
  LinkShape shape;
  LinkParts parts;
  std::span<const std::byte> writer;
  std::span<const std::byte> reader;
};

struct LinkAudit {
  std::vector<AuditFinding> findings;
  bool is_walked = false;  // the image had the ring of a record link
  std::uint64_t record_count = 0;
};

[[nodiscard]] LinkAudit audit_link(const LinkImage& image);

}  // namespace slipring
