// Runs the fuzz target on a seeded corpus, a bounded number of times, so that every build exercises
// it.  A broken invariant stops the process.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "tests/pipelines/settop/transport/sample_stream.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace slipring::settop {
namespace {

using Input = std::vector<std::uint8_t>;

Input with_mode(std::uint8_t mode, const testing::Bytes& bytes) {
  Input input{mode, 0};
  for (const std::byte byte : bytes) input.push_back(std::to_integer<std::uint8_t>(byte));
  return input;
}

// Sound streams, tables alone, single packets without their sync bytes, nothing.
std::vector<Input> seeds() {
  std::vector<Input> all;
  all.push_back(with_mode(0, testing::sample_stream({.picture_count = 6})));
  all.push_back(with_mode(2, testing::sample_stream({.picture_count = 2})));
  testing::StreamBuilder tables;
  for (std::uint8_t version = 0; version < 6; ++version) {
    testing::add_sample_tables(tables, version);
  }
  // A private table, longer than any that is kept, between them.
  testing::Bytes lengthy = testing::section_start(0x90, 1, {});
  testing::append(lengthy, testing::pattern(3000, 4));
  tables.add_sections(kPatPid, {testing::with_crc(lengthy)});
  testing::add_sample_tables(tables);
  all.push_back(with_mode(2, tables.bytes()));
  testing::Bytes bare;
  for (std::size_t offset = 0; offset < tables.bytes().size(); offset += kPacketBytes) {
    testing::append(bare, std::span(tables.bytes()).subspan(offset + 1, kPacketBytes - 1));
  }
  for (const std::uint8_t mode : {std::uint8_t{1}, std::uint8_t{3}, std::uint8_t{7}}) {
    all.push_back(with_mode(mode, bare));
  }
  all.push_back(with_mode(8, testing::pattern(60, 1)));
  all.push_back(with_mode(10, testing::pattern(60, 2)));
  all.push_back(with_mode(0, {}));
  return all;
}

Input mutate(Input input, std::mt19937& random) {
  input.resize(std::max<std::size_t>(input.size(), 2));
  input[1] = static_cast<std::uint8_t>(random());
  for (std::size_t changes = random() % 12; changes > 0; --changes) {
    const std::size_t place = random() % input.size();
    switch (random() % 4) {
      case 0:
        input[place] = static_cast<std::uint8_t>(random());
        break;
      case 1:
        input[place] ^= static_cast<std::uint8_t>(1U << random() % 8);
        break;
      case 2:
        input.resize(std::max<std::size_t>(2, input.size() - random() % 300 % input.size()));
        break;
      default:
        input.insert(input.end(), 1 + random() % 200, static_cast<std::uint8_t>(random()));
        break;
    }
  }
  return input;
}

TEST_CASE("fuzz: seeds and four thousand seeded mutations keep every invariant") {
  const std::vector<Input> corpus = seeds();
  std::mt19937 random(2);
  int run_count = 0;
  for (const Input& input : corpus) {
    run_count += LLVMFuzzerTestOneInput(input.data(), input.size()) == 0 ? 1 : 0;
  }
  for (int round = 0; round < 4000; ++round) {
    const Input input = mutate(corpus[random() % corpus.size()], random);
    run_count += LLVMFuzzerTestOneInput(input.data(), input.size()) == 0 ? 1 : 0;
  }
  CHECK(run_count == 4000 + static_cast<int>(corpus.size()));
}

}  // namespace
}  // namespace slipring::settop
