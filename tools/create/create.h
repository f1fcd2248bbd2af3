// `slipring create`: makes a link that nobody is attached to yet.
#pragma once

#include <string>

#include "tools/cli/exit_status.h"

namespace slipring::tools {

// The words of the command line; empty: not given.
struct CreateRequest {
  std::string name;
  std::string kind;       // "slots" or "records"
  std::string capacity;   // records: bytes
  std::string slots;      // slots
  std::string slot_size;  // slots: bytes
  std::string pool;       // slots: COUNTxBYTES
  std::string credit;
  std::string mode = "0600";  // octal
  std::string group;          // name or number
  bool json = false;
};

// Prints what the header says and where each part lies, to the byte.
ExitStatus create(const CreateRequest& request);

}  // namespace slipring::tools
