// What tests of hostile clients have in common: a session to be spoilt, what the front holds, and a
// client who is served as if nothing were amiss.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "tests/pipelines/array/nbd/served_array.h"

namespace slipring::test {

// What a process holds.
[[nodiscard]] std::uint64_t resident_kib(pid_t pid);
[[nodiscard]] std::uint64_t descriptor_count(pid_t pid);

// Writes and reads, and is answered right.
void check_service(const ServedArray& array, char letter);

// Everybody has gone: no client, nothing under way, no stage has died, and service goes on.
void check_nothing_left(const ServedArray& array, char letter);

// A good session of options and requests, as bytes; it ends with a disconnect.
[[nodiscard]] std::string good_session();

}  // namespace slipring::test
