// A stage that the sandbox keeps from a file says that it was the sandbox, and what allows it.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/pipelines/array/nbd/served_array.h"

namespace slipring::test {
namespace {

// What the run says, with the file at `path`; the stages end at their first error.
std::string said_of(const Workshop& shop, const std::string& path, const std::string& sandbox) {
  std::string text = contents(data("pipelines/array/plain.toml"));
  for (std::size_t at = text.find("on-failure"); at != std::string::npos;
       at = text.find("on-failure")) {
    text.replace(at, 10, "never");
  }
  text.insert(text.find("name = \"array\"\n") + 15, "sandbox = \"" + sandbox + "\"\n");
  std::ofstream(shop.file("plain.toml")) << text;
  const std::string stages = data("pipelines/array/nbd") + ":" + data("pipelines/array/file");
  static_cast<void>(shell("SLIPRING_DIR=" + shop.segments() + " SLIPRING_STAGE_PATH=" + stages +
                          " timeout 20 " + slipring() + " run " + shop.file("plain.toml") +
                          " --set file.create_mib=1 --set nbd.unix= --set nbd.tcp=127.0.0.1:0" +
                          " --set file.paths=" + path + " > " + shop.file("said") + " 2>&1"));
  return contents(shop.file("said"));
}

}  // namespace

TEST_CASE("sandbox: a file directly above the segments is refused, and the words say why") {
  const Workshop shop;
  const std::filesystem::path segments = std::filesystem::canonical(shop.segments());
  const std::string above = segments.parent_path().string() + "/sandbox_test.img";
  const std::string said = said_of(shop, above, "on");
  for (const std::string& words :
       {std::string("cannot serve " + above), "in " + segments.parent_path().string() + ",",
        segments.string(), std::string("sandbox = \"off\" in [pipeline]")}) {
    CHECK_MESSAGE(said.find(words) != std::string::npos, words, " in ", said);
  }
  CHECK_FALSE(std::filesystem::exists(above));
  // A file that is refused for another reason is not blamed on it.
  const std::string missing = said_of(shop, "/proc/none.img", "on");
  CHECK_MESSAGE(missing.find("cannot serve") != std::string::npos, missing);
  CHECK_MESSAGE(missing.find("the sandbox lets") == std::string::npos, missing);
}

}  // namespace slipring::test
