#include "pipelines/array/raid/parity.h"

#include <isa-l/erasure_code.h>
#include <isa-l/raid.h>

#include <bit>
#include <cstring>

#include "core/error/check.h"

namespace slipring::array {
namespace {

constexpr std::size_t kTableBytes = 32;  // of ISA-L's expanded form of one coefficient

unsigned char* bytes_of(const std::byte* block) {
  // ISA-L does not write to its sources, but its interface does not say so.
  return reinterpret_cast<unsigned char*>(const_cast<std::byte*>(block));
}

}  // namespace

ParityCode::ParityCode(std::uint32_t data_count, std::uint32_t parities)
    : data_count_(data_count),
      parities_(parities),
      matrix_((data_count + parities) * std::size_t{data_count}) {
  check(data_count >= 1 && parities <= 2 && data_count + parities <= kMemberCountMax,
        "a code word of a shape that there is");
  gf_gen_rs_matrix(matrix_.data(), static_cast<int>(data_count + parities),
                   static_cast<int>(data_count));
}

void ParityCode::encode(const CodeWord& word) const {
  if (parities_ == 0) return;
  std::array<void*, kMemberCountMax> blocks{};
  for (std::uint32_t i = 0; i < data_count_ + parities_; ++i) blocks[i] = word[i];
  const int count = static_cast<int>(data_count_ + parities_);
  const int failed = parities_ == 1 ? xor_gen(count, kBlockBytes, blocks.data())
                                    : pq_gen(count, kBlockBytes, blocks.data());
  check(failed == 0, "blocks of a code word are there and aligned");
}

void ParityCode::update(std::byte* parity, std::uint32_t parity_index, std::uint32_t data_index,
                        const std::byte* before, const std::byte* after) const {
  unsigned char coefficient = matrix_[(data_count_ + parity_index) * data_count_ + data_index];
  // Addition and subtraction are one: both contents are added with the same coefficient.
  unsigned char coefficients[2] = {coefficient, coefficient};
  unsigned char tables[2 * kTableBytes];
  ec_init_tables(2, 1, coefficients, tables);
  unsigned char* target = bytes_of(parity);
  ec_encode_data_update(kBlockBytes, 2, 1, 0, tables, bytes_of(before), &target);
  ec_encode_data_update(kBlockBytes, 2, 1, 1, tables, bytes_of(after), &target);
}

Status ParityCode::reconstruct(const CodeWord& word, std::uint32_t known,
                               std::uint32_t wanted) const {
  const std::uint32_t width = data_count_ + parities_;
  // The first data_count known blocks determine the data.
  std::vector<std::uint32_t> used;
  for (std::uint32_t i = 0; i < width && used.size() < data_count_; ++i) {
    if ((known >> i & 1U) != 0) used.push_back(i);
  }
  if (used.size() < data_count_) {
    return Error{ErrorCode::kInvalidArgument, 0, "too few blocks of a row to compute the others",
                 used.size(), data_count_};
  }
  const std::size_t n = data_count_;
  std::vector<unsigned char> chosen(n * n);
  std::vector<unsigned char> inverse(n * n);
  for (std::size_t i = 0; i < n; ++i) {
    std::memcpy(&chosen[i * n], &matrix_[used[i] * n], n);
  }
  check(gf_invert_matrix(chosen.data(), inverse.data(), static_cast<int>(n)) == 0,
        "any data_count rows of the code's matrix are independent");
  std::vector<unsigned char*> sources;
  for (const std::uint32_t position : used) sources.push_back(bytes_of(word[position]));
  std::vector<unsigned char> rows;
  std::vector<unsigned char*> targets;
  for (std::uint32_t position = 0; position < width; ++position) {
    if ((wanted >> position & 1U) == 0) continue;
    // The position's row of the matrix, times the inverse.
    for (std::size_t column = 0; column < n; ++column) {
      unsigned char sum = 0;
      for (std::size_t i = 0; i < n; ++i) {
        sum = static_cast<unsigned char>(
            sum ^ gf_mul(matrix_[position * n + i], inverse[i * n + column]));
      }
      rows.push_back(sum);
    }
    targets.push_back(bytes_of(word[position]));
  }
  if (targets.empty()) return {};
  std::vector<unsigned char> tables(kTableBytes * n * targets.size());
  ec_init_tables(static_cast<int>(n), static_cast<int>(targets.size()), rows.data(), tables.data());
  ec_encode_data(kBlockBytes, static_cast<int>(n), static_cast<int>(targets.size()), tables.data(),
                 sources.data(), targets.data());
  return {};
}

}  // namespace slipring::array
