// The cache's numbers on its stage's board.
#pragma once

#include <cstdint>

#include "pipelines/array/cache/block_cache.h"
#include "pipelines/stage/stage.h"

namespace slipring::array {

struct CacheReport {
  explicit CacheReport(Stage& stage)
      : reads(stage.counter("reads")),
        writes(stage.counter("writes")),
        flushes(stage.counter("flushes")),
        others(stage.counter("others")),
        errors(stage.counter("errors")),
        aborted(stage.counter("aborted_requests")),
        hit_blocks(stage.counter("hit_blocks")),
        missed_blocks(stage.counter("missed_blocks")),
        written_back_blocks(stage.counter("written_back_blocks")),
        replays(stage.counter("replayed_requests")),
        held_up(stage.counter("requests_held_up")),
        slots(stage.gauge("slots")),
        dirty(stage.gauge("dirty_blocks")),
        clean(stage.gauge("clean_blocks")),
        dirty_permille(stage.gauge("dirty_permille")),
        is_locked(stage.gauge("is_locked")) {}

  void update(const BlockCache& cache) {
    slots.set(cache.slot_count());
    dirty.set(cache.dirty_count());
    clean.set(cache.clean_count());
    dirty_permille.set(cache.dirty_count() * 1000 / cache.slot_count());
  }

  Board::Number reads;
  Board::Number writes;
  Board::Number flushes;
  Board::Number others;
  Board::Number errors;
  Board::Number aborted;
  Board::Number hit_blocks;
  Board::Number missed_blocks;
  Board::Number written_back_blocks;
  Board::Number replays;
  Board::Number held_up;
  Board::Number slots;
  Board::Number dirty;
  Board::Number clean;
  Board::Number dirty_permille;
  Board::Number is_locked;
};

}  // namespace slipring::array
