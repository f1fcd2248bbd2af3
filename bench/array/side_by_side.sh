#!/bin/bash
# Block servers side by side, in one run, interleaved, each on a file or disks in memory, over a unix socket, asked by
# fio for 4 KiB and 1 MiB of the same 200 MiB:
#
#   plain         ours: front and one file, two processes
#   array         ours: front, cache, RAID-5, four disks, seven processes; all that is asked for fits into the cache, as
#                 it fits into the page cache for the others
#   array-half    the same with a cache of 128 MiB: a third of the reads, and every stream, goes to the disks
#   …-pipe, …-socket   the same stages, requests and data through a pipe or a unix socket a link instead of through our
#                 rings and pools: what the rings are for.  What was made equal is said in carried/carried_link.h.
#   nbdkit, qemu  nbdkit's file plug-in, and qemu-nbd
#
#   bazel run -c opt //bench/array:side_by_side -- [SECONDS [REPETITIONS]]        defaults: 5, 5
#   SERVERS="plain array qemu"   only these;   COLUMNS_ASKED="randread 4k 1,write 1m 4"   only those
#
# First each of ours is written to and compared by fio (verify).  Then a table on stdout: the median of IOPS (MiB/s for
# 1 MiB) with its range, and the processor time a request of all the server's processes, in microseconds (the array's
# with all that its cache then writes to the disks, until a flush is answered); below it each
# of the array's figures over qemu's and nbdkit's, and the rings' over pipes and sockets.  Every other repetition goes
# through the servers backwards.  Last the price of parity.  Wants: tools/setup test.
set -euo pipefail

seconds=${1:-5}
repetitions=${2:-5}
root=${RUNFILES_DIR:-$0.runfiles}/slipring
programs=$root/pipelines/array
carried=$root/bench/array/carried
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
for tool in fio nbdkit qemu-nbd; do
  command -v "$tool" > /dev/null || { echo "side_by_side: no $tool; run tools/setup test" >&2; exit 3; }
done
read -r -a servers <<< "${SERVERS:-plain plain-pipe plain-socket array array-half array-pipe array-socket nbdkit qemu}"
every_column="randread 4k 1,randread 4k 16,randread 4k 64,randwrite 4k 1,randwrite 4k 16,randwrite 4k 64,read 1m 1,read 1m 4,write 1m 1,write 1m 4"
IFS=, read -r -a columns <<< "${COLUMNS_ASKED:-$every_column}"
runtime=$(awk -v seconds="$seconds" 'BEGIN { printf "%dms", seconds * 1000 }')
# Pipes, sockets and the small cache: what tells, and no more, so that the run stays short.
few_columns=",randread 4k 1,randread 4k 64,randwrite 4k 16,read 1m 4,write 1m 4,"

# Short, for a unix socket's name; a folder below, which a stage's sandbox leaves open.
folder=$(mktemp -d /dev/shm/array-bench-XXXXXX)
mkdir "$folder/disks"
declare -A pids
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2> /dev/null || true; done
  wait
  rm -rf "$folder"
}
trap finish EXIT

uri_of() { echo "nbd+unix:///?socket=$folder/disks/$1.sock"; }

start_ours() { # NAME
  local name=$1 carrier="" path settings=("--set" "nbd.unix=$folder/disks/$1.sock") i
  local file=$folder/$name.toml
  path=$programs/nbd:$programs/file:$programs/cache:$programs/raid:$programs/disk
  cp "$programs/${name%%-*}.toml" "$file"
  case $name in
    *-pipe | *-socket)
      carrier=${name##*-}
      path=$carried
      # The shapes of links are read from named segments.
      sed -i 's/^wait = "adaptive"$/&\nprotection = "named"/' "$file"
      ;;
  esac
  case $name in
    plain*) settings+=(--set "file.paths=$folder/disks/$name.img" --set file.create_mib=256) ;;
    array*)
      for i in 0 1 2 3; do settings+=(--set "disk$i.path=$folder/disks/$name$i.img"); done
      if [ "$name" = array-half ]; then
        settings+=(--set cache.memory_mib=128)
      else
        settings+=(--set cache.memory_mib=320)
      fi
      ;;
  esac
  mkdir -m 700 "$folder/$name"
  SLIPRING_BENCH_CARRIER=$carrier SLIPRING_DIR=$folder/$name SLIPRING_STAGE_PATH=$path \
    "$root/tools/slipring" run "$file" "${settings[@]}" > "$folder/$name.log" 2>&1 &
  pids[$name]=$!
}

