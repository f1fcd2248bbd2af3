#include "tools/commands/segments.h"

#include <memory>

#include "tools/create/create.h"
#include "tools/ls/ls.h"
#include "tools/reap/reap.h"
#include "tools/rm/rm.h"
#include "tools/verify/verify.h"

namespace slipring::tools {

Command create_command() {
  const auto request = std::make_shared<CreateRequest>();
  return {
      {"create", "Make a link that nobody is attached to yet",
       "NAME --kind records|stream --capacity SIZE [OPTIONS]\n"
       "  slipring create NAME --kind slots --slots N --slot-size SIZE [OPTIONS]\n"
       "  slipring create NAME --kind mailbox|lanes [--lanes N] [--guarded] [OPTIONS]\n"
       "  slipring create NAME --kind broadcast --slots N --slot-size SIZE [OPTIONS]",
       "  slipring create ts --kind records --capacity 4MiB\n"
       "  slipring create frames --kind slots --slots 64 --slot-size 192 --pool 32x4MiB\n"
       "  slipring create inbox --kind mailbox --credit 100 --mode 0660\n"},
      {{"NAME", "", "The segment's name: A-Z a-z 0-9 . _ -", &request->name, Need::kRequired},
       {"--kind", "records|slots|values|stream|lanes|mailbox|broadcast",
        "Of any length, of one length, typed values, or bytes; with a lane for each of many "
        "senders; or to many readers",
        &request->kind, Need::kRequired},
       {"--capacity", "SIZE",
        "records, stream: the ring, a power of two; lanes, mailbox: each lane (64KiB)",
        &request->capacity},
       {"--slots", "N", "slots, broadcast (a power of two), values (any number): how many",
        &request->slots},
       {"--slot-size", "SIZE", "slots, values, broadcast: bytes of one", &request->slot_size},
       {"--pool", "NxSIZE", "slots: buffers that messages refer to, 32x4MiB for example",
        &request->pool},
       {"--credit", "N",
        "At most so many messages under way; a full link answers instead of blocking",
        &request->credit},
       {"--lanes", "N", "lanes, mailbox: senders at a time (default 16)", &request->lanes},
       {"--readers", "N", "broadcast: readers at a time (default 16)", &request->readers},
       {"--policy", "overwrite|block|evict",
        "broadcast: whoever does not keep up loses messages, or makes the writer wait, or is put "
        "out",
        &request->policy},
       {"--lag", "N", "evict: messages behind (default half of the slots)", &request->lag},
       {"--guarded", "",
        "lanes, mailbox, broadcast: in sealed memory, each sender known by the kernel's word; "
        "lasts as long as the command runs",
        &request->guarded},
       {"--mode", "MODE", "0600 (default), 0640, 0620, or 0660", &request->mode},
       {"--group", "GROUP", "The group that the mode means", &request->group}},
      &request->json,
      [request](auto) { return create(*request); }};
}

Command rm_command() {
  const auto request = std::make_shared<RemoveRequest>();
  return {
      {"rm", "Remove segments that no living process uses",
       "[NAME|PATTERN]... [--stale] [--force] [--json]",
       "  slipring rm ts\n"
       "  slipring rm 'settop.*'\n"
       "  slipring rm --stale\n"},
      {{"NAME", "", "Names, or patterns with * ? [] in quotes", &request->names},
       {"--stale", "", "All that processes used which have ended since, but a mailbox with mail",
        &request->stale},
       {"--force", "", "Also what a living process holds", &request->force}},
      &request->json,
      [request](auto) { return remove(*request); }};
}

Command ls_command() {
  const auto request = std::make_shared<ListRequest>();
  return {{"ls", "List segments and who holds them", "[--json]",
           "  slipring ls\n"
           "  SLIPRING_DIR=/dev/shm/test slipring ls\n"
           "  slipring ls --json | jq '.segments[] | select(.stale).name'\n"},
          {},
          &request->json,
          [request](auto) { return list(*request); }};
}

Command verify_command() {
  const auto request = std::make_shared<VerifyRequest>();
  return {{"verify", "Check the layout and the invariants of segments; change nothing",
           "[NAME|PATTERN]... [--json]",
           "  slipring verify\n"
           "  slipring verify 'settop.*' && echo sound\n"
           "  slipring verify --json | jq '.segments[] | select(.findings != []).name'\n"},
          {{"NAME", "", "Segments, patterns, or pipelines (default: all)", &request->names}},
          &request->json,
          [request](auto) { return verify(*request); }};
}

Command reap_command() {
  const auto request = std::make_shared<ReapRequest>();
  return {{"reap", "List what dead processes have left behind, and remove it when told to",
           "[--yes] [--unread] [--json]",
           "  slipring reap\n"
           "  slipring reap --yes\n"
           "  slipring reap --json | jq -r '.leftovers[].name'\n"},
          {{"--yes", "", "Remove it; without this nothing is changed", &request->yes},
           {"--unread", "", "Also segments with messages that nobody read", &request->unread},
           {"--dry-run", "", "Only list it (the default)", &request->dry_run}},
          &request->json,
          [request](auto) { return reap(*request); }};
}

}  // namespace slipring::tools
