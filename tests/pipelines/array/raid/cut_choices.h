// Which version of each unstable sector a power cut leaves: all ways where there are few sectors;
// above that all, none, every one alone, all but every one, prefixes, one disk alone, random ones.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "tests/pipelines/array/raid/simulated_disks.h"

namespace slipring::array::test {

// A sector's version: 0 is the stable one.
using CutChoices = std::vector<std::uint32_t>;

[[nodiscard]] inline std::uint32_t newest(const UnstableSector& sector) {
  return static_cast<std::uint32_t>(sector.versions.size());
}

// The next combination; false after the last.
[[nodiscard]] inline bool advance(const std::vector<UnstableSector>& sectors, CutChoices& choices) {
  for (std::size_t i = 0; i < choices.size(); ++i) {
    if (choices[i] < newest(sectors[i])) {
      ++choices[i];
      return true;
    }
    choices[i] = 0;
  }
  return false;
}

// One of the kinds above, by turns.  Requires: there are sectors.
inline void choose(const std::vector<UnstableSector>& sectors, CutChoices& choices,
                   std::uint32_t sample, std::mt19937_64& random) {
  const std::size_t odd = random() % sectors.size();
  for (std::size_t i = 0; i < sectors.size(); ++i) {
    const std::uint32_t most = newest(sectors[i]);
    switch (sample % 5) {
      case 0:  // one alone
        choices[i] = i == odd ? most : 0;
        break;
      case 1:  // all but one
        choices[i] = i == odd ? 0 : most;
        break;
      case 2:  // up to somewhere, as disks are numbered
        choices[i] = i < odd ? most : 0;
        break;
      case 3:  // one disk has everything, the others nothing
        choices[i] = sectors[i].member == sectors[odd].member ? most : 0;
        break;
      default:
        choices[i] = static_cast<std::uint32_t>(random() % (most + 1));
    }
  }
}

// Calls look(choices) for each; whether those were all that there are.
template <typename Look>
bool for_each_choice(const std::vector<UnstableSector>& sectors, std::uint32_t exhaustive_sectors,
                     std::uint32_t samples, std::mt19937_64& random, Look&& look) {
  CutChoices choices(sectors.size(), 0);
  if (sectors.size() <= exhaustive_sectors) {
    do {
      look(choices);
    } while (advance(sectors, choices));
    return true;
  }
  look(choices);
  for (std::size_t i = 0; i < sectors.size(); ++i) choices[i] = newest(sectors[i]);
  look(choices);
  for (std::uint32_t sample = 0; sample < samples; ++sample) {
    choose(sectors, choices, sample, random);
    look(choices);
  }
  return false;
}

}  // namespace slipring::array::test
