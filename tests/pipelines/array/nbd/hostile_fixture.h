// What tests of hostile clients have in common: a session to be spoilt, what the front holds, and a
// client who is served as if nothing were amiss.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "tests/pipelines/array/nbd/nbd_client.h"
#include "tests/pipelines/array/nbd/served_array.h"

namespace slipring::test {

// What a process holds.
[[nodiscard]] std::uint64_t resident_kib(pid_t pid);
[[nodiscard]] std::uint64_t descriptor_count(pid_t pid);

// Writes and reads, and is answered right.
void check_service(const ServedArray& array, char letter);

// Everybody has gone: no client, nothing under way, no stage has died, and service goes on.
void check_nothing_left(const ServedArray& array, char letter);

[[nodiscard]] NbdClient connect_to(const ServedArray& array);
// Its sends and receives answer at once.
void never_wait(const NbdClient& client);

// What one of a crowd has half said, by its number.
[[nodiscard]] std::string half_of(std::size_t number);

// A good session of options and requests, as bytes; it ends with a disconnect.
[[nodiscard]] std::string good_session();

}  // namespace slipring::test
