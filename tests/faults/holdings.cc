#include "tests/faults/holdings.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <string_view>

namespace slipring::faults {

namespace {

// Numbers of inodes and processes differ from run to run.
std::string without_numbers(std::string_view text) {
  std::string plain;
  for (const char letter : text) {
    if (std::isdigit(static_cast<unsigned char>(letter)) == 0) plain += letter;
  }
  return plain;
}

std::vector<std::string> names_in(const std::string& path) {
  std::vector<std::string> names;
  DIR* stream = ::opendir(path.c_str());
  if (stream == nullptr) return names;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  ::closedir(stream);
  return names;
}

std::vector<std::string> descriptors() {
  std::vector<std::string> found;
  for (const std::string& number : names_in("/proc/self/fd")) {
    std::array<char, 512> target = {};
    const ssize_t size =
        ::readlink(("/proc/self/fd/" + number).c_str(), target.data(), target.size());
    if (size <= 0) continue;
    std::string name = without_numbers({target.data(), static_cast<std::size_t>(size)});
    if (name == "/proc//fd") continue;  // the listing itself
    found.push_back(std::move(name));
  }
  return found;
}

// Shared memory and what was reserved for it; a heap may grow.
std::vector<std::string> mappings() {
  std::vector<std::string> found;
  std::ifstream file("/proc/self/maps");
  for (std::string line; std::getline(file, line);) {
    const std::size_t space = line.find(' ');
    const std::string rights = line.substr(space + 1, 4);
    const std::size_t slash = line.find('/');
    const std::string name = slash == std::string::npos ? "" : line.substr(slash);
    const bool is_reservation = rights == "---p" && name.empty();
    if (rights[3] == 's' || is_reservation) found.push_back(rights + " " + without_numbers(name));
  }
  return found;
}

std::vector<std::string> locks() {
  std::vector<std::string> found;
  std::ifstream file("/proc/locks");
  const std::string ours = " " + std::to_string(::getpid()) + " ";
  for (std::string line; std::getline(file, line);) {
    if (line.find(ours) == std::string::npos) continue;
    // "1: POSIX  ADVISORY  WRITE 123 00:19:5 0 0": the bytes tell locks apart.
    const std::size_t kind = line.find(": ");
    const std::size_t bytes = line.find(' ', line.find(ours) + ours.size());
    found.push_back(without_numbers(line.substr(kind, line.find(ours) - kind)) +
                    line.substr(bytes));
  }
  return found;
}

void compare(const char* what, std::vector<std::string> before, std::vector<std::string> after,
             std::string& words) {
  std::sort(before.begin(), before.end());
  std::sort(after.begin(), after.end());
  std::vector<std::string> more;
  std::vector<std::string> fewer;
  std::set_difference(after.begin(), after.end(), before.begin(), before.end(),
                      std::back_inserter(more));
  std::set_difference(before.begin(), before.end(), after.begin(), after.end(),
                      std::back_inserter(fewer));
  for (const std::string& one : more) words += std::string("; ") + what + " left: " + one;
  for (const std::string& one : fewer) words += std::string("; ") + what + " gone: " + one;
}

}  // namespace

std::string Holdings::difference(const Holdings& before, const Holdings& after) {
  std::string words;
  compare("descriptor", before.descriptors, after.descriptors, words);
  compare("mapping", before.mappings, after.mappings, words);
  compare("file", before.files, after.files, words);
  compare("lock", before.locks, after.locks, words);
  return words;
}

Holdings holdings_of_this_process(const std::string& directory_path) {
  Holdings all;
  all.descriptors = descriptors();
  all.mappings = mappings();
  for (const std::string& name : names_in(directory_path)) {
    all.files.push_back(without_numbers(name));
  }
  all.locks = locks();
  return all;
}

}  // namespace slipring::faults
