#!/bin/bash
# Block servers side by side, in one run, interleaved: ours with one file behind (plain), ours with cache and RAID-5
# (array), nbdkit's file plug-in, and qemu-nbd, each on a file or disks in memory, over a unix socket, asked by fio.
#
#   bazel run -c opt //bench/array:side_by_side -- [SECONDS [REPETITIONS]]        defaults: 5, 5
#
# A table on stdout: the median of IOPS (MiB/s for 1 MiB) with its range, and the server's processor time a request in
# microseconds.  Every other repetition goes through the servers backwards.  Wants: tools/setup test.
set -euo pipefail

seconds=${1:-5}
repetitions=${2:-5}
root=${RUNFILES_DIR:-$0.runfiles}/slipring
programs=$root/pipelines/array
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
for tool in fio nbdkit qemu-nbd; do
  command -v "$tool" > /dev/null || { echo "side_by_side: no $tool; run tools/setup test" >&2; exit 3; }
done

# Short, for a unix socket's name; a folder below, which a stage's sandbox leaves open.
folder=$(mktemp -d /dev/shm/array-bench-XXXXXX)
mkdir "$folder/disks" "$folder/plain" "$folder/array"
chmod 700 "$folder/plain" "$folder/array"
declare -A pids
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2> /dev/null || true; done
  wait
  rm -rf "$folder"
}
trap finish EXIT

stage_path=$programs/nbd:$programs/file:$programs/cache:$programs/raid:$programs/disk
start_ours() { # NAME FILE SETTING...
  local name=$1 file=$2
  shift 2
  SLIPRING_DIR=$folder/$name SLIPRING_STAGE_PATH=$stage_path "$root/tools/slipring" run "$programs/$file" \
    --set "nbd.unix=$folder/disks/$name.sock" "$@" > "$folder/$name.log" 2>&1 &
  pids[$name]=$!
}

start_ours plain plain.toml --set "file.paths=$folder/disks/plain.img" --set file.create_mib=256
array_settings=()
for i in 0 1 2 3; do array_settings+=(--set "disk$i.path=$folder/disks/disk$i.img"); done
start_ours array array.toml "${array_settings[@]}"
truncate -s 256M "$folder/disks/nbdkit.img" "$folder/disks/qemu.img"
nbdkit -f -U "$folder/disks/nbdkit.sock" file "$folder/disks/nbdkit.img" > "$folder/nbdkit.log" 2>&1 &
pids[nbdkit]=$!
qemu-nbd -f raw -k "$folder/disks/qemu.sock" -t -e 16 "$folder/disks/qemu.img" > "$folder/qemu.log" 2>&1 &
pids[qemu]=$!

servers=(plain array nbdkit qemu)
for server in "${servers[@]}"; do
  for _ in $(seq 300); do
    [ -S "$folder/disks/$server.sock" ] && break
    sleep 0.1
  done
  [ -S "$folder/disks/$server.sock" ] || { echo "side_by_side: $server does not start" >&2; cat "$folder/$server.log" >&2; exit 1; }
done

# Processor time so far, in clock ticks, of the server and of all that it started.
ticks_of() {
  local pid=$1 sum=0 child
  for child in "$pid" $(pgrep -P "$pid" || true); do
    read -r -a fields < <(sed 's/.*) //' "/proc/$child/stat" 2> /dev/null || echo "R")
    sum=$((sum + ${fields[11]:-0} + ${fields[12]:-0}))
  done
  echo "$sum"
}

measure() { # SERVER RW BS DEPTH; prints IOPS, KiB/s, microseconds of processor time a request
  local server=$1 rw=$2 bs=$3 depth=$4 before after fields
  before=$(ticks_of "${pids[$server]}")
  fields=$(fio --name=b --ioengine=nbd --uri="nbd+unix:///?socket=$folder/disks/$server.sock" --rw="$rw" --bs="$bs" \
    --iodepth="$depth" --size=200m --runtime="$seconds" --time_based --output-format=terse --terse-version=3 2> /dev/null |
    grep '^3;')
  after=$(ticks_of "${pids[$server]}")
  echo "$fields" | awk -F';' -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" '
    { iops = $8 + $49; kib = $7 + $48; requests = ($6 + $47) / (kib > 0 ? kib : 1) * iops;
      cost = (requests > 0) ? ticks / hz * 1e6 / requests : 0
      printf "%d %d %.1f\n", iops, kib, cost }'
}

columns=("randread 4k 1" "randread 4k 16" "randread 4k 64" "randwrite 4k 1" "randwrite 4k 16" "randwrite 4k 64" "read 1m 1" "read 1m 4" "write 1m 1" "write 1m 4")
# What is read has been written: a hole is read faster.
for server in "${servers[@]}"; do
  fio --name=fill --ioengine=nbd --uri="nbd+unix:///?socket=$folder/disks/$server.sock" --rw=write --bs=1m --iodepth=4 \
    --size=200m > /dev/null 2>&1
done
for repetition in $(seq "$repetitions"); do
  order=("${servers[@]}")
  if ((repetition % 2 == 0)); then order=(qemu nbdkit array plain); fi
  for column in "${columns[@]}"; do
    for server in "${order[@]}"; do
      # shellcheck disable=SC2086
      measure "$server" $column >> "$folder/${server}_${column// /_}"
      echo "repetition $repetition: $column: $server" >&2
    done
  done
done

middle() { # FIELD FILE DIVISOR; median (least..most)
  sort -n -k "$1,$1" "$2" | awk -v field="$1" -v by="$3" '
    { all[NR] = $field / by } END { printf "%.0f (%.0f..%.0f)", all[int((NR + 1) / 2)], all[1], all[NR] }'
}
printf '%-18s' "workload, depth"
for server in "${servers[@]}"; do printf ' | %-28s' "$server"; done
printf '\n'
for column in "${columns[@]}"; do
  printf '%-18s' "$column"
  for server in "${servers[@]}"; do
    results=$folder/${server}_${column// /_}
    case $column in
      *1m*) rate=$(middle 2 "$results" 1024) ;;
      *) rate=$(middle 1 "$results" 1) ;;
    esac
    printf ' | %-28s' "$rate, $(sort -n -k 3,3 "$results" | awk '{ all[NR] = $3 } END { print all[int((NR + 1) / 2)] }') us"
  done
  printf '\n'
done
