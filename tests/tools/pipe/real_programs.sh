#!/bin/bash
# Programs that know nothing of slipring, joined by it: so many bytes through each path, with equal
# checksums.
# usage: real_programs.sh SLIPRING BYTES_PER_PATH
set -euo pipefail

slipring=$(realpath "$1")
bytes=$2
work=$(mktemp -d /tmp/slipring-programs-XXXXXX)
export SLIPRING_DIR="$work/links"
mkdir -m 0700 "$SLIPRING_DIR"
started=()
finish() {
  for pid in "${started[@]}"; do kill "$pid" 2> /dev/null || true; done
  rm -rf "$work"
}
trap finish EXIT

paths=0
fail() {
  echo "FAILED: $1" >&2
  exit 1
}
# The same bytes every time, and none of them like the others.
generate() {
  openssl enc -aes-128-ctr -K 00 -iv 00 -in /dev/zero 2> /dev/null | head -c "$1" || true
}
# A path has carried "$3" with the checksum "$4" where it should be "$2".
judge() {
  [ "$2" = "$4" ] || fail "$1: $3 bytes went in with $2 and came out with $4"
  paths=$((paths + 1))
  printf '%-58s %12s bytes  equal, %s s\n' "$1" "$3" $((SECONDS - begun))
}
sum() { sha256sum | cut -d ' ' -f 1; }
has() {
  command -v "$1" > /dev/null && return 0
  echo "skipped: $1 is not installed (tools/setup test)"
  return 1
}
begin() { begun=$SECONDS; }
background() {
  "$@" &
  started+=($!)
}
# Until somebody listens on a port of this machine.
await_port() {
  local hex
  hex=$(printf '%04X' "$1")
  for _ in $(seq 6000); do
    grep -q ":$hex 00000000:0000 0A" /proc/net/tcp && return 0
    read -rt 0.01 <> <(:) || true
  done
  fail "nobody listens on port $1"
}
await_file() {
  for _ in $(seq 6000); do
    [ -e "$1" ] && return 0
    read -rt 0.01 <> <(:) || true
  done
  fail "$1 does not come"
}
port=$((20000 + $$ % 20000))
next_port() { port=$((port + 1)); }

generate "$bytes" > "$work/data"
wanted=$(sum < "$work/data")

begin
mkdir "$work/tree" "$work/copy"
split -b $((bytes / 8 + 1)) "$work/data" "$work/tree/part."
ln -s part.aa "$work/tree/link"
tar -C "$work/tree" -c . | "$slipring" put tar &
"$slipring" get tar | tar -C "$work/copy" -x
wait $!
diff -r "$work/tree" "$work/copy" > /dev/null || fail "tar: the trees differ"
judge "tar c | put, get | tar x" "$wanted" "$bytes" "$(cat "$work"/copy/part.* | sum)"
rm -rf "$work/tree" "$work/copy"

begin
gzip -1 -c "$work/data" | "$slipring" put gz &
judge "gzip | put, get | gzip -d" "$wanted" "$bytes" "$("$slipring" get gz | gzip -dc | sum)"
wait $!

begin
base64 "$work/data" | "$slipring" put lines --lines &
judge "base64 | put --lines, get --lines | base64 -d" "$wanted" "$bytes" \
  "$("$slipring" get lines --lines | base64 -d | sum)"
wait $!

if has pv; then
  begin
  pv -q "$work/data" | "$slipring" put pv &
  judge "pv | put, get | pv" "$wanted" "$bytes" "$("$slipring" get pv | pv -q | sum)"
  wait $!
fi

if has socat; then
  next_port
  begin
  background "$slipring" pipe "tcp://:$port?listen" ring:socat
  await_port "$port"
  socat -u "OPEN:$work/data" "TCP:127.0.0.1:$port" &
  judge "socat TCP | pipe tcp://?listen ring:, get" "$wanted" "$bytes" "$("$slipring" get socat | sum)"
  wait $!

  begin
  "$slipring" pipe "$work/data" ring:unix &
  background "$slipring" pipe ring:unix "unix://$work/socket?listen"
  await_file "$work/socket"
  judge "pipe FILE ring:, pipe ring: unix://?listen | socat" "$wanted" "$bytes" \
    "$(socat -u "UNIX-CONNECT:$work/socket" - | sum)"
  wait $!

  begin
  background "$slipring" pipe "unix://$work/clients?listen&clients=8" ring:clients --lines
  await_file "$work/clients"
  split -n l/4 <(base64 "$work/data") "$work/lines." 2> /dev/null || {
    base64 "$work/data" > "$work/base64"
    split -n l/4 "$work/base64" "$work/lines."
  }
  all=$(sort "$work"/lines.* | sum)
  for part in "$work"/lines.*; do socat -u "OPEN:$part" "UNIX-CONNECT:$work/clients" & done
  judge "4 × socat | pipe unix://?listen&clients=8 ring:, get" "$all" "$bytes" \
    "$("$slipring" get clients --lines | sort | sum)"
  rm -f "$work"/lines.* "$work/base64"
