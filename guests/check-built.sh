#!/bin/sh
# Rebuilds every committed guest binary from its sources in a scratch folder and compares byte for byte.
# Needs Debian 12's gcc 12.2 and binutils 2.40. Status 0: all equal.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0
for d in nanokernel hostile builder bench; do cp -r "$here/$d" "$work/$d"; rm -rf "$work/$d"/obj "$work/$d"/o32 "$work/$d"/o64 "$work/$d"/*.elf; done
for d in nanokernel hostile builder bench; do
  make -s -C "$work/$d" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
  for f in "$here/$d"/*.elf; do
    if cmp -s "$f" "$work/$d/$(basename "$f")"; then echo "same $d/$(basename "$f")"; else echo "DIFFERS $d/$(basename "$f")"; bad=1; fi
  done
done
exit $bad
