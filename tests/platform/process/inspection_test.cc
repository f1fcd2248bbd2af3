#include "platform/process/inspection.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "tests/platform/other_process.h"

namespace slipring {
namespace {

constexpr uid_t kNobody = 65534;

// Neither is root: root may do anything.
bool becomes_ordinary() {
  return geteuid() != 0 || (setgid(kNobody) == 0 && setuid(kNobody) == 0);
}

TEST_CASE("inspection: who forbids it is out of reach of others of its user, and not before") {
  int reached[2] = {0, 0};
  for (const bool forbids : {false, true}) {
    static volatile std::uint64_t secret = 7;
    OtherProcess victim([&](Line line) {
      if (!becomes_ordinary()) return 1;
      // Changing the user made it unreachable as a side effect.
      prctl(PR_SET_DUMPABLE, 1);
      if (forbids && !forbid_inspection()) return 2;
      if (forbids && !give_up_privilege_gains()) return 3;
      line.say('y');
      line.hear();
      return secret == 7 ? 0 : 4;
    });
    REQUIRE(victim.line().hear() == 'y');
    OtherProcess attacker([&](Line) {
      if (!becomes_ordinary()) return 1;
      std::uint64_t value = 8;
      iovec ours{&value, sizeof value};
      iovec theirs{const_cast<std::uint64_t*>(&secret), sizeof secret};
      int count = process_vm_writev(victim.pid(), &ours, 1, &theirs, 1, 0) > 0 ? 1 : 0;
      const std::string path = "/proc/" + std::to_string(victim.pid()) + "/fd/0";
      count += open(path.c_str(), O_RDONLY | O_CLOEXEC) >= 0 ? 1 : 0;
      return 10 + count;
    });
    reached[forbids ? 1 : 0] = attacker.wait() - 10;
    victim.line().say('.');
    victim.wait();
  }
  CHECK(reached[1] == 0);
  // Where ptrace is restricted as a whole (Yama), the attempts fail anyway.
  CHECK(reached[0] >= 0);
  MESSAGE("attempts that succeeded: " << reached[0] << " before, " << reached[1] << " after, of 2");
}

}  // namespace
}  // namespace slipring
