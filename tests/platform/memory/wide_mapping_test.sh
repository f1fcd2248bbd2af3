#!/bin/sh
# Mappings have 64-bit offsets and sizes, in 32-bit processes, too.
# usage: wide_mapping_test.sh X86_64_PROGRAM I386_PROGRAM
set -eu

"$1"
if [ ! -s "$2" ]; then
  echo "partly skipped: i686-linux-gnu-g++ is not installed (g++-i686-linux-gnu)"
  exit 0
fi
status=0
"$2" || status=$?
# 126: the kernel does not run i386 programs.
if [ "$status" -eq 126 ]; then
  echo "partly skipped: this kernel does not run i386 programs"
  exit 0
fi
exit "$status"
