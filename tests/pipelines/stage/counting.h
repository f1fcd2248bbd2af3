// What the counting stages of the runner's tests say to each other: numbers from 1 on, each once.
#pragma once

#include <cstdint>

namespace slipring {

struct CountRecord {
  std::uint64_t number;
  std::uint64_t may_repeat;  // 1: the relay saw it a second time, after its predecessor's death
};

}  // namespace slipring
