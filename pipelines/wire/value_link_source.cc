#include "pipelines/wire/value_link_source.h"

#include <algorithm>
#include <utility>

#include "pipelines/wire/wire_shape.h"

namespace slipring::wire {

Result<std::unique_ptr<LinkSource>> attach_value_source(const SegmentDirectory& directory,
                                                        std::string_view name,
                                                        MemoryLock memory_lock) noexcept {
  Result<ValueBytesReader> values = ValueBytesReader::attach(directory, name, memory_lock);
  if (!values) return values.error();
  if (Status fits = check_wire_shape(values->shape()); !fits) return fits.error();
  return std::unique_ptr<LinkSource>(new ValueLinkSource(std::move(values).value()));
}

ValueLinkSource::ValueLinkSource(ValueBytesReader values) noexcept : values_(std::move(values)) {
  form_ = wire_form_of(values_.shape());
  cursor_ = values_.done();
  values_.obey_by_hand();
}

Transfer ValueLinkSource::next(Piece& piece, std::size_t bytes_max) noexcept {
  StreamParts<const std::byte> run;
  std::uint64_t count = 0;
  const std::uint64_t count_max = std::max<std::uint64_t>(1, bytes_max / form_.message_bytes_max);
  const Transfer answer = values_.try_peek(cursor_, count_max, run, count);
  if (answer != Transfer::kDone) return answer;
  piece = {run.first, run.second, cursor_, cursor_ + count};
  cursor_ = piece.end;
  return Transfer::kDone;
}

bool ValueLinkSource::release(std::uint64_t position) noexcept {
  if (position > cursor_ || position < values_.done()) return false;
  values_.consume(position - values_.done());
  return true;
}

bool ValueLinkSource::rewind(std::uint64_t position) noexcept {
  if (position < values_.done()) return false;
  if (position != values_.done()) {
    StreamParts<const std::byte> run;
    std::uint64_t count = 0;
    if (values_.try_peek(position - 1, 1, run, count) != Transfer::kDone) return false;
    values_.consume(position - values_.done());
  }
  cursor_ = position;
  return true;
}

// What was under way is finished, and not counted as dropped: only the other side knows.
void ValueLinkSource::drop_before(std::uint64_t before) noexcept {
  doomed_begin_ = values_.done();
  doomed_end_ = std::max(doomed_begin_, std::min(before, cursor_));
  doomed_count_ += doomed_end_ - doomed_begin_;
  values_.consume(doomed_end_ - doomed_begin_);
  values_.skip_aborted();
}

std::uint64_t ValueLinkSource::settle_doomed(std::uint64_t aborted,
                                             std::uint64_t arrived) noexcept {
  if (aborted == 0 || aborted != aborted_ || arrived < doomed_begin_) return 0;
  const std::uint64_t count = std::min(arrived, doomed_end_) - doomed_begin_;
  doomed_begin_ = doomed_end_;
  return count;
}

}  // namespace slipring::wire