for server in "${servers[@]}"; do
  case $server in
    nbdkit)
      truncate -s 256M "$folder/disks/nbdkit.img"
      nbdkit -f -U "$folder/disks/nbdkit.sock" file "$folder/disks/nbdkit.img" > "$folder/nbdkit.log" 2>&1 &
      pids[nbdkit]=$!
      ;;
    qemu)
      truncate -s 256M "$folder/disks/qemu.img"
      qemu-nbd -f raw -k "$folder/disks/qemu.sock" -t -e 16 "$folder/disks/qemu.img" > "$folder/qemu.log" 2>&1 &
      pids[qemu]=$!
      ;;
    *) start_ours "$server" ;;
  esac
done
for server in "${servers[@]}"; do
  for _ in $(seq 300); do
    [ -S "$folder/disks/$server.sock" ] && break
    sleep 0.1
  done
  [ -S "$folder/disks/$server.sock" ] || { echo "side_by_side: $server does not start" >&2; cat "$folder/$server.log" >&2; exit 1; }
done

# That it is the carried stages that run, and not the appliance's own.
for server in "${servers[@]}"; do
  case $server in *-pipe) kind=fifo ;; *-socket) kind=sock ;; *) continue ;; esac
  if ! compgen -G "$folder/$server/*.$kind" > /dev/null; then
    echo "side_by_side: $server is not carried by a ${server##*-}" >&2
    exit 1
  fi
done

# Processor time so far, in clock ticks, of the server and of all that it started, threads included.
ticks_of() {
  local pid=$1 sum=0 child
  for child in "$pid" $(pgrep -P "$pid" || true); do
    read -r -a fields < <(sed 's/.*) //' "/proc/$child/stat" 2> /dev/null || echo "R")
    sum=$((sum + ${fields[11]:-0} + ${fields[12]:-0}))
  done
  echo "$sum"
}

flush() { # SERVER
  fio --name=flush --ioengine=nbd --uri="$(uri_of "$1")" --rw=write --bs=4k --size=4k --end_fsync=1 > /dev/null 2>&1
}
measure() { # SERVER RW BS DEPTH; prints IOPS, KiB/s, microseconds of processor time a request
  local server=$1 rw=$2 bs=$3 depth=$4 before after fields
  before=$(ticks_of "${pids[$server]}")
  fields=$(fio --name=b --ioengine=nbd --uri="$(uri_of "$server")" --rw="$rw" --bs="$bs" \
    --iodepth="$depth" --size=200m --runtime="$runtime" --time_based --output-format=terse --terse-version=3 2> /dev/null |
    grep '^3;')
  # What a write leaves to be done is part of its price, and must not disturb whoever is next.
  if [[ $server == array* && $rw == *write ]]; then flush "$server"; fi
  after=$(ticks_of "${pids[$server]}")
  echo "$fields" | awk -F';' -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" '
    { iops = $8 + $49; kib = $7 + $48; requests = ($6 + $47) / (kib > 0 ? kib : 1) * iops;
      cost = (requests > 0) ? ticks / hz * 1e6 / requests : 0
      printf "%d %d %.1f\n", iops, kib, cost }'
}

is_asked() { # SERVER COLUMN
  case $1 in
    *-pipe | *-socket | *-half) [[ $few_columns == *",$2,"* ]] ;;
    *) true ;;
  esac
}

for server in "${servers[@]}"; do
  case $server in plain* | array*)
    fio --name=verify --ioengine=nbd --uri="$(uri_of "$server")" --rw=randwrite --bsrange=4k-512k --bs_unaligned=0 \
      --iodepth=16 --size=64m --verify=crc32c --verify_fatal=1 --do_verify=1 > "$folder/verify.log" 2>&1 ||
      { echo "side_by_side: $server does not give back what was written" >&2; cat "$folder/verify.log" >&2; exit 1; }
    ;;
  esac
done
# What is read has been written: a hole is read faster.
for server in "${servers[@]}"; do
  fio --name=fill --ioengine=nbd --uri="$(uri_of "$server")" --rw=write --bs=1m --iodepth=4 --size=200m \
    --end_fsync=1 > /dev/null 2>&1
done
backwards=()
for server in "${servers[@]}"; do backwards=("$server" "${backwards[@]}"); done
for repetition in $(seq "$repetitions"); do
  order=("${servers[@]}")
  if ((repetition % 2 == 0)); then order=("${backwards[@]}"); fi
  for column in "${columns[@]}"; do
    for server in "${order[@]}"; do
      is_asked "$server" "$column" || continue
      # shellcheck disable=SC2086
      measure "$server" $column >> "$folder/${server}_${column// /_}"
      echo "repetition $repetition: $column: $server" >&2
    done
  done
done

