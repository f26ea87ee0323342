#!/bin/sh
# Lets real Xen judge the hostile guests, as dom0 and as DomU: every program, and every case of fatal.elf. Prints one line per run; status 1 if any failed.
set -u
here=$(cd "$(dirname "$0")" && pwd)
bad=0
one() {
  if out=$("$here/run.sh" $how -t 120 "$@" 2>/dev/null); then echo "ok   $who $(basename "$1") ${2-}"; else echo "FAIL $who $(basename "$1") ${2-}"; bad=1; fi
  printf '%s\n' "$out" | grep '^FAIL\|^UNEXPECTED\|^NOTE\|^TOTAL' | sed 's/^/     /'
}
for who in dom0 domU; do
  if [ $who = dom0 ]; then how=; else how=-u; fi
  for p in errno typing frames; do one "$here/../hostile/$p.elf" ""; done
  for c in $(sed -n 's/.*static void \([a-z_]*\)(void).*/\1/p' "$here/../hostile/fatal.c"); do one "$here/../hostile/fatal.elf" "case=$c"; done
done
exit $bad
