// Makes inputs for parsers from sound ones: a seed, or the front of one and the end of another,
// with a few changes, among them words that the parser knows.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fuzz/fuzz_random.h"
#include "tests/fuzz/fuzz_target.h"

namespace slipring::fuzz {

struct Corpus {
  std::vector<std::string> seeds;  // sound inputs; never empty
  std::vector<std::string> words;  // what the parser knows; may be empty
  std::size_t most_bytes = 512;    // inputs are no longer
};

class Mutator {
 public:
  explicit Mutator(Corpus corpus) : corpus_(std::move(corpus)) {}

  [[nodiscard]] std::size_t make(Random& random, std::span<std::uint8_t> place) {
    place = place.first(std::min(place.size(), corpus_.most_bytes));
    std::size_t size = put(place, 0, seed(random));
    if (random.below(8) == 0) size = put(place, random.below(size + 1), tail(random));
    for (std::size_t changes = random.below(6); changes != 0; --changes) {
      size = change(random, place, size);
    }
    return size;
  }

 private:
  [[nodiscard]] std::string_view seed(Random& random) const {
    return corpus_.seeds[random.below(corpus_.seeds.size())];
  }
  [[nodiscard]] std::string_view tail(Random& random) const {
    const std::string_view whole = seed(random);
    return whole.substr(random.below(whole.size() + 1));
  }
  // Cuts what is there at `at`, and appends.
  static std::size_t put(std::span<std::uint8_t> place, std::size_t at, std::string_view text) {
    const std::size_t count = std::min(text.size(), place.size() - at);
    if (count != 0) std::memcpy(place.data() + at, text.data(), count);
    return at + count;
  }
  // Makes room for `count` bytes at `at`; answers how many there is room for.
  static std::size_t open(std::span<std::uint8_t> place, std::size_t& size, std::size_t at,
                          std::size_t count) {
    count = std::min(count, place.size() - size);
    std::memmove(place.data() + at + count, place.data() + at, size - at);
    size += count;
    return count;
  }

  std::size_t change(Random& random, std::span<std::uint8_t> place, std::size_t size) {
    const std::size_t at = random.below(size + 1);
    if (at == size) {
      if (size != place.size()) place[size++] = static_cast<std::uint8_t>(random.next());
      return size;
    }
    static constexpr std::uint8_t kBytes[]{0, 1, 0x7f, 0x80, 0xff, 0x20, 0x0a, 0x22};
    switch (random.below(8)) {
      case 0:
        place[at] = static_cast<std::uint8_t>(random.next());
        return size;
      case 1:
        place[at] ^= static_cast<std::uint8_t>(1U << random.below(8));
        return size;
      case 2:
        place[at] = kBytes[random.below(8)];
        return size;
      case 3:
        place[at] = static_cast<std::uint8_t>(place[at] + random.below(9) - 4);
        return size;
      case 4: {  // take some out
        const std::size_t count = std::min(1 + random.below(16), size - at);
        std::memmove(place.data() + at, place.data() + at + count, size - at - count);
        return size - count;
      }
      case 5: {  // the same again
        const std::size_t from = random.below(size);
        const std::size_t wanted = std::min<std::size_t>(1 + random.below(32), size - from);
        std::uint8_t copy[32];
        std::memcpy(copy, place.data() + from, wanted);
        const std::size_t count = open(place, size, at, wanted);
        std::memcpy(place.data() + at, copy, count);
        return size;
      }
      case 6:
        return random.below(4) == 0 ? at : size;
      default: {
        if (corpus_.words.empty()) return size;
        const std::string& word = corpus_.words[random.below(corpus_.words.size())];
        const std::size_t count = random.below(2) == 0 ? open(place, size, at, word.size())
                                                       : std::min(word.size(), size - at);
        std::memcpy(place.data() + at, word.data(), count);
        return size;
      }
    }
  }

  Corpus corpus_;
};

// A parser, its corpus, and what holds of what it answers.
template <typename Parser>
class ParserTarget final : public FuzzTarget {
 public:
  void run(std::span<const std::uint8_t> input, Tally& tally) override {
    parser_.run(input, tally);
  }
  std::size_t make_input(Random& random, std::span<std::uint8_t> place) override {
    return mutator_.make(random, place);
  }

 private:
  Parser parser_;
  Mutator mutator_{Parser::corpus()};
};

// A corpus entry of bytes.
[[nodiscard]] inline std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace slipring::fuzz