results_of() { echo "$folder/${1}_${2// /_}"; }                       # SERVER COLUMN
field_of() { case $1 in *1m*) echo 2 ;; *) echo 1 ;; esac; }          # COLUMN: what its figure is
middle() {                                                            # FIELD FILE
  sort -n -k "$1,$1" "$2" | awk -v field="$1" '{ all[NR] = $field } END { print all[int((NR + 1) / 2)] }'
}
range() { # FIELD FILE DIVISOR; median (least..most)
  sort -n -k "$1,$1" "$2" | awk -v field="$1" -v by="$3" '
    { all[NR] = $field / by } END { printf "%.0f (%.0f..%.0f)", all[int((NR + 1) / 2)], all[1], all[NR] }'
}
printf '%-16s' "workload, depth"
for server in "${servers[@]}"; do printf ' | %-30s' "$server"; done
printf '\n'
for column in "${columns[@]}"; do
  printf '%-16s' "$column"
  for server in "${servers[@]}"; do
    results=$(results_of "$server" "$column")
    if [ ! -f "$results" ]; then
      printf ' | %-30s' "-"
      continue
    fi
    divisor=1
    if [ "$(field_of "$column")" = 2 ]; then divisor=1024; fi
    rate=$(range "$(field_of "$column")" "$results" "$divisor")
    printf ' | %-30s' "$rate, $(middle 3 "$results") us"
  done
  printf '\n'
done

ratio() { # COLUMN OURS THEIRS; nothing when one of them was not measured
  local ours theirs field
  ours=$(results_of "$2" "$1") theirs=$(results_of "$3" "$1") field=$(field_of "$1")
  if [ ! -f "$ours" ] || [ ! -f "$theirs" ]; then return; fi
  awk -v a="$(middle "$field" "$ours")" -v b="$(middle "$field" "$theirs")" -v c="$(middle 3 "$ours")" \
    -v d="$(middle 3 "$theirs")" -v name="$2 : $3" \
    'BEGIN { printf "   %s %.2f (processor time %.2f)", name, (b > 0 ? a / b : 0), (d > 0 ? c / d : 0) }'
}
printf '\nratios of the rates; of the processor time a request\n'
for column in "${columns[@]}"; do
  printf '%-16s' "$column"
  for pair in "array qemu" "array-half qemu" "array nbdkit" "plain nbdkit" "plain plain-pipe" "plain plain-socket" \
    "array array-pipe" "array array-socket"; do
    # shellcheck disable=SC2086
    ratio "$column" $pair
  done
  printf '\n'
done

# --- The price of parity -------------------------------------------------------------------------

# Bytes that the disks' processes have read and written, by system call.
disk_bytes() { # SERVER
  local child
  for child in $(pgrep -P "${pids[$1]}"); do
    if [ "$(cat "/proc/$child/comm")" = disk ]; then cat "/proc/$child/io"; fi
  done | awk '/^rchar/ { r += $2 } /^wchar/ { w += $2 } END { print r + 0, w + 0 }'
}
written_once() { # SERVER RW BS: MiB/s to stable storage, of 32 MiB each of whose blocks is written once
  fio --name=once --ioengine=nbd --uri="$(uri_of "$1")" --rw="$2" --bs="$3" --iodepth=16 --size=200m --io_size=32m \
    --end_fsync=1 --output-format=terse --terse-version=3 2> /dev/null | grep '^3;' | awk -F';' '{ printf "%.0f", $48 / 1024 }'
}
if [[ " ${servers[*]} " == *" array "* ]]; then
  printf '\nthe price of parity: a byte that is written, flushed; of four members\n'
  printf '%-16s | %-10s | %-10s | %-36s | %s\n' "" "array" "plain" "members: read, written a byte" "md on paper"
  for way in "write 1m" "randwrite 4k"; do
    flush array
    before=$(disk_bytes array)
    # shellcheck disable=SC2086
    rate=$(written_once array $way)
    after=$(disk_bytes array)
    plain_rate="-"
    # shellcheck disable=SC2086
    if [[ " ${servers[*]} " == *" plain "* ]]; then plain_rate=$(written_once plain $way); fi
    case $way in
      write*) paper="0, 4/3 = 1.33; with data and parity in the log 2.67" ;;
      *) paper="2, 2; with data and parity in the log 4" ;;
    esac
    members=$(echo "$before $after" | awk '{ b = 32 * 1048576; printf "%.2f, %.2f", ($3 - $1) / b, ($4 - $2) / b }')
    printf '%-16s | %-10s | %-10s | %-36s | %s\n' "$way" "$rate MiB/s" "$plain_rate MiB/s" "$members" "$paper"
  done
  "$root/bench/array/parity_bound"
fi
