// `slipring create`: makes a link that nobody is attached to yet.
#pragma once

#include <string>

#include "tools/cli/exit_status.h"

namespace slipring::tools {

// The words of the command line; empty: not given.
struct CreateRequest {
  std::string name;
  std::string kind;       // "slots", "records", …
  std::string capacity;   // records: bytes
  std::string slots;      // slots
  std::string slot_size;  // slots: bytes
  std::string pool;       // slots: COUNTxBYTES
  std::string credit;
  std::string lanes;          // lanes, mailbox
  std::string readers;        // broadcast: places for them
  std::string policy;         // broadcast
  std::string lag;            // broadcast, evict
  bool guarded = false;       // lanes, mailbox: the command is their broker, until it is stopped
  std::string mode = "0600";  // octal
  std::string group;          // name or number
  bool json = false;
};

// Prints what the header says and where each part lies, to the byte.  A guarded set lives as long
// as the command does.
ExitStatus create(const CreateRequest& request);

}  // namespace slipring::tools
