#!/usr/bin/env bash
# Debian's own kernel on the bare machine, beside QEMU's run of the same files: as Debian ships it (bzImage, its own
# decompressor) on one processor, and without decompression on two, twice, since two runs must agree in every byte.
# The guest's script (guests/linux/initrd/init) must say the same as under QEMU, and the kernel complain of nothing that
# it does not complain of there. Needs what guests/linux/make.sh needs, and qemu-system-x86_64.
# usage: linux.sh      The last line is "N passed, M failed".
set -u
cd "$(dirname "$0")/../.." || exit 1
out=$(mktemp -d "${TMPDIR:-/tmp}/paravane-linux.XXXXXX")
trap 'rm -rf "$out"' EXIT

files=$(sh guests/linux/make.sh) || { echo '0 passed, 1 failed'; exit 1; }
for tool in qemu-system-x86_64 timeout; do
  command -v "$tool" > /dev/null || { echo "linux.sh: $tool is missing" >&2; echo '0 passed, 1 failed'; exit 1; }
done

passed=0
failed=0
check() { # title, status
  if [ "$2" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $1"; fi
}

paravane() { # name, options...
  local name=$1
  shift
  timeout 900 node src/cli/launcher.js run --ramdisk "$files/initrd" --memory 256 --disk "$files/disk.img" --net \
    --append console=ttyS0 --json "$out/$name.json" "$@" > "$out/$name.log" 2> "$out/$name.err"
  echo $? > "$out/$name.status"
}
qemu() {
  cp "$files/disk.img" "$out/disk.img"
  timeout 300 qemu-system-x86_64 -M pc -cpu Westmere -m 256 -kernel "$files/vmlinuz" -initrd "$files/initrd" -append console=ttyS0 \
    -drive "file=$out/disk.img,format=raw,if=virtio" -device virtio-rng-pci -nic user,model=virtio-net-pci \
    -nographic -no-reboot -monitor none > "$out/qemu.log" 2> "$out/qemu.err"
}

paravane one --kernel "$files/vmlinuz" &
(
  qemu
  paravane two --kernel "$files/vmlinux" --vcpus 2
  paravane again --kernel "$files/vmlinux" --vcpus 2
) &
wait

# What the script says: a word in capitals at the start of a line. What differs by its nature is left out: how many
# processors, which clock, random numbers, and TCP echo, which QEMU's network does not offer.
said() { tr -d '\r' < "$1" | grep -aE '^[A-Z]+ |^DONE$' | grep -avE '^(CPUS|CLOCK|ENTROPY|ECHO) '; }
complaints() { grep -aE 'WARNING:|BUG:|Oops|Call Trace|unstable|insmod|failed$' "$1" | sed 's/^\[[^]]*\] *//' | sort -u; }

said "$out/qemu.log" > "$out/qemu.said"
grep -qx DONE "$out/qemu.said"
check 'QEMU runs the script to its end' $?
complaints "$out/qemu.log" > "$out/qemu.complaints"
for name in one two; do
  said "$out/$name.log" > "$out/$name.said"
  [ "$(cat "$out/$name.status")" = 0 ]
  check "$name: powers off with status 0" $?
  diff "$out/qemu.said" "$out/$name.said"
  check "$name: the script says what it says under QEMU" $?
  complaints "$out/$name.log" | diff - "$out/qemu.complaints" | grep '^<'
  check "$name: no complaint that QEMU's run has not" $((${PIPESTATUS[2]} == 0 ? 1 : 0))
  tr -d '\r' < "$out/$name.log" | grep -qaE '^CLOCK tsc$'
  check "$name: the time stamp counter is the clock" $?
  tr -d '\r' < "$out/$name.log" | grep -qaE '^ECHO ([0-9a-f]{16}) of \1$'
  check "$name: TCP echo gives back what it got" $?
done
[ "$(tr -d '\r' < "$out/two.log" | grep -a '^CPUS')" = 'CPUS 2' ]
check 'two: there are two processors' $?
cmp "$out/two.log" "$out/again.log"
check 'two runs print the same bytes' $?
hash() { sed -n 's/.*"stateHash": "\(.*\)".*/\1/p' "$1"; }
[ -n "$(hash "$out/two.json")" ] && [ "$(hash "$out/two.json")" = "$(hash "$out/again.json")" ]
check 'two runs end in the same state' $?

for name in one two; do
  echo "$name: $(sed -n 's/.*"\(instructions\|hostSeconds\)": \([0-9.]*\).*/\1 \2/p' "$out/$name.json" | tr '\n' ' ')"
done
[ $failed = 0 ] || tail -n 20 "$out/one.log" "$out/two.log" "$out"/*.err
echo "$passed passed, $failed failed"
[ $failed = 0 ]
