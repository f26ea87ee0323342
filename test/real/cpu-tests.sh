#!/bin/sh
# The processor tests of guests/cpu-tests here, on both engines, and under QEMU. Here everything must pass; QEMU must differ
# in exactly the tests that qemu-differences.txt lists (guests/cpu-tests/README.md explains each).
# Needs qemu-system-x86_64 (the list is for Debian's 7.2). The last line is "N passed, N failed".
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

for program in legacy long; do
  image=guests/cpu-tests/$program.elf
  for engine in interpreter reference; do
    node src/cli/launcher.js run "$image" --engine "$engine" --max-instructions 30000000 >"$work/$engine" 2>"$work/err"
    grep -v '^PASS \|^TOTAL \|^VERDICT SUCCESS\|^$' "$work/$engine"
    grep -q '^VERDICT SUCCESS' "$work/$engine"
    status=$?
    check "$program on the $engine: $(grep '^TOTAL' "$work/$engine")" $status
  done
  timeout 60 qemu-system-x86_64 -accel tcg -cpu max -m 32 -serial stdio -display none -monitor none -no-reboot \
    -kernel "$image" >"$work/qemu" 2>"$work/qemu.err" </dev/null
  tr -d '\r' <"$work/qemu" | sed -n 's/^\(FAIL\|SKIP\) \([^ ]*\).*/\2/p' | sort >"$work/differs"
  sed -n "s/^$program \([^ ]*\) .*/\1/p" guests/cpu-tests/qemu-differences.txt | sort >"$work/known"
  grep -q '^VERDICT' "$work/qemu"
  status=$?
  check "$program ends under QEMU: $(grep '^TOTAL' "$work/qemu")" $status
  diff "$work/known" "$work/differs"
  status=$?
  check "$program under QEMU differs in the $(grep -c . "$work/known") tests that are explained" $status
  # Every explanation is in the table of the README.
  sed -n "s/^$program [^ ]* //p" guests/cpu-tests/qemu-differences.txt | sort -u | while read -r key; do
    grep -q "^| \`$key\` |" guests/cpu-tests/README.md || echo "no explanation: $key"
  done >"$work/unexplained"
  cat "$work/unexplained"
  [ ! -s "$work/unexplained" ]
  check "$program: every difference has its explanation" $?
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
