#include "pipelines/wire/value_link_sink.h"

#include "pipelines/wire/wire_shape.h"

namespace slipring::wire {

Result<std::unique_ptr<LinkSink>> attach_value_sink(const SegmentDirectory& directory,
                                                    std::string_view name,
                                                    MemoryLock memory_lock) noexcept {
  Result<ValueBytesWriter> values = ValueBytesWriter::attach(directory, name, memory_lock);
  if (!values) return values.error();
  if (Status fits = check_wire_shape(values->shape()); !fits) return fits.error();
  return std::unique_ptr<LinkSink>(new ValueLinkSink(std::move(values).value()));
}

ValueLinkSink::ValueLinkSink(ValueBytesWriter values) noexcept : values_(std::move(values)) {
  form_ = wire_form_of(values_.shape());
}

std::optional<ErrorReason> ValueLinkSink::refuses(const WireForm& form) const noexcept {
  if (form.kind != form_.kind) return ErrorReason::kMismatch;
  const bool are_both_marked = form.value_mark != 0 && form_.value_mark != 0;
  if (form.message_bytes_max != form_.message_bytes_max ||
      (are_both_marked && form.value_mark != form_.value_mark)) {
    return ErrorReason::kOtherType;
  }
  if (form.byte_order != form_.byte_order) return ErrorReason::kByteOrder;
  return std::nullopt;
}

}  // namespace slipring::wire