fi

if has curl; then
  begin
  curl -s "file://$work/data" | "$slipring" put curl &
  judge "curl file:// | put, get" "$wanted" "$bytes" "$("$slipring" get curl | sum)"
  wait $!

  next_port
  begin
  { printf 'HTTP/1.0 200 OK\r\nContent-Length: %s\r\n\r\n' "$bytes" && cat "$work/data"; } |
    "$slipring" put page &
  background "$slipring" pipe ring:page "tcp://:$port?listen"
  await_port "$port"
  judge "put, pipe ring: tcp://?listen | curl http://" "$wanted" "$bytes" \
    "$(curl -s "http://127.0.0.1:$port/" | sum)"
  wait $!
fi

if has ffmpeg; then
  begin
  ffmpeg -nostdin -v error -f lavfi -i testsrc2=size=640x360:rate=25 -f lavfi -i sine -t 4 \
    -c:v mpeg2video -b:v 8M -c:a mp2 -f mpegts "$work/clip.ts"
  : > "$work/long.ts"
  while [ "$(stat -c %s "$work/long.ts")" -lt "$bytes" ]; do
    cat "$work/clip.ts" >> "$work/long.ts"
  done
  size=$(stat -c %s "$work/long.ts")
  md5() { ffmpeg -nostdin -v quiet -f mpegts -i - -map 0 -c copy -f md5 -; }
  wanted_md5=$(md5 < "$work/long.ts")
  "$slipring" put ts --capacity 4MiB < "$work/long.ts" &
  judge "put, get | ffmpeg -f md5" "$wanted_md5" "$size" "$("$slipring" get ts | md5)"
  wait $!
  rm -f "$work/long.ts"
fi

begin
mkdir "$work/papers"
certify() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/papers/$1.key" \
    -out "$work/papers/$1.pem" -subj "/CN=$1" "${@:2}" 2> /dev/null
}
certify ca -addext basicConstraints=critical,CA:TRUE
for name in server client; do
  certify $name -CA "$work/papers/ca.pem" -CAkey "$work/papers/ca.key" \
    -addext basicConstraints=CA:FALSE -addext "subjectAltName=IP:127.0.0.1"
done
papers() { echo "ca=$work/papers/ca.pem&cert=$work/papers/$1.pem&key=$work/papers/$1.key"; }
client=(openssl s_client -quiet -nocommands -no_ign_eof -tls1_3 -verify_return_error
  -CAfile "$work/papers/ca.pem" -cert "$work/papers/client.pem" -key "$work/papers/client.key")
next_port
background "$slipring" pipe "tcp+tls://:$port?listen&$(papers server)" ring:tls
await_port "$port"
"${client[@]}" -connect "127.0.0.1:$port" < "$work/data" > /dev/null 2>&1 &
judge "openssl s_client | pipe tcp+tls://?listen ring:, get" "$wanted" "$bytes" \
  "$("$slipring" get tls | sum)"
wait $! || true

next_port
begin
"$slipring" put out < "$work/data" &
background "$slipring" pipe ring:out "tcp+tls://:$port?listen&$(papers server)"
await_port "$port"
judge "put, pipe ring: tcp+tls://?listen | openssl s_client" "$wanted" "$bytes" \
  "$(openssl s_client -quiet -tls1_3 -verify_return_error -CAfile "$work/papers/ca.pem" \
    -cert "$work/papers/client.pem" -key "$work/papers/client.key" \
    -connect "127.0.0.1:$port" < /dev/null 2> /dev/null | sum)"

# A judge that sees nothing would say so of anything.
( judge "planted" "$wanted" "$bytes" "$(head -c $((bytes - 1)) "$work/data" | sum)" ) 2> /dev/null &&
  fail "a byte that was lost is not seen"

[ -z "$(ls -A "$SLIPRING_DIR")" ] || fail "links are left: $(ls "$SLIPRING_DIR")"
echo "$paths paths, $bytes bytes each, all equal; a planted loss is seen"
