#!/bin/sh
# The benchmark guest on Debian's real Xen 4.17 under QEMU, as dom0 and as DomU, and in a PV domain here, with one command
# line. What it counted itself must be the same in all three: hypercalls by name, entries of mmuext_op, flushes of
# update_va_mapping, stores into page tables, faults by kind, returns. The timer's own calls are on other lines.
# Needs qemu-system-x86_64 and the Debian package xen-hypervisor-4.17-amd64 (guests/real-xen/run.sh fetches it).
# Prints the counts of each row; the last line is "N passed, N failed".
set -u
cd "$(dirname "$0")/../.." || exit 1
kernel=guests/nanokernel/nanokernel.elf
arguments="reps=2"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

check() { # NAME STATUS
  if [ "$2" = 0 ]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED $1"
  fi
}

# COUNT lines of a console as lines "ROW GROUP: KEY=VALUE..."
counts() {
  tr -d '\r' <"$1" | awk '$1 == "COUNT" {
    line = $2 " iterations:"
    for (i = 3; i <= NF; i++) {
      if ($i ~ /:$/) { print line; line = $2 " " $i } else line = line " " $i
    }
    print line
  }'
}

guests/real-xen/run.sh -t 120 "$kernel" "$arguments" >"$work/dom0" 2>"$work/dom0.err"
check "the guest finishes on real Xen, as dom0" $?
guests/real-xen/run.sh -u -t 120 "$kernel" "$arguments" >"$work/domU" 2>"$work/domU.err"
check "the guest finishes on real Xen, as DomU" $?
node src/cli/launcher.js run "$kernel" --on pv --append "$arguments" >"$work/here" 2>"$work/here.err"
check "the guest finishes here" $?
[ "$failed" = 0 ] || cat "$work"/*.err

for place in dom0 domU here; do
  counts "$work/$place" >"$work/$place.groups"
  # Counts must not depend on the repetition, or they are not the guest's own.
  [ "$(grep -c '^TICKS .* reps_differing=0' "$work/$place")" = 5 ]
  check "all repetitions of five rows count alike ($place)" $?
done

for row in double-div null-call fork-proc page-fault ctx-2p0k; do
  echo "--- $row"
  groups="iterations hypercalls mmuext uvm pv faults other"
  [ $row = fork-proc ] && groups="$groups fork"
  for group in $groups; do
    here=$(grep "^$row $group:" "$work/here.groups")
    for place in dom0 domU; do
      real=$(grep "^$row $group:" "$work/$place.groups")
      [ -n "$here" ] && [ "$here" = "$real" ]
      status=$?
      check "$row, $group, as $place" $status
      [ "$status" = 0 ] && [ "$place" = domU ] || echo "  Xen 4.17 $place  ${real#* }"
    done
    echo "  here           ${here#* }"
  done
done
grep -h '^PERITER fork-proc' "$work/dom0" | tr -d '\r' | cut -c1-400
grep -h '^PERITER fork-proc' "$work/here" | tr -d '\r' | cut -c1-400
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
