// Everything that one can do to a link with system calls in it, as operations to walk through.
#pragma once

#include <vector>

#include "tests/crash/link/crash_walk.h"
#include "tests/crash/link/private_tmpfs.h"

namespace slipring::crash {

// Attach (fresh, and as a successor), put, take, release, wait, abort, close, detach: of every sort
// of link, in either role.
[[nodiscard]] std::vector<Operation> writer_operations(const PrivateTmpfs& tmpfs);
[[nodiscard]] std::vector<Operation> reader_operations(const PrivateTmpfs& tmpfs);

// A command to drop what is queued: given, obeyed, and given over a writer.
[[nodiscard]] std::vector<Operation> abort_operations(const PrivateTmpfs& tmpfs);

// Create, remove, board, certificate, published word.
[[nodiscard]] std::vector<Operation> segment_operations(const PrivateTmpfs& tmpfs);

// A runner's segments: lock, sweep, create, remove.
[[nodiscard]] std::vector<Operation> pipeline_operations(const PrivateTmpfs& tmpfs);

}  // namespace slipring::crash
