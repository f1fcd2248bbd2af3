// Programs that are not ours, on the plain array, on the whole one, and on nbdkit: the same
// commands, and the same answers but for what is stated.

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "tests/pipelines/array/clients/golden_servers.h"
#include "tests/pipelines/array/nbd/nbd_client.h"

namespace slipring::test {
namespace {

using Stated = std::map<std::string, std::string>;

// Why ours answer otherwise than nbdkit does; by server.
Stated stated_differences() {
  Stated stated = {
      {"option INFO of an export's name of 14 characters",
       "its file plug-in takes any name; ours has those that it lists"},
      {"option INFO of an export's name of 4096 characters", "as above"},
      {"block size minimum", "it says block sizes only where a plug-in knows them"},
      {"block size preferred", "as above"},
      {"block size maximum", "as above"},
  };
  for (const std::string mode : {"structured", "simple"}) {
    stated[mode + " read of 64 MiB"] = "it is more than the largest block that we announce";
    stated[mode + " write of nothing"] = "the protocol leaves it open: ENOSPC there, EINVAL here";
    stated[mode + " zeroes of nothing"] = "as above";
  }
  stated["can_fast_zero"] = "ours makes holes; its file plug-in may not";
  return stated;
}

TEST_CASE("programs: every command of libnbd, right and wrong, is answered as nbdkit answers it") {
  const GoldenServers servers;
  const std::string command =
      "/usr/bin/python3 " + data("tests/pipelines/array/clients/every_command.py") + " \"$URI\"";
  const Said golden = servers.run("nbdkit", command);
  REQUIRE_MESSAGE(golden.status == 0, golden.text);
  for (const std::string& server : {std::string("plain"), std::string("array")}) {
    const Said ours = servers.run(server, command);
    CHECK_MESSAGE(ours.status == 0, server, ":\n", ours.text);
    const Stated stated = stated_differences();
    const std::string findings = unstated_differences(ours.text, golden.text, stated);
    CHECK_MESSAGE(findings.empty(), server, ":\n", findings);
    MESSAGE(server, ": ", std::count(ours.text.begin(), ours.text.end(), '\n'), " answers, ",
            stated.size(), " differ as stated");
  }
}

struct Task {
  std::string name;
  std::string command;
  int status = 0;
  bool says_the_same = true;  // as nbdkit
};

// Each begins with what the one before it has left.
const std::vector<Task>& tasks() {
  static const std::vector<Task> kTasks = {
      {"nbdinfo",
       "nbdinfo --size \"$URI\" && nbdinfo --can fua \"$URI\" && "
       "nbdinfo --can trim \"$URI\" && ! nbdinfo --is read-only \"$URI\""},
      {"nbdinfo of everything", "nbdinfo \"$URI\" && nbdinfo --list \"$URI\"", 0, false},
      {"nbdinfo's refusals", "nbdinfo --can nonsense \"$URI\"", 1},
      {"nbdcopy there",
       "head -c 60000003 /dev/urandom > there && truncate -s $SIZE there && "
       "nbdcopy --flush --connections=4 --requests=64 --request-size=1048576 there \"$URI\""},
      {"nbdcopy back", "nbdcopy --connections=4 \"$URI\" back && cmp there back"},
      {"nbdcopy in order", "nbdcopy --synchronous \"$URI\" - | cmp - there"},
      {"nbdcopy of half as much",
       "head -c 30000000 there | nbdcopy - \"$URI\" && "
       "nbdcopy \"$URI\" back && cmp there back"},
      {"nbdcopy from server to server",
       "truncate -s $SIZE other && (nbdcopy \"$URI\" -- [ nbdkit --exit-with-parent file other ])"
       " && cmp there other"},
      {"the map adds up",
       "nbdinfo --map --json \"$URI\" | /usr/bin/python3 -c 'import json, sys; "
       "print(sum(e[\"length\"] for e in json.load(sys.stdin)))'"},
      {"qemu-img compare", "qemu-img compare -f raw -F raw there \"$URI\""},
      {"qemu-img compare finds a difference",
       "qemu-io -f raw -c 'write -P 1 777 16' \"$URI\" > /dev/null; "
       "qemu-img compare -f raw -F raw there \"$URI\"",
       1},
      {"qemu-img convert out",
       "qemu-img convert -f raw -O qcow2 -m 8 -W \"$URI\" out.qcow2 && "
       "qemu-img compare -F raw out.qcow2 \"$URI\" && "
       "qemu-img check out.qcow2 > /dev/null"},
      {"qemu-img convert in",
       "qemu-img convert -n -f raw -O raw -W there \"$URI\" && "
       "qemu-img compare -f raw -F raw there \"$URI\""},
      {"a qcow2 within the export",
       "qemu-img create -f qcow2 \"$URI\" 64M > /dev/null && "
       "qemu-io -f qcow2 -c 'write -P 0x5a 1M 3M' -c 'write -z 2M 64k' -c flush \"$URI\" > "
       "/dev/null && qemu-img check -f qcow2 \"$URI\" && "
       "qemu-img map --output=json -f qcow2 \"$URI\" && "
       "qemu-io -f qcow2 -c 'read -P 0x5a 1M 1M' -c 'read -P 0 2M 64k' \"$URI\" > /dev/null"},
      {"qemu-io's patterns",
       "qemu-io -f raw -c 'write -P 0xab 4095 1000003' -c 'read -P 0xab 4095 1000003' "
       "-c 'write -f -P 0xcd 0 512' -c 'write -z 8192 8192' -c 'read -P 0 8192 8192' "
       "-c 'read -P 0xab 16384 4096' -c 'write -z -u 20480 4096' -c 'read -P 0 20480 4096' "
       "-c 'discard 65536 65536' -c flush -c 'read -P 0xcd 0 512' "
       "-c 'read -P 0xab 4095 1' \"$URI\" | sed 's/[0-9.:]* sec.*//; /ops;/d'"},
      {"qemu-io sees a wrong byte",
       "qemu-io -f raw -c 'read -P 0xee 0 512' \"$URI\" | "
       "sed 's/[0-9.:]* sec.*//; /ops;/d'"},
      {"qemu-io many at once",
       "qemu-io -f raw -c 'aio_write -P 7 0 1M' -c 'aio_write -P 8 1M 1M' -c 'aio_write -P 9 2M "
       "1M' "
       "-c aio_flush -c 'read -P 7 0 1M' -c 'read -P 8 1M 1M' -c 'read -P 9 2M 1M' \"$URI\" "
       "> /dev/null"},
      {"qemu-io beyond the end", "qemu-io -f raw -c \"write $SIZE 512\" \"$URI\"", 1},
      {"fio, every size from 512 to 256k",
       "fio --name=v --ioengine=nbd --uri=\"$URI\" --rw=randrw --bsrange=512-256k "
       "--blockalign=512 --iodepth=16 --size=24m --verify=crc32c --randseed=3 "
       "--serialize_overlap=1 --output-format=terse > fio.out 2> fio.err || cat fio.out fio.err"},
      {"fio, three jobs with flushes",
       "fio --ioengine=nbd --uri=\"$URI\" --rw=randwrite --bs=4k --iodepth=8 --size=8m "
       "--verify=crc32c --fsync=32 --randseed=5 --name=a --offset=0 --name=b --offset=8m --name=c "
       "--offset=16m --output-format=terse > fio.out 2> fio.err || cat fio.out fio.err"},
  };
  return kTasks;
}

TEST_CASE("programs: nbdinfo, nbdcopy, qemu-img, qemu-io and fio get from ours what nbdkit gives") {
  const GoldenServers servers;
  for (const Task& task : tasks()) {
    const Said golden = servers.run("nbdkit", task.command);
    CHECK_MESSAGE(golden.status == task.status, task.name, ":\n", golden.text);
    for (const std::string& server : {std::string("plain"), std::string("array")}) {
      const Said ours = servers.run(server, task.command);
      CHECK_MESSAGE(ours.status == task.status, server, ", ", task.name, ":\n", ours.text, "\n",
                    golden.text);
      if (!task.says_the_same) continue;
      CHECK_MESSAGE(ours.text == golden.text, server, ", ", task.name, ":\n", ours.text, "\n",
                    golden.text);
    }
  }
  MESSAGE(tasks().size(), " tasks on each of two servers, and on nbdkit");
}

// A server that forgets everything: whoever compares what it reads must complain of it.
TEST_CASE("programs: a server that loses what was written is seen") {
  const SocketFolder folder;
  const Process forgetful({"/usr/bin/env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "nbdkit", "-f",
                           "-U", folder.socket(), "null", "96M"},
                          folder.file("log"), {});
  REQUIRE(NbdClient::connect(folder.socket()).has_value());
  const std::string uri = "nbd+unix:///?socket=" + folder.socket();
  const std::string quietly = " > " + folder.file("said") + " 2>&1";
  CHECK(shell("/usr/bin/python3 " + data("tests/pipelines/array/clients/every_command.py") + " '" +
              uri + "'" + quietly) == 1);
  CHECK(contents(folder.file("said")).find("WRONG BYTES") != std::string::npos);
  for (const Task& task : tasks()) {
    if (task.name.find("fio") == std::string::npos) continue;
    CHECK_MESSAGE(shell("cd " + folder.file("") + " && URI='" + uri + "' && (" + task.command +
                        " | grep -q 'verify: bad')") == 0,
                  task.name);
  }
}

// The comparison itself: differences that nobody has stated, and reasons that nothing wants.
TEST_CASE("programs: a difference from nbdkit is seen") {
  CHECK(unstated_differences("a: 1\nb: 2\n", "a: 1\nb: 2\n", {}).empty());
  CHECK_FALSE(unstated_differences("a: 1\nb: 2\n", "a: 1\nb: 3\n", {}).empty());
  CHECK(unstated_differences("a: 1\nb: 2\n", "a: 1\nb: 3\n", {{"b", "why"}}).empty());
  CHECK_FALSE(unstated_differences("a: 1\nb: 2\n", "a: 1\nb: 2\n", {{"b", "why"}}).empty());
  CHECK_FALSE(unstated_differences("a: 1\n", "a: 1\nb: 2\n", {}).empty());
}

}  // namespace
}  // namespace slipring::test
