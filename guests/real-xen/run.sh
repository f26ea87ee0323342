#!/bin/sh
# Runs a guest of this folder as dom0 on Debian's real Xen 4.17 under QEMU TCG and prints what the guest printed.
#   guests/real-xen/run.sh [-a] [-u] [-t SECONDS] [-m DOM0_MIB] [-o LOGFILE] [KERNEL [ARGUMENT...]]
#   -u  run KERNEL not as dom0 but as DomU, built by guests/builder/builder.elf
#   -a  print the hypervisor's lines too; -o keep the whole console; -t limit (default 300); -m dom0 memory (default 32)
#   KERNEL defaults to guests/nanokernel/nanokernel.elf, ARGUMENTs to "reps=2".
# Status 0: the guest printed DONE or VERDICT SUCCESS, or EXPECT CRASH and the hypervisor crashed it; 1: it did not, or it printed PANIC or
# VERDICT FAILURE; 2: set-up failed.
# Needs: qemu-system-x86_64, apt-get, dpkg-deb, zcat. The hypervisor comes from the Debian package xen-hypervisor-4.17-amd64,
# fetched by name and unpacked under ${PARAVANE_CACHE:-${TMPDIR:-/tmp}/paravane-real-xen}; it is never committed. A folder
# PARAVANE_DEBIAN_ROOT with the package unpacked saves the download.
# SMAP is off because QEMU's IRET at CPL 3 reads its frame with kernel rights (guests/README.md).
set -eu
all=0; domu=0; limit=300; mem=32; log=
while getopts aut:m:o: f; do
  case $f in a) all=1 ;; u) domu=1 ;; t) limit=$OPTARG ;; m) mem=$OPTARG ;; o) log=$OPTARG ;; *) exit 2 ;; esac
done
shift $((OPTIND - 1))
here=$(cd "$(dirname "$0")" && pwd)
kernel=${1:-$here/../nanokernel/nanokernel.elf}
[ $# -gt 0 ] && shift
args=${*:-reps=2}
[ -r "$kernel" ] || { echo "run.sh: cannot read $kernel" >&2; exit 2; }
cache=${PARAVANE_CACHE:-${TMPDIR:-/tmp}/paravane-real-xen}
xen=$cache/xen-4.17
unpacked=${PARAVANE_DEBIAN_ROOT:-/nonexistent}/boot/xen-4.17-amd64.gz
if [ ! -s "$xen" ] && [ -r "$unpacked" ]; then
  mkdir -p "$cache"
  zcat "$unpacked" > "$xen.new.$$" && mv "$xen.new.$$" "$xen"
elif [ ! -s "$xen" ]; then
  mkdir -p "$cache"
  ( cd "$cache" && rm -rf unpacked ./*.deb && apt-get download -q xen-hypervisor-4.17-amd64 >/dev/null 2>&1 && dpkg-deb -x ./*.deb unpacked &&
    zcat unpacked/boot/xen-4.17-amd64.gz > xen.new && mv xen.new "$xen" && rm -rf unpacked ) || { echo "run.sh: cannot fetch xen-hypervisor-4.17-amd64" >&2; exit 2; }
fi

work=$(mktemp -d)
trap 'kill "$qemu" 2>/dev/null || true; rm -rf "$work"' EXIT INT TERM
qemu=
# a comma in -initrd separates modules, so commas of the arguments are doubled
if [ $domu = 1 ]; then
  module=$(printf '%s -- %s' "$here/../builder/builder.elf" "$args" | sed 's/,/,,/g'),$(printf '%s' "$kernel" | sed 's/,/,,/g')
else
  module=$(printf '%s %s' "$kernel" "$args" | sed 's/,/,,/g')
fi
qemu-system-x86_64 -accel tcg -cpu max,smap=off -m 512 -kernel "$xen" -initrd "$module" \
  -append "com1=115200,8n1 console=com1 dom0_mem=${mem}M,max:${mem}M dom0_max_vcpus=1 loglvl=all guest_loglvl=all noreboot" \
  -serial "file:$work/console" -display none -monitor none -no-reboot >"$work/qemu" 2>&1 &
qemu=$!
start=$(date +%s)
while kill -0 "$qemu" 2>/dev/null; do
  # the guest's last line, or the hypervisor's word that dom0 is gone
  if grep -q 'Hardware Dom0 \(halted\|crashed\|shutdown\)\|Panic on CPU\|Domain 0 .*crashed' "$work/console" 2>/dev/null; then sleep 1; break; fi
  if [ $(($(date +%s) - start)) -ge "$limit" ]; then echo "run.sh: no end after $limit s" >&2; break; fi
  sleep 1
done
kill "$qemu" 2>/dev/null || true
wait "$qemu" 2>/dev/null || true
tr -d '\r' < "$work/console" > "$work/lines" 2>/dev/null || true
cat "$work/qemu" >&2
[ -z "$log" ] || cp "$work/lines" "$log"
if [ $all = 1 ]; then cat "$work/lines"; else grep -v '^(XEN)\|^ Xen \|^$' "$work/lines" || true; fi
if grep -q '^PANIC\|^VERDICT FAILURE' "$work/lines"; then exit 1; fi
if grep -q '^EXPECT CRASH' "$work/lines"; then
  grep -q 'Domain [0-9]* .*crashed on\|Hardware Dom0 crashed\|^BUILDER .* reason 3' "$work/lines"
else
  grep -q '^DONE$\|^VERDICT SUCCESS' "$work/lines"
fi
