#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "pipelines/link/link_observer.h"
#include "tests/tools/command_fixture.h"

namespace slipring::tools {
namespace {

struct Refusal {
  std::vector<std::string> words;
  std::string in_err;
};

TEST_CASE("create: the parts that it prints cover the file without a gap") {
  const CommandFixture fixture;
  const Ending ending =
      fixture.call({"create", "frames", "--kind", "slots", "--slots", "64", "--slot-size", "192",
                    "--pool", "8x64KiB", "--credit", "16", "--mode", "0640", "--json"});
  CHECK(ending.exit_status == 0);
  CHECK(ending.err == "");
  const auto json = nlohmann::json::parse(ending.out);
  CHECK(json.at("schema") == 1);
  CHECK(json.at("slot_count") == 64);
  CHECK(json.at("pool_buffer_bytes") == 65536);
  CHECK(json.at("credit_count") == 16);
  CHECK(json.at("mode") == "0640");
  std::uint64_t end_bytes = 0;
  for (const auto& part : json.at("parts")) {
    CHECK(part.at("offset_bytes") == end_bytes);
    end_bytes += part.at("size_bytes").get<std::uint64_t>();
  }
  CHECK(json.at("total_bytes") == end_bytes);
  struct stat file {};
  REQUIRE(::stat((fixture.path() + "/frames").c_str(), &file) == 0);
  CHECK(static_cast<std::uint64_t>(file.st_size) == end_bytes);
  CHECK((file.st_mode & 07777) == 0640);

  Result<LinkObserver> observer = LinkObserver::attach(fixture.directory(), "frames");
  REQUIRE(observer.ok());
  CHECK(observer->report().shape.slot_bytes == 192);
  CHECK(observer->report().shape.pool_buffer_count == 8);
  CHECK(observer->report().shape.credit_count == 16);
}

TEST_CASE("create: people read the same to the byte") {
  const CommandFixture fixture;
  const Ending ending = fixture.call({"create", "ts", "--kind", "records", "--capacity", "4MiB"});
  CHECK(ending.exit_status == 0);
  CHECK(contains(ending.out, "ts  records, 4 MiB"));
  CHECK(contains(ending.out, "4194304"));
  CHECK(contains(ending.out, "mode 0600"));
}

TEST_CASE("create: a name that is taken is a failure, and what has it is left alone") {
  const CommandFixture fixture;
  fixture.make_records("ts", 8192);
  const Ending ending = fixture.call({"create", "ts", "--kind", "records", "--capacity", "4KiB"});
  CHECK(ending.exit_status == 1);
  CHECK(contains(ending.err, "slipring rm ts"));
  Result<LinkObserver> observer = LinkObserver::attach(fixture.directory(), "ts");
  REQUIRE(observer.ok());
  CHECK(observer->report().capacity == 8192);
}

TEST_CASE("create: what cannot be is refused as usage, and nothing is made") {
  const CommandFixture fixture;
  const std::vector<Refusal> refusals = {
      {{"a/b", "--kind", "records", "--capacity", "4KiB"}, "is no segment name"},
      {{"a", "--kind", "pipes", "--capacity", "4KiB"}, "none of records, slots, values"},
      {{"a", "--capacity", "4KiB"}, "--kind is required"},
      {{"a", "--kind", "records"}, "needs --capacity"},
      {{"a", "--kind", "records", "--capacity", "4KB"}, "is no size"},
      {{"a", "--kind", "records", "--capacity", "5000"}, "power of two"},
      {{"a", "--kind", "records", "--capacity", "4KiB", "--slots", "4"}, "belong to --kind slots"},
      {{"a", "--kind", "slots", "--slots", "64"}, "needs --slots and --slot-size"},
      {{"a", "--kind", "slots", "--slots", "60", "--slot-size", "192"}, "power of two"},
      {{"a", "--kind", "slots", "--slots", "6x", "--slot-size", "192"}, "is no whole number"},
      {{"a", "--kind", "slots", "--slots", "4", "--slot-size", "8", "--capacity", "4KiB"},
       "belongs to --kind records"},
      {{"a", "--kind", "slots", "--slots", "4", "--slot-size", "64", "--pool", "4MiB"},
       "not COUNTxSIZE"},
      {{"a", "--kind", "slots", "--slots", "4", "--slot-size", "64", "--pool", "4x100"},
       "multiple of 64"},
      {{"a", "--kind", "records", "--capacity", "4KiB", "--credit", "0"}, "--credit '0'"},
      {{"a", "--kind", "records", "--capacity", "4KiB", "--mode", "0666"}, "--mode '0666'"},
      {{"a", "--kind", "records", "--capacity", "4KiB", "--group", "no such group"}, "no such"},
  };
  for (const Refusal& refusal : refusals) {
    std::vector<std::string> words = {"create"};
    words.insert(words.end(), refusal.words.begin(), refusal.words.end());
    CAPTURE(refusal.in_err);
    const Ending ending = fixture.call(words);
    CAPTURE(ending.err);
    CHECK(ending.exit_status == 2);
    CHECK(ending.out == "");
    CHECK(contains(ending.err, refusal.in_err));
  }
  CHECK(fixture.directory().list()->empty());
}

TEST_CASE("create: more than the file system has is refused with both numbers") {
  const CommandFixture fixture;
  const Ending ending =
      fixture.call({"create", "big", "--kind", "records", "--capacity", "1024GiB"});
  CHECK(ending.exit_status == 1);
  CHECK(contains(ending.err, "1.0 TiB"));
  CHECK(contains(ending.err, " free"));
  CHECK(fixture.directory().list()->empty());
}

}  // namespace
}  // namespace slipring::tools
