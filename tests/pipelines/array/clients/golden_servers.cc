#include "tests/pipelines/array/clients/golden_servers.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <sstream>

#include "tests/pipelines/array/nbd/nbd_client.h"

namespace slipring::test {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string before_colon(const std::string& line) {
  const std::size_t begin = line.find_first_not_of(" \t");
  const std::size_t end = line.find(':');
  return begin == std::string::npos ? "" : line.substr(begin, end - begin);
}

}  // namespace

const std::vector<std::string>& GoldenServers::names() {
  static const std::vector<std::string> kNames = {"plain", "array", "nbdkit"};
  return kNames;
}

GoldenServers::GoldenServers() {
  array_ = std::make_unique<ServedArray>("array.toml", small_disks(folder_));
  std::optional<NbdClient> asking = NbdClient::connect(array_->socket());
  REQUIRE(asking.has_value());
  REQUIRE(asking->enter("", true));
  size_bytes_ = asking->export_bytes();
  for (const char* file : {"plain.img", "nbdkit.img"}) {
    REQUIRE(shell("truncate -s " + std::to_string(size_bytes_) + " " + folder_.file(file)) == 0);
  }
  plain_ = std::make_unique<ServedArray>(
      "plain.toml", std::vector<std::pair<std::string, std::string>>{
                        {"file.paths", folder_.file("plain.img")}, {"file.create_mib", "0"}});
  nbdkit_ = std::make_unique<Process>(
      std::vector<std::string>{"/usr/bin/env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "nbdkit", "-f",
                               "-U", folder_.socket(), "file", folder_.file("nbdkit.img")},
      folder_.file("nbdkit.log"), std::vector<std::string>{});
  REQUIRE_MESSAGE(NbdClient::connect(folder_.socket()).has_value(),
                  "nbdkit does not start (tools/setup test installs it): "
                      << contents(folder_.file("nbdkit.log")));
  for (const std::string& name : names()) std::filesystem::create_directory(folder_.file(name));
}

std::string GoldenServers::socket(const std::string& server) const {
  if (server == "nbdkit") return folder_.socket();
  return server == "array" ? array_->socket() : plain_->socket();
}

std::string GoldenServers::uri(const std::string& server) const {
  return "nbd+unix:///?socket=" + socket(server);
}

Said GoldenServers::run(const std::string& server, const std::string& command) const {
  const std::string said = folder_.file(server) + "/said";
  Said answer;
  answer.status =
      shell("cd " + folder_.file(server) + " && export PATH=/usr/sbin:/usr/bin:/sbin:/bin URI='" +
            uri(server) + "' GOLDEN='" + uri("nbdkit") + "' SIZE=" + std::to_string(size_bytes_) +
            " && (" + command + ") > " + said + " 2>&1");
  answer.text = contents(said);
  for (const std::string& name : {uri(server), socket(server)}) {
    for (std::size_t at = answer.text.find(name); at != std::string::npos;
         at = answer.text.find(name)) {
      answer.text.replace(at, name.size(), "SERVER");
    }
  }
  return answer;
}

std::string unstated_differences(const std::string& ours, const std::string& golden,
                                 const std::map<std::string, std::string>& stated) {
  const std::vector<std::string> left = lines_of(ours);
  const std::vector<std::string> right = lines_of(golden);
  if (left.size() != right.size()) {
    return std::to_string(left.size()) + " lines and " + std::to_string(right.size()) + ":\n" +
           ours + "\n---\n" + golden;
  }
  std::string findings;
  for (std::size_t i = 0; i < left.size(); ++i) {
    const auto reason = stated.find(before_colon(left[i]));
    const bool is_stated = reason != stated.end();
    if (left[i] == right[i] && is_stated) findings += "no difference any more: " + left[i] + "\n";
    if (left[i] != right[i] && !is_stated) findings += left[i] + " | " + right[i] + "\n";
  }
  return findings;
}

}  // namespace slipring::test
