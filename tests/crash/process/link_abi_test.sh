#!/bin/sh
# A 32-bit and a 64-bit process share a named link: each is killed in either role, and the other
# takes over; neither takes anything from the other while it lives.
# usage: link_abi_test.sh X86_64_PROGRAM I386_PROGRAM
set -eu

if [ ! -s "$2" ]; then
  echo "skipped: no i386 program, because i686-linux-gnu-g++ is not installed (g++-i686-linux-gnu)"
  exit 0
fi
# Called without arguments it answers 2; anything else means that it does not run here.
status=0
"$2" >/dev/null 2>&1 || status=$?
if [ "$status" -ne 2 ]; then
  echo "skipped: this kernel does not run i386 programs (status $status)"
  exit 0
fi

fail() {
  echo "$1"
  exit 1
}
# Runs a command that must end with a status.
ends_with() {
  wanted=$1
  shift
  status=0
  "$@" 2>&1 || status=$?
  [ "$status" -eq "$wanted" ] || fail "$* ended with $status, and not with $wanted"
}

# hand_over FIRST SECOND: FIRST dies in both roles, SECOND takes both over.
hand_over() {
  place=$(mktemp -d /dev/shm/slipring-abi-XXXXXX)
  ends_with 0 "$1" create "$place"
  # 137: killed.  The messages that it had published stay.
  ends_with 137 "$1" write "$place" 6 die
  ends_with 137 "$1" read "$place" 3 die
  ends_with 0 "$2" write "$place" 6 end
  ends_with 0 "$2" read "$place" 10 end
  rm -r "$place"
}

# refuse ROLE HOLDER ASKER: while HOLDER lives, ASKER gets a clear answer; then the role.
refuse() {
  place=$(mktemp -d /dev/shm/slipring-abi-XXXXXX)
  ends_with 0 "$2" create "$place"
  mkfifo "$place/said"
  "$2" "$1" "$place" 0 hold >"$place/said" &
  holder=$!
  read -r word <"$place/said"
  [ "$word" = held ] || fail "the holder said $word"
  ends_with 40 "$3" "$1" "$place" 0 end
  kill -9 "$holder"
  wait "$holder" || true
  ends_with 0 "$3" "$1" "$place" 0 end
  rm -r "$place"
}

hand_over "$1" "$2"
hand_over "$2" "$1"
for role in write read; do
  refuse "$role" "$1" "$2"
  refuse "$role" "$2" "$1"
done
