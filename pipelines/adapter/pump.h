// Bytes from a descriptor into a stream link, and out of one into a descriptor, as a pipe would
// carry them.
//
// What a pipe promises, and how it is kept:
//   end of file     the reader sees it when the writer has closed, or has died (certified by the
//                   kernel), once everything that was published has been read
//   back-pressure   a full ring stops the reading of the input; an output that does not take more
//                   stops the reading of the ring
//   broken pipe     the writer is told when the reader has closed or has died
//   partial I/O     every read and write may move any number of bytes; EINTR is retried
// What differs: with `stays`, a death ends nothing.  The other side waits for a successor, who goes
// on at the byte where the dead one stopped.
//
// Abort.  A drainer or relay that is told to drop what is queued (pipelines/link/CONTROL.md) drops
// it between two writes, and out of a blocked one with PumpOptions::abort_signal.  What the output
// has taken is not the link's any more.
//
// Bytes go from the system call into the ring and from the ring into the system call: no copy is
// made in between.  By readv and writev, and not by splice: a mapping can be no target of splice,
// and into the ring's file the kernel copies as read does, for more.  Out of the ring, splice and
// vmsplice are faster from 64 KiB on, and wrong: the pipe then refers to the ring's pages, and who
// reads it later gets what the writer's next lap has put there (//bench/adapter:splice_benchmark
// measures all of these, and counts the bytes that come out changed: every one).
//
// Crash.  A killed filler loses what it had read and not published, as a killed `cat` does.  A
// killed drainer may have written bytes that it had not yet finished: a successor writes them
// again, and counts them as `repeated_bytes`.
#pragma once

#include "core/error/result.h"
#include "pipelines/adapter/pump_options.h"
#include "pipelines/link/role_watch.h"
#include "pipelines/link/stream_link.h"

namespace slipring {

// Reads `input` to its end into the link, and does not close the link's end.  `input` may be
// anything that can be read: pipe, FIFO, file, terminal, socket; its blocking mode is left alone.
// Errors: kSystem (reading), with the bytes moved so far in `found`.
Result<PumpReport> fill(StreamWriter& link, int input, RoleWatch& reader,
                        const PumpOptions& options) noexcept;

// Writes what comes out of the link to `output`.  Requires: SIGPIPE is ignored.
// Errors: kSystem, kNoSpace (writing), with the bytes moved so far in `found`.
Result<PumpReport> drain(StreamReader& link, int output, RoleWatch& writer,
                         const PumpOptions& options) noexcept;

// From one stream to another.  Errors: kSystem.
Result<PumpReport> relay(StreamReader& from, RoleWatch& writer, StreamWriter& to, RoleWatch& reader,
                         const PumpOptions& options) noexcept;

}  // namespace slipring
