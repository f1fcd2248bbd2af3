// The properties that POSIX promises of what carries bytes and messages, each as a question that a
// channel answers by what it does.
#pragma once

#include <functional>
#include <memory>

#include "tests/pipelines/posix/channel.h"

namespace slipring::posix {

using Make = std::function<std::unique_ptr<Channel>()>;
// Whether the property holds of a channel made anew.
using Probe = bool (*)(const Make& make);

// Of bytes and of messages.
bool keeps_order(const Make& make);
bool empty_would_block(const Make& make);
bool full_would_block(const Make& make);
bool goes_on_when_there_is_room(const Make& make);
bool ends_when_writer_closes(const Make& make);
bool ends_when_writer_dies(const Make& make);
bool breaks_when_reader_closes(const Make& make);
bool signals_when_reader_closes(const Make& make);
bool polls_readable(const Make& make);
bool polls_writable(const Make& make);
bool polls_hung_up(const Make& make);
bool polls_broken(const Make& make);
bool keeps_what_was_written_before_the_end(const Make& make);

// Of bytes.
bool has_no_boundaries(const Make& make);
bool reads_short(const Make& make);
bool writes_a_part(const Make& make);
bool holds_pipe_buf(const Make& make);
bool writes_pipe_buf_whole_or_not(const Make& make);

// Of messages.
bool keeps_boundaries(const Make& make);
bool carries_empty_messages(const Make& make);
bool refuses_too_long_whole(const Make& make);
bool takes_whole_messages_or_none(const Make& make);

}  // namespace slipring::posix
