#!/bin/bash
# A file system on an NBD server: made, filled with a tree of files, checked, read again and compared.
#   file_system.sh URI SOURCE_TREE WORK_FOLDER fuse|kernel
# fuse:    nbdfuse shows the server as a file; mke2fs, debugfs and e2fsck work on it.  Wants /dev/fuse.
# kernel:  a loop device on that file, mounted by the kernel's ext4.  Wants root and loop devices.
# Wants libnbd-bin, fuse3 and e2fsprogs.  Ends with 0, and "equal: N files", when all was well; with
# 77 when this machine lacks what the way wants.
set -euo pipefail

uri=$1 source=$2 work=$3 way=$4
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
for tool in nbdfuse fusermount3 mke2fs debugfs e2fsck; do
  command -v "$tool" > /dev/null || { echo "file_system: no $tool; tools/setup test installs it" >&2; exit 77; }
done
[ -w /dev/fuse ] || { echo "file_system: /dev/fuse cannot be opened" >&2; exit 77; }
if [ "$way" = kernel ] && ! { [ "$(id -u)" -eq 0 ] && losetup -f > /dev/null 2>&1; }; then
  echo "file_system: mounting wants root and a free loop device" >&2
  exit 77
fi

disk=$work/fuse/nbd loop='' server=''
mkdir -p "$work/fuse" "$work/mounted" "$work/back"
finish() {
  if mountpoint -q "$work/mounted"; then umount "$work/mounted"; fi
  if [ -n "$loop" ]; then losetup -d "$loop"; fi
  loop=''
  if mountpoint -q "$work/fuse"; then fusermount3 -u "$work/fuse"; fi
  if [ -n "$server" ]; then wait "$server" || true; fi
  server=''
}
trap finish EXIT

show() {
  nbdfuse "$disk" "$uri" &
  server=$!
  for _ in $(seq 600); do
    [ -f "$disk" ] && return
    kill -0 "$server" 2> /dev/null || break
    sleep 0.1
  done
  echo "file_system: nbdfuse does not show the server" >&2
  exit 1
}

sums() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum); }

show
mke2fs -q -t ext4 -F "$disk"
if [ "$way" = kernel ]; then
  loop=$(losetup -f --show "$disk")
  mount "$loop" "$work/mounted"
  cp -a "$source/." "$work/mounted/"
  # A second copy and a removal, so that blocks are given back and taken again.
  mkdir "$work/mounted/again"
  cp -a "$source/." "$work/mounted/again/"
  rm -rf "$work/mounted/again"
  sync -f "$work/mounted"
else
  # debugfs makes folders before what is in them.
  (cd "$source" && find . -mindepth 1 -type d -printf 'mkdir %P\n' | LC_ALL=C sort
    find . -type f -printf 'write %P %P\n') > "$work/commands"
  (cd "$source" && debugfs -w -f "$work/commands" "$disk") > "$work/debugfs.log" 2>&1
fi
finish

# What was not on the server is forgotten here: everything is asked for again.
show
e2fsck -fn "$disk" > "$work/e2fsck.log" 2>&1 || { cat "$work/e2fsck.log" >&2; exit 1; }
if [ "$way" = kernel ]; then
  loop=$(losetup -f --show --read-only "$disk")
  mount -o ro,noload "$loop" "$work/mounted"
  (cd "$work/mounted" && tar -c --exclude ./lost+found .) | tar -x -C "$work/back"
else
  debugfs -R "rdump / $work/back" "$disk" > "$work/rdump.log" 2>&1
  rm -rf "$work/back/lost+found"
fi
finish

sums "$source" > "$work/wanted"
sums "$work/back" > "$work/found"
cmp "$work/wanted" "$work/found" || { diff "$work/wanted" "$work/found" | head -n 20 >&2; exit 1; }
echo "equal: $(wc -l < "$work/wanted") files"
