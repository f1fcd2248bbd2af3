// Properties that have to do with names, several processes, or calls that only one kind has: each
// asked of the kernel and of ours in its own way.
#pragma once

namespace slipring::posix {

// A FIFO that nobody reads cannot be opened for writing without waiting (ENXIO).
bool fifo_needs_a_reader();
bool link_needs_a_reader();
bool mailbox_needs_a_reader();
// Opening waits for the other side.
bool fifo_opening_waits();
bool link_opening_waits();
bool mailbox_opening_waits();
// What nobody has read is gone when the last end is closed.
bool fifo_forgets();
bool link_forgets();
bool mailbox_forgets();
// … and is kept until it is unlinked.
bool queue_remembers();
bool link_remembers();
bool mailbox_remembers();
// After its name is gone, both ends go on.
bool fifo_outlives_its_name();
bool link_outlives_its_name();
// Writes of at most PIPE_BUF bytes of several processes are not mixed.
bool fifo_writes_of_several_are_whole();
bool stream_writes_of_several_are_whole();
// Messages of several processes are whole, in each one's order.
bool queue_messages_of_several_are_whole();
bool lane_messages_of_several_are_whole();
// What is more urgent overtakes.
bool queue_has_priorities();
bool link_has_priorities();
// The receiver can ask the kernel who sent.
bool socket_knows_its_sender();
bool lane_knows_its_sender();
// Several readers share one channel.
bool a_second_reader_may_share_the_fifo();
bool a_second_reader_may_share_the_link();
bool a_second_reader_may_share_the_mailbox();

}  // namespace slipring::posix
