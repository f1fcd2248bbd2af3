// The buffer pool as a scene: an owner that lends, and a reader that looks and gives back.
//
// The handle travels in a box.  Where nobody dies the box is stored and loaded relaxed: what the
// handle carries comes from the pool's own words.  An owner's heir gives a generation that was
// never sent out again; then the box must order, as every ring does.  What a buffer holds is the
// generation under which it was lent.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "core/pool/buffer_pool.h"
#include "tests/model/model_atomics.h"
#include "tests/model/run.h"

namespace slipring::model {

struct PoolCase {
  std::uint32_t buffer_count = 1;
  std::uint32_t lends = 2;
  std::uint32_t looks = 2;
  std::uint64_t generation = 0;  // that all begin with
  bool has_heirs = false;
  bool is_box_ordered = false;
};

class BufferPoolPlay : public Play {
 public:
  using Owner = BasicPoolOwner<ModelAtomics>;
  using Reader = BasicPoolReader<ModelAtomics>;

  BufferPoolPlay(Run& run, const PoolCase& bounds)
      : run_(run), bounds_(bounds), geometry_{bounds.buffer_count, 0, 64} {
    lent_ = run.place<PoolWord>(bounds.buffer_count);
    returned_ = run.place<PoolWord>(bounds.buffer_count);
    buffers_ = run.place<std::byte>(64 * bounds.buffer_count);
    box_ = run.place<std::atomic<std::uint64_t>>();
    for (std::uint32_t i = 0; i < bounds.buffer_count; ++i) {
      ModelAtomics::store(lent_[i], bounds.generation, std::memory_order_relaxed);
      ModelAtomics::store(returned_[i], bounds.generation, std::memory_order_relaxed);
    }
    owner_.emplace(Owner::attach(lent_, returned_, buffers_, geometry_).value());
    reader_.emplace(Reader::attach(returned_, lent_, buffers_, geometry_).value());
    owner_fibre_ = run.fibre([this] { lend_all(); });
    const std::size_t reader = run.fibre([this] { look_all(); });
    if (!bounds.has_heirs) return;
    owner_heir_ = run.successor(owner_fibre_, [this] { inherit_owner(); });
    run.successor(reader, [this] { look_all(); });
  }

  // What is lent is on its way to the reader.
  void settle(Run&) override {
    if (run_.has_died(owner_heir_ == 0 ? owner_fibre_ : owner_heir_)) recover();
    const BufferHandle sent = handle_in(in_box());
    run_.require(in_box() == 0 || owner_->is_current(sent), "what was sent was not lent");
    for (std::uint32_t slot = 0; slot < bounds_.buffer_count; ++slot) {
      const std::uint64_t lent = ModelAtomics::load(lent_[slot], std::memory_order_relaxed);
      const std::uint64_t out =
          lent - ModelAtomics::load(returned_[slot], std::memory_order_relaxed);
      const BufferHandle handle{slot, static_cast<std::uint32_t>(lent)};
      run_.require(out == 0 || (out == 1 && box_of(handle) == in_box()), "a buffer is lost");
    }
  }

  [[nodiscard]] std::uint64_t ghost() const override {
    return mix(mix(hash_of(*owner_, hash_of(*reader_)), next_lend_), next_look_);
  }
  [[nodiscard]] bool tells_all() const override { return true; }

 private:
  static std::uint64_t box_of(const BufferHandle& handle) {
    return std::uint64_t{handle.slot + 1} << 32 | handle.generation;
  }
  [[nodiscard]] std::uint64_t in_box() const {
    return ModelAtomics::load(
        *box_, bounds_.is_box_ordered ? std::memory_order_acquire : std::memory_order_relaxed);
  }
  [[nodiscard]] static BufferHandle handle_in(std::uint64_t box) {
    return {static_cast<std::uint32_t>(box >> 32) - 1, static_cast<std::uint32_t>(box)};
  }

  // The box holds one handle: it is lent anew once the last one is back.
  void lend_all() {
    for (; next_lend_ < bounds_.lends; ++next_lend_) {
      run_.at_rest(0);  // the ends and the counts are in ghost()
      const std::uint64_t box = in_box();
      if (box != 0 && owner_->is_lent(handle_in(box).slot)) continue;
      std::uint32_t slot = 0;
      const Transfer answer = owner_->try_acquire(slot);
      run_.require(answer != Transfer::kCorruptPeer, "an honest reader is called corrupt");
      if (answer != Transfer::kDone) continue;
      const std::uint64_t before = ModelAtomics::load(lent_[slot], std::memory_order_relaxed);
      const std::uint64_t value = static_cast<std::uint32_t>(before + 1);
      ModelAtomics::copy_in(owner_->bytes(slot).data(), &value, sizeof(value));
      const BufferHandle handle = owner_->lend(slot);
      run_.require(handle.slot == slot && handle.generation == value, "lent under another name");
      ModelAtomics::store(
          *box_, box_of(handle),
          bounds_.is_box_ordered ? std::memory_order_release : std::memory_order_relaxed);
      owner_->drop(slot);
    }
  }
  void look_all() {
    for (; next_look_ < bounds_.looks; ++next_look_) {
      run_.at_rest(0);
      const std::uint64_t box = in_box();
      const BufferHandle handle = handle_in(box);
      if (box == 0 || !reader_->holds(handle)) continue;
      std::uint64_t value = 0;
      ModelAtomics::copy_out(&value, reader_->bytes(handle).data(), sizeof(value));
      run_.require(value == handle.generation, "another's bytes are held");
      run_.require(reader_->give_back(handle), "what is held cannot be given back");
      run_.require(!reader_->holds(handle), "what was given back is still held");
    }
  }
  void recover() {
    const BufferHandle sent = handle_in(in_box());
    static_cast<void>(owner_->recover(std::span(&sent, 1)));
  }
  // Of what the dead one read nothing is left.
  void inherit_owner() {
    run_.at_rest(0);
    auto owner = Owner::attach(lent_, returned_, buffers_, geometry_);
    run_.require(owner.ok(), "an owner's heir is refused");
    owner_.emplace(owner.value());
    recover();
    lend_all();
  }

  Run& run_;
  PoolCase bounds_;
  PoolGeometry geometry_;
  PoolWord* lent_ = nullptr;
  PoolWord* returned_ = nullptr;
  std::byte* buffers_ = nullptr;
  std::atomic<std::uint64_t>* box_ = nullptr;
  std::size_t owner_fibre_ = 0;
  std::size_t owner_heir_ = 0;
  std::optional<Owner> owner_;
  std::optional<Reader> reader_;
  std::uint32_t next_lend_ = 0;
  std::uint32_t next_look_ = 0;
};

}  // namespace slipring::model
