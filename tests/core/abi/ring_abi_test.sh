#!/bin/sh
# A 32-bit and a 64-bit process share rings, each in either role.
# usage: ring_abi_test.sh X86_64_PROGRAM I386_PROGRAM
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

size=$("$1" size)
if [ "$("$2" size)" != "$size" ]; then
  echo "the two processors disagree about the layout: $size bytes here, $("$2" size) bytes on i386"
  exit 1
fi

share() {
  file="$TEST_TMPDIR/rings.$3"
  head -c "$size" /dev/zero >"$file"
  "$1" produce "$file" 50000 &
  producer=$!
  "$2" consume "$file" 50000
  wait "$producer"
}

share "$1" "$2" 64-to-32
share "$2" "$1" 32-to-64
