#!/bin/sh
# GRUB's x86_64-xen image, made from Debian's package by guests/grub-xen/make.sh, in a PV domain of 64 MiB: it must come up
# to its own output and halt cleanly, and ask of the hypervisor what Xen 4.17 saw the same GRUB ask of it, as far as that
# does not depend on time (RDTSC, yield, send) or on a disk, which this domain has not (alloc_unbound for its port, and
# dump_table, which GRUB calls for each disk that it sets up; that it gets -ENOSYS, guests/hostile/errno.elf checks).
# Needs grub-mkimage and the Debian package grub-xen-bin. The last line is "N passed, N failed".
set -u
cd "$(dirname "$0")/../.." || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

check() { # NAME STATUS
  if [ "$2" = 0 ]; then
    passed=$((passed + 1))
    echo "ok     $1"
  else
    failed=$((failed + 1))
    echo "FAILED $1"
  fi
}

equal() { # NAME GOT WANTED
  [ "$2" = "$3" ]
  check "$1: $2" $?
  [ "$2" = "$3" ] || echo "       wanted: $3"
}

folder=$(sh guests/grub-xen/make.sh "$work/images")
check "the images are made from Debian's package" $?
[ -d "$work/images" ] || { echo "$passed passed, $failed failed"; exit 1; }

for image in halt explore; do
  node src/cli/launcher.js run --on pv --memory 64 --trace hypercalls "$folder/$image.bin" >"$work/$image" 2>"$work/$image.err"
  equal "$image: status" $? 0
  tr -d '\r' <"$work/$image" | sed 's/\x1b\[[0-9;]*m//g' >"$work/$image.text"
  # Calls of the guest in the order of first use with their counts; a call's entries come after it, as Xen lists them.
  sed -n 's/^layer 0 d1v0 //p' "$work/$image.err" | awk '
    function use(name) { if (!(name in count)) order[n++] = name; count[name]++ }
    / entry: / && !/\(/ { entries[e++] = $0; next }
    { sub(/\(.*/, ""); use($0); for (i = 0; i < e; i++) use(entries[i]); e = 0 }
    END { for (i = 0; i < n; i++) print order[i] ": " count[order[i]] }
  ' >"$work/$image.calls"
  grep -q '^Welcome to GRUB!$' "$work/$image.text"
  check "$image: comes up" $?
  grep -q '^=== GRUB XEN START$' "$work/$image.text" && [ "$(tail -n 1 "$work/$image.text")" = '=== GRUB XEN HALT' ]
  check "$image: runs its script to the end" $?

  # Xen 4.17, first use 1 to 9, 12 or 13, and 17.
  sed 's/^\(event_channel_op.send\|sched_op.yield\): .*/\1: often/' "$work/$image.calls" >"$work/compared"
  cat >"$work/wanted" <<'CALLS'
grant_table_op.set_version: 1
grant_table_op.setup_table: 1
mmu_update: 1
mmu_update entry: MACHPHYS_UPDATE: 4
update_va_mapping flags=2: 44
mmuext_op: 1
mmuext_op entry: PIN_L4: 1
mmuext_op entry: NEW_BASEPTR: 1
mmuext_op entry: UNPIN_TABLE: 1
event_channel_op.send: often
sched_op.yield: often
sched_op.shutdown: 1
CALLS
  diff "$work/wanted" "$work/compared"
  check "$image: order of first use and counts are those of Xen 4.17" $?
  sed 's/^/         /' "$work/$image.calls"
  # Every call but dump_table succeeded there.
  refused=$(sed -n 's/^layer 0 d1v0 \([a-z].*\) = -[0-9]*$/\1/p' "$work/$image.err" | grep -vc 'sched_op.shutdown')
  equal "$image: calls that were refused" "$refused" 0

  # 44 is explained by the image: each new table is mapped once through one page, to be filled; that page goes; the tables
  # of the builder (1 L4, 1 L3, 1 L2 and an L1 for each 2 MiB of the initial mapping) become ordinary memory.
  maps=$(sed -n 's/^layer 0 d1v0 update_va_mapping flags=2(\(0x[0-9a-f]*\), \(0x[0-9a-f]*\),.*/\1 \2/p' "$work/$image.err")
  window=$(printf '%s\n' "$maps" | head -n 1 | cut -d' ' -f1)
  filled=$(printf '%s\n' "$maps" | grep -c "^$window 0x[0-9a-f]*[1-9a-f][0-9a-f]*\$")
  cleared=$(printf '%s\n' "$maps" | grep -c "^$window 0x0\$")
  freed=$(printf '%s\n' "$maps" | grep -vc "^$window ")
  # Level 1 tables for 64 MiB and, behind it, for the 4 pages xenstore, shared_info, console and grants; 3 above them.
  pages=$((64 * 256 + 4))
  equal "$image: tables filled through one page" "$filled" $(((pages + 511) / 512 + 3))
  equal "$image: that page given up" "$cleared" 1
  # An x86_64-xen image of GRUB ends below 8 MiB with everything that the builder adds.
  equal "$image: tables of the builder made writable" "$freed" $((8 / 2 + 3))
  grep -q '^layer 0 d1v0 sched_op.shutdown(0x2,' "$work/$image.err" && grep -q '^paravane: pv: power-off' "$work/$image.err"
  check "$image: shuts down with reason 0" $?
done

for stack in pv/hvm pv/kvm; do
  node src/cli/launcher.js run --on $stack --memory 64 "$folder/halt.bin" 2>/dev/null | tr -d '\r' | grep -q '^=== GRUB XEN HALT$'
  check "halt: comes up and halts in a second layer ($stack)" $?
done

grep -q '^hello from the memory disk$' "$work/explore.text"
check "explore: reads a file of its memory disk" $?
equal "explore: its directory in xenstore" \
  "$(sed -n '/^vm$/,/^console$/p' "$work/explore.text" | tr '\n' ' ')" \
  'vm name cpu memory device control data drivers feature attr error domid store console '
equal "explore: memory map" "$(grep -c '^base_addr = 0x0, length = 0x3fda000, available RAM$\|^base_addr = 0x3fda000, length = 0x26000, reserved RAM$' "$work/explore.text")" 2
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
