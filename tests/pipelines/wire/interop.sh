#!/bin/bash
# Two machines of different processors exchange messages over loopback, both ways, whoever dials:
#   tests/pipelines/wire/interop.sh s390x-linux-gnu qemu-s390x      # big-endian, emulated
#   tests/pipelines/wire/interop.sh i686-linux-gnu                  # 32 bits, run as it is
# Wants g++-TARGET (and qemu-user) of Debian 12, and says what to install.  Run from the workspace's
# root.
set -euo pipefail

target=${1:?usage: interop.sh TARGET [EMULATOR]}
emulator=${2:-}
count=${COUNT:-20000}
for program in "$target-g++" ${emulator:+"$emulator"}; do
  command -v "$program" > /dev/null && continue
  echo "interop.sh: there is no $program; apt-get install g++-$target${emulator:+ qemu-user}" >&2
  exit 3
done
work=$(mktemp -d /dev/shm/slipring-interop-XXXXXX)
trap 'rm -rf "$work"' EXIT

sources=(tests/pipelines/wire/interop_peer.cc tests/pipelines/wire/interop_no_tls.cc
  pipelines/wire/*.cc pipelines/link/*.cc platform/memory/*.cc platform/wait/*.cc
  platform/process/*.cc platform/rendezvous/*.cc platform/machine/*.cc)

build() { # COMPILER OUTPUT
  mkdir -p "$2.o"
  printf '%s\n' "${sources[@]}" | xargs -P "${JOBS:-2}" -I{} sh -c \
    '"$0" -std=c++20 -O1 -D_FILE_OFFSET_BITS=64 -I. -c "$2" -o "$1/$(echo "$2" | tr / _).o"' "$1" "$2.o" {}
  "$1" -static "$2.o"/*.o -o "$2" -lpthread
}
build "$target-g++" "$work/other"
build g++ "$work/native"
file -b "$work/other" | cut -d, -f1-2 || true

native="$work/native"
other="$emulator $work/other"
round=0
exchange() { # SENDER RECEIVER WHO_LISTENS
  round=$((round + 1))
  local here=$work/here$round there=$work/there$round port=$((20000 + RANDOM % 20000))
  mkdir -m 700 "$here" "$there"
  local sender_role=connect receiver_role=listen
  if [ "$3" = sender ]; then sender_role=listen receiver_role=connect; fi
  $2 "$there" "tcp://127.0.0.1:$port" $receiver_role receive "$count" > "$work/received" &
  local receiver=$!
  $1 "$here" "tcp://127.0.0.1:$port" $sender_role send "$count" > "$work/sent"
  wait "$receiver"
  cmp "$work/sent" "$work/received"
  echo "$4: $(cat "$work/received") (messages, CRC-32C), the $3 listens"
}
for who in receiver sender; do
  exchange "$native" "$other" $who "native to $target"
  exchange "$other" "$native" $who "$target to native"
done
