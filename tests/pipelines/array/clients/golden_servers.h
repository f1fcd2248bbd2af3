// Three servers of one size: the plain array, the whole array, and nbdkit's file plug-in, whom both
// are compared with.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/pipelines/array/nbd/served_array.h"

namespace slipring::test {

// What a program said and how it ended.
struct Said {
  int status = -1;
  std::string text;
};

class GoldenServers {
 public:
  // "plain", "array", "nbdkit".
  static const std::vector<std::string>& names();

  GoldenServers();

  [[nodiscard]] std::string uri(const std::string& server) const;
  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }
  // Runs a shell command in the server's own folder, with its address in $URI, that of nbdkit in
  // $GOLDEN, and the size in $SIZE.  The address is not in what it said.
  [[nodiscard]] Said run(const std::string& server, const std::string& command) const;
  [[nodiscard]] const ServedArray& array() const { return *array_; }

 private:
  [[nodiscard]] std::string socket(const std::string& server) const;

  SocketFolder folder_;
  std::uint64_t size_bytes_ = 0;
  std::unique_ptr<ServedArray> array_;
  std::unique_ptr<ServedArray> plain_;
  std::unique_ptr<Process> nbdkit_;
};

// Compares lines of "what: answer", our server's with the golden one's.  Where they differ the
// table has the reason, by what is before the colon; a reason that is wanted no more is a finding,
// too.  The findings, a line each.
[[nodiscard]] std::string unstated_differences(const std::string& ours, const std::string& golden,
                                               const std::map<std::string, std::string>& stated);

}  // namespace slipring::test
