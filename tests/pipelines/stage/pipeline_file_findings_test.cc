// What can be wrong in a pipeline file, each with its line and remedy.

#include <doctest/doctest.h>

#include "tests/pipelines/stage/good_file.h"

namespace slipring {
namespace {

TEST_CASE("pipeline_file: keys and types are checked, with line and remedy") {
  check_cases({
      {"memlock = \"require\"",
       "memlok = \"require\"",
       {"bad.toml:3: unknown key in [pipeline]: \"memlok\"; did you mean \"memlock\"?"}},
      {"restart = \"always\"",
       "colour = \"red\"",
       {"bad.toml:9: unknown key in [[stage]]: \"colour\"; known here: name, program, restart, "
        "restart_limit, restart_window, cpu, wait, options"}},
      {"to = \"sink.ts\"",
       "to = \"sink.ts\"\ncapcity = 1",
       {"bad.toml:28: unknown key in [[link]]: \"capcity\"; did you mean \"capacity\"?"}},
      {"[[oob]]",
       "[[obo]]",
       {"bad.toml:47: unknown key in the file: \"obo\"; did you mean \"oob\"?"}},
      {"buffers = 40, buffer_bytes",
       "bufers = 40, buffer_bytes",
       {"bad.toml:38: unknown key in pool: \"bufers\"; did you mean \"buffers\"?",
        "bad.toml:38: missing key in pool: buffers; add buffers = 40"}},
      {"name = \"box\"",
       "name = 7",
       {"bad.toml:2: wrong type for name: an integer; write a string, name = \"settop\""}},
      {"memlock = \"require\"",
       "memlock = true",
       {"bad.toml:3: wrong type for memlock: a boolean; write one of require, try, off"}},
      {"wait = \"sleep\"",
       "wait = \"adaptve\"",
       {"bad.toml:4: unknown value for wait: \"adaptve\"; did you mean \"adaptive\"?"}},
      {"restart = \"always\"",
       "restart = \"sometimes\"",
       {"bad.toml:9: unknown value for restart: \"sometimes\"; known here: on-failure, always, "
        "never"}},
  });
}

TEST_CASE("pipeline_file: the values of a stage are checked, and what is missing is said") {
  check_cases({
      {"restart_limit = 3",
       "restart_limit = -3",
       {"bad.toml:10: restart_limit out of range: -3; write 0 to 1000000"}},
      {"restart_limit = 3",
       "restart_limit = \"3\"",
       {"bad.toml:10: wrong type for restart_limit: a string; write an integer"}},
      {"restart_window = \"500ms\"",
       "restart_window = 10",
       {"bad.toml:11: wrong type for restart_window: an integer; write a string such as \"10s\""}},
      {"restart_window = \"500ms\"",
       "restart_window = \"500\"",
       {"bad.toml:11: bad duration for restart_window: \"500\"; write more than 0 and at most "
        "24h, in ms, s, min or h: \"10s\""}},
      {"cpu = [1, 0, 1]",
       "cpu = [0,\n\"one\"]",
       {"bad.toml:13: wrong type for cpu: a string; write integers, cpu = [0, 1]"}},
      {"cpu = [1, 0, 1]",
       "cpu = -1",
       {"bad.toml:12: no such CPU: -1; CPUs are numbered from 0; `lscpu` lists them"}},
      {"loops = 2",
       "loops = [2]",
       {"bad.toml:15: wrong type for option loops: an array; write a string, an integer, a float "
        "or a boolean"}},
      {"loops = 2",
       "\"lo ops\" = 2",
       {"bad.toml:15: bad option name: \"lo ops\"; use 1 to 32 of A-Z a-z 0-9 _ -, a letter or "
        "digit first"}},
      {"loops = 2",
       "loops = \"a\\u0000b\"",
       {"bad.toml:15: bad option value: loops holds a zero byte; a program's arguments cannot "
        "carry one"}},
      {"program = \"ingest\"\n",
       "",
       {"bad.toml:6: missing key in [[stage]]: program; add program = \"ingest\""}},
      {"program = \"ingest\"",
       "program = \"\"",
       {"bad.toml:8: bad program: \"\"; name a program, or a path with '/'"}},
      {"capacity = \"4MiB\"\n",
       "",
       {"bad.toml:24: missing key in [[link]]: capacity; add capacity = \"4MiB\""}},
      {"slot_bytes = 192\n",
       "",
       {"bad.toml:31: missing key in [[link]]: slot_bytes; add slot_bytes = 192"}},
      {"from = \"source.ts\"\n",
       "",
       {"bad.toml:24: missing key in [[link]]: from; add from = \"ingest.out\""}},
      {"[pipeline]\nname = \"box\"\nmemlock = \"require\"\nwait = \"sleep\"\n",
       "",
       {"bad.toml:1: missing table: [pipeline]; add [pipeline] with name = \"…\""}},
      {"[pipeline]",
       "[[pipeline]]",
       {"bad.toml:1: wrong type for pipeline: an array; write [pipeline], in single brackets"}},
      {"[[oob]]",
       "[oob]",
       {"bad.toml:47: wrong type for oob: a table; write [[oob]], in double brackets"}},
  });
}

TEST_CASE("pipeline_file: names are checked") {
  check_cases({
      {"name = \"box\"",
       "name = \"my box\"",
       {"bad.toml:2: bad name: \"my box\"; use 1 to 32 of A-Z a-z 0-9 _ -, a letter or digit "
        "first"}},
      {"name = \"ts\"",
       "name = \"../ts\"",
       {"bad.toml:25: bad name: \"../ts\"; use 1 to 32 of A-Z a-z 0-9 _ -, a letter or digit "
        "first"}},
      {"name = \"ts\"",
       "name = \"abcdefghijklmnopqrstuvwxyz0123456\"",
       {"bad.toml:25: bad name: \"abcdefghijklmnopqrstuvwxyz0123456\"; use 1 to 32 of A-Z a-z 0-9 "
        "_ -, a letter or digit first"}},
      {"name = \"ts\"",
       "name = \"\\u001b[2J\"",
       {"bad.toml:25: bad name: \"?[2J\"; use 1 to 32 of A-Z a-z 0-9 _ -, a letter or digit "
        "first"}},
      {"name = \"frames\"",
       "name = \"ts\"",
       {"bad.toml:31: duplicate link name: \"ts\", first on line 24; give each [[link]] and "
        "[[oob]] a name of its own"}},
      {"name = \"channel\"",
       "name = \"back\"",
       {"bad.toml:47: duplicate link name: \"back\", first on line 40; give each [[link]] and "
        "[[oob]] a name of its own"}},
      {"[[link]]",
       "[[stage]]\nname = \"sink\"\nprogram = \"x\"\n[[link]]",
       {"bad.toml:24: duplicate stage name: \"sink\", first on line 19; give each stage a name of "
        "its own",
        "bad.toml:24: stage joined to nothing: \"sink\" is in no [[link]] and no [[oob]]; add a "
        "link from it or to it, or remove the stage"}},
  });
}

TEST_CASE("pipeline_file: the ends of links are checked") {
  check_cases({
      {"to = \"sink.ts\"",
       "to = \"snik.ts\"",
       {"bad.toml:27: unknown stage: \"snik\" in \"snik.ts\"; did you mean \"sink\"?"}},
      {"to = \"sink.ts\"",
       "to = \"mixer.ts\"",
       {"bad.toml:27: unknown stage: \"mixer\" in \"mixer.ts\"; the stages are source, sink"}},
      {"to = \"source.channel\"",
       "to = \"surce.channel\"",
       {"bad.toml:49: unknown stage: \"surce\" in \"surce.channel\"; did you mean \"source\"?"}},
      {"to = \"sink.ts\"",
       "to = \"sink\"",
       {"bad.toml:27: bad end of a link: \"sink\"; write STAGE.PORT, to = \"demux.in\""}},
      {"to = \"sink.ts\"",
       "to = \"sink.ts.x\"",
       {"bad.toml:27: bad end of a link: \"sink.ts.x\"; write STAGE.PORT, to = \"demux.in\""}},
      {"from = \"source.ts\"",
       "from = [\"source.ts\", \"sink.x\"]",
       {"bad.toml:26: a link with several writers: from is an array; one end each: write a "
        "[[link]] for every pair"}},
      {"to = \"sink.frames\"",
       "to = \"sink.ts\"",
       {"bad.toml:34: input port with two links: sink.ts belongs to link ts (line 27) and to link "
        "frames; a port has one writer; give the stage a second input port"}},
      {"from = \"source.frames\"",
       "from = \"source.ts\"",
       {"bad.toml:33: output port with two links: source.ts belongs to link ts (line 26) and to "
        "link frames; a port has one reader; give the stage a second output port"}},
      {"to = \"source.channel\"",
       "to = \"source.back\"",
       {"bad.toml:49: input port with two links: source.back belongs to link back (line 43) and "
        "to oob channel; a port has one writer; give the stage a second input port"}},
      {"credit = 16\n",
       "",
       {"bad.toml:40: cycle without credit: source -> sink -> source (links ts, back); when all "
        "are full, all wait for ever: give one of these links a credit, credit = 16 for "
        "instance"}},
  });
}

TEST_CASE("pipeline_file: the sizes of links are checked") {
  check_cases({
      {"capacity = \"4MiB\"",
       "capacity = \"3MiB\"",
       {"bad.toml:29: capacity is not a power of two: 3 MiB; take 2 MiB or 4 MiB"}},
      {"capacity = \"4MiB\"",
       "capacity = \"1KiB\"",
       {"bad.toml:29: capacity too small: 1 KiB; at least 4 KiB"}},
      {"capacity = \"4MiB\"",
       "capacity = \"128GiB\"",
       {"bad.toml:29: capacity too large: 128 GiB; at most 64 GiB"}},
      {"capacity = \"4MiB\"",
       "capacity = \"4MB\"",
       {"bad.toml:29: bad size for capacity: \"4MB\"; write bytes, or a string in KiB, MiB or GiB "
        "such as \"4MiB\""}},
      {"capacity = \"4MiB\"",
       "capacity = -4096",
       {"bad.toml:29: bad size for capacity: -4096; write bytes, or a string in KiB, MiB or GiB "
        "such as \"4MiB\""}},
      {"capacity = \"4MiB\"",
       "capacity = 4096.0",
       {"bad.toml:29: wrong type for capacity: a float; write bytes, or a string such as "
        "\"4MiB\""}},
      {"slots = 64", "slots = 63", {"bad.toml:36: slots is not a power of two: 63; take 32 or 64"}},
      {"slots = 64", "slots = 1", {"bad.toml:36: slots out of range: 1; write 2 to 1048576"}},
      {"slot_bytes = 192",
       "slot_bytes = 0",
       {"bad.toml:37: slot_bytes too small: 0 B; at least 1 B"}},
      {"slot_bytes = 192",
       "slot_bytes = \"2MiB\"",
       {"bad.toml:37: slot_bytes too large: 2 MiB; at most 1 MiB"}},
      {"slots = 64\nslot_bytes = 192",
       "slots = 1048576\nslot_bytes = \"1MiB\"",
       {"bad.toml:36: ring too large: 1048576 slots of 1 MiB; at most 64 GiB together"}},
      {"capacity = \"4MiB\"",
       "capacity = \"4MiB\"\npool = { buffers = 4, buffer_bytes = 4096 }",
       {"bad.toml:30: key of a slots link on a records link: pool; write kind = \"slots\", or "
        "remove it"}},
      {"slots = 64",
       "slots = 64\ncapacity = 4096",
       {"bad.toml:37: key of a records link on a slots link: capacity; a slots link has slots and "
        "slot_bytes instead"}},
      {"kind = \"slots\"",
       "kind = \"slot\"",
       {"bad.toml:35: unknown value for kind: \"slot\"; did you mean \"slots\"?"}},
      {"buffers = 40", "buffers = 0", {"bad.toml:38: buffers out of range: 0; write 1 to 1024"}},
      {"buffer_bytes = \"4MiB\"",
       "buffer_bytes = 5000",
       {"bad.toml:38: buffer_bytes is not a multiple of 64: 5000 B; take 5056 B"}},
      {"buffers = 40, buffer_bytes = \"4MiB\"",
       "buffers = 1024, buffer_bytes = \"128MiB\"",
       {"bad.toml:38: pool too large: 1024 buffers of 128 MiB; at most 64 GiB together"}},
      {"pool = {",
       "credit = 65\npool = {",
       {"bad.toml:38: credit beyond the slots: 65 messages under way in 64 slots; write at most "
        "64"}},
      {
          "credit = 16",
          "credit = 0",
          {"bad.toml:45: credit out of range: 0; write 1 to 1048576"},
      },
  });
}

}  // namespace
}  // namespace slipring
