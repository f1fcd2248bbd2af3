// The same targets for libFuzzer, which is led by coverage; one at a time:
//   bazel build --config=fuzz //tests/fuzz:fuzzer
//   SLIPRING_FUZZ_TARGET=record_consumer bazel-bin/tests/fuzz/fuzzer -max_total_time=60
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/fuzz/fuzz_target.h"

namespace slipring::fuzz {
namespace {

[[nodiscard]] std::unique_ptr<FuzzTarget> wanted_target() {
  const char* name = std::getenv("SLIPRING_FUZZ_TARGET");
  for (const auto& list : {all_targets(), planted_targets()}) {
    for (const TargetInfo& info : list) {
      if (name != nullptr && std::strcmp(name, info.name) == 0) return info.make();
    }
  }
  std::fprintf(stderr, "error: SLIPRING_FUZZ_TARGET names no target; there are\n");
  for (const TargetInfo& info : all_targets()) std::fprintf(stderr, "  %s\n", info.name);
  std::exit(2);
}

void run(std::span<const std::uint8_t> input) {
  static const std::unique_ptr<FuzzTarget> kTarget = wanted_target();
  static Tally tally;
  if (input.size() > kMaxInputBytes) return;
  kTarget->run(input, tally);
  if (tally.broken == nullptr) return;
  std::fprintf(stderr, "broken: %s\n", tally.broken);
  std::abort();
}

}  // namespace
}  // namespace slipring::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  slipring::fuzz::run({data, size});
  return 0;
}
