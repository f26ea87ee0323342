#!/bin/sh
# The hostile guests on Debian's real Xen 4.17 under QEMU, as dom0 and as DomU, and in a PV domain here. Each must pass
# everywhere, and the DomU's verdicts must be the same there and here, one for one. The cases of fatal.elf must end their
# domain, here with status 1 and a report.
# Needs qemu-system-x86_64 and the Debian package xen-hypervisor-4.17-amd64 (guests/real-xen/run.sh fetches it).
# The last line is "N passed, N failed".
set -u
cd "$(dirname "$0")/../.." || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0
cases=$(sed -n 's/.*static void \([a-z_]*\)(void).*/\1/p' guests/hostile/fatal.c)

check() { # NAME STATUS
  if [ "$2" = 0 ]; then
    passed=$((passed + 1))
    echo "ok     $1"
  else
    failed=$((failed + 1))
    echo "FAILED $1"
  fi
}

real() { # dom0|domU: consoles and statuses into $work
  as=
  [ "$1" = dom0 ] || as=-u
  for program in errno typing frames; do
    guests/real-xen/run.sh $as -t 120 "guests/hostile/$program.elf" "" >"$work/$1.$program" 2>/dev/null
    echo $? >"$work/$1.$program.status"
  done
  for case in $cases; do
    guests/real-xen/run.sh $as -t 120 guests/hostile/fatal.elf "case=$case" >"$work/$1.$case" 2>/dev/null
    echo $? >"$work/$1.$case.status"
  done
}

here() { # PROGRAM NAME ARGUMENTS
  node src/cli/launcher.js run "guests/hostile/$1.elf" --on pv --append "$3" >"$work/here.$2" 2>"$work/here.$2.err"
  echo $? >"$work/here.$2.status"
}

verdicts() {
  tr -d '\r' <"$1" | grep '^PASS \|^FAIL \|^TOTAL \|^VERDICT '
}

# The hypervisor is unpacked once, before two runs at a time want it.
guests/real-xen/run.sh -t 120 guests/hostile/fatal.elf "case=shutdown_crash" >/dev/null 2>"$work/first.err" || cat "$work/first.err"
real dom0 &
dom0=$!
real domU
for program in errno typing frames; do here $program $program ""; done
for case in $cases; do here fatal "$case" "case=$case"; done
wait $dom0

for program in errno typing frames; do
  for place in dom0 domU here; do
    check "$program on $place: $(verdicts "$work/$place.$program" | grep '^TOTAL')" "$(cat "$work/$place.$program.status")"
    verdicts "$work/$place.$program" | grep '^FAIL'
  done
  verdicts "$work/domU.$program" >"$work/there"
  verdicts "$work/here.$program" | diff "$work/there" - && [ -s "$work/there" ] && grep -q '^VERDICT SUCCESS' "$work/there"
  status=$?
  check "$program: the verdicts of real Xen's DomU, $(grep -c '^PASS' "$work/there") times PASS" $status
done
for case in $cases; do
  for place in dom0 domU; do check "$case ends the domain on $place" "$(cat "$work/$place.$case.status")"; done
  [ "$(cat "$work/here.$case.status")" = 1 ] && grep -q "^EXPECT CRASH $case" "$work/here.$case" &&
    grep -q '^paravane: pv: crashed' "$work/here.$case.err" && grep -q '^last hypercalls:' "$work/here.$case.err"
  status=$?
  check "$case ends the domain here: $(sed -n '/^paravane: pv: crashed/{n;p;}' "$work/here.$case.err")" $status
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
