#!/bin/bash
# A gigabyte (or as many MiB as the first argument says) through every way between HTTP and a ring,
# with its checksum compared.  Ends with 1 for a difference.
set -euo pipefail

mib=${1:-1024}
slipring=$PWD/tools/slipring
work=$(mktemp -d /dev/shm/slipring-gigabyte-XXXXXX)
export SLIPRING_DIR=$work/segments
mkdir -m 700 "$SLIPRING_DIR"
"$slipring" serve --listen 0 --json > "$work/where" &
server=$!
trap 'kill $server 2> /dev/null || true; rm -rf "$work"' EXIT
until url=$(grep -o 'http://[^"]*' "$work/where"); do kill -0 $server; done

# The same bytes every time, without a file of that size.
source_bytes() {
  # It ends by a broken pipe, which is no fault.
  { openssl enc -aes-128-ctr -nosalt -pass pass:slipring -pbkdf2 -in /dev/zero 2> /dev/null || :; } |
    head -c "${mib}M"
}
expected=$(source_bytes | sha256sum)

failures=0
judge() { # NAME CHECKSUM SECONDS
  if [ "$2" = "$expected" ]; then
    echo "$1: $mib MiB in $3 s, equal"
  else
    echo "$1: the checksum differs" >&2
    failures=$((failures + 1))
  fi
}
timed() { # NAME, then a reader's command; a writer is running
  local began=$SECONDS name=$1
  shift
  judge "$name" "$("$@" | sha256sum)" $((SECONDS - began))
}
make() { "$slipring" create s --kind stream --capacity 4MiB > /dev/null; }
http_put() { source_bytes | curl -sS -f -T - "${url}v1/links/s?end=1"; }
http_follow() { curl -sS -f "${url}v1/links/s?follow=1"; }

make
http_put &
timed "PUT, stream, GET" http_follow
wait $!
until ! "$slipring" ls 2> /dev/null | grep -q '^s '; do :; done
make
http_put &
timed "PUT, stream, get" "$slipring" get s
wait $!
until ! "$slipring" ls 2> /dev/null | grep -q '^s '; do :; done
make
source_bytes | "$slipring" put s &
timed "put, stream, GET" http_follow
wait $!

# Records: a message of 1 MiB less its header at a time, one connection each way.
"$slipring" create r --kind records --capacity 4MiB > /dev/null
mkdir "$work/parts" "$work/config"
source_bytes | split -b 1000000 -a 5 - "$work/parts/"
count=$(find "$work/parts" -type f | wc -l)
for part in "$work"/parts/*; do
  printf 'upload-file = "%s"\nurl = "%sv1/links/r?wait=60"\n' "$part" "$url"
done > "$work/config/put"
for ((i = 0; i < count; ++i)); do
  printf 'url = "%sv1/links/r?wait=60&keep=1"\noutput = "-"\n' "$url"
done > "$work/config/get"
curl -sS -f -K "$work/config/put" &
timed "PUT, $count records, GET" curl -sS -f -K "$work/config/get"
wait $!

grep -h VmHWM "/proc/$server/status"
exit $((failures > 0))
