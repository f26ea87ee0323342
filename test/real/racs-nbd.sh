#!/bin/bash
# Real NBD clients against disks of an array of four directories, any two of which may fail: nbdinfo, nbdcopy, qemu-img,
# qemu-io, fio with verification, and ext4 through nbdfuse and a loop device where the kernel has FUSE and loop devices.
# Then SIGKILL in the middle of writes, TRIALS times (8): every flushed write must be there afterwards, with a journal
# and without one. Then the shares of one provider vanish and those of another are damaged.
# Needs the Debian packages libnbd-bin, qemu-utils, fio. The last line is "N passed, N failed".
set -u
cd "$(dirname "$0")/../.." || exit 1
# The Node that runs TypeScript, without a launcher before it: the servers are killed by their process number.
PATH=$PWD/node_modules/.bin:$PATH
for tool in nbdinfo nbdcopy qemu-img qemu-io fio; do
  command -v $tool >/dev/null || { echo "$tool is missing: apt-get install libnbd-bin qemu-utils fio"; exit 2; }
done
work=$(mktemp -d)
server=
port=${PORT:-10871}
trials=${TRIALS:-8}
passed=0
failed=0
cleanup() {
  [ -z "$server" ] || kill -9 "$server" 2>/dev/null
  rm -rf "$work"
}
trap cleanup EXIT

check() { # NAME COMMAND...
  local name=$1
  shift
  if "$@" >"$work/out" 2>&1; then
    passed=$((passed + 1))
    echo "ok     $name"
  else
    failed=$((failed + 1))
    echo "FAILED $name"
    tail -n 5 "$work/out" | sed 's/^/       /'
  fi
}

racs() { node src/cli/main.ts racs "$@" --config "$work/racs.json"; }

start() { # ARGUMENTS...
  rm -f "$work/server.log"
  node src/cli/main.ts racs nbd "$@" --config "$work/racs.json" --port "$port" 2>"$work/server.log" &
  server=$!
  for _ in $(seq 100); do
    grep -qs serving "$work/server.log" && return 0
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  cat "$work/server.log"
  return 1
}

stop() { # SIGNAL
  kill "-$1" "$server"
  wait "$server" 2>/dev/null
  server=
}

providers=
for id in a b c d; do providers="$providers{\"id\":\"$id\",\"type\":\"directory\",\"path\":\"$work/$id\"},"; done
echo "{\"array\":\"nbd-test\",\"k\":2,\"n\":4,\"writeQuorum\":4,\"providers\":[${providers%,}],\"register\":{\"type\":\"directory\",\"path\":\"$work/register\"}}" >"$work/racs.json"
uri=nbd://127.0.0.1:$port/disk
check "init" racs init
check "create a disk" racs disk create disk --size 128M
head -c 30000000 /dev/urandom >"$work/image"
truncate -s 128M "$work/image"

check "serve it with a journal" start disk --journal "$work/journal"
check "nbdinfo sees its size" sh -c "nbdinfo --size $uri | grep -qx 134217728"
check "nbdinfo --list" nbdinfo --list "nbd://127.0.0.1:$port"
check "nbdcopy in" nbdcopy --flush "$work/image" "$uri"
check "nbdcopy out is the same" sh -c "nbdcopy $uri - | cmp - $work/image"
check "qemu-img info" qemu-img info -f raw "$uri"
check "qemu-img compare" qemu-img compare -f raw -F raw "$work/image" "$uri"
check "qemu-io patterns, zeros and discards" qemu-io -f raw \
  -c "write -P 0x5a 1M 3M" -c "read -P 0x5a 1M 3M" -c "write -z 2M 64k" -c "read -P 0 2M 64k" -c "discard 3M 64k" -c "read -P 0 3M 64k" \
  -c "write -P 7 511 3000" -c "read -P 7 511 3000" -c "read -P 0x5a 1M 1M" -c flush "$uri"
# From here on the image is no longer what the disk holds.
check "fio random writes with verification" sh -c "cd $work && fio --name=v --ioengine=nbd --uri=$uri --rw=randwrite --bs=4k --iodepth=16 --size=32M --verify=crc32c --fsync=256 --output=fio.out && grep -q 'err= 0' fio.out"
check "fio at depth 16, 4 KiB random writes: $(cd "$work" && fio --name=r --ioengine=nbd --uri="$uri" --rw=randwrite --bs=4k --iodepth=16 --size=128M --runtime=5 --time_based 2>/dev/null | grep -o 'IOPS=[^,]*')" true

if [ -e /dev/fuse ] && command -v nbdfuse >/dev/null && losetup -f >/dev/null 2>&1; then
  mkdir "$work/fuse" "$work/mount"
  nbdfuse "$work/fuse/disk" "$uri" 2>"$work/fuse.log" &
  fuse=$!
  sleep 2
  loop=$(losetup -f --show "$work/fuse/disk" 2>"$work/losetup.log")
  if [ -n "$loop" ]; then
    check "mkfs.ext4" mkfs.ext4 -q -F "$loop"
    check "mount" mount "$loop" "$work/mount"
    check "copy files" sh -c "cp -r src $work/mount && sync && diff -r src $work/mount/src"
    check "fstrim" fstrim "$work/mount"
    check "umount" umount "$work/mount"
    check "fsck" e2fsck -fn "$loop"
    check "mount again" mount "$loop" "$work/mount"
    check "the files are the same" diff -r src "$work/mount/src"
    check "umount again" umount "$work/mount"
    losetup -d "$loop"
  else
    echo "skip   ext4: $(cat "$work/losetup.log")"
  fi
  fusermount3 -u "$work/fuse" 2>/dev/null || umount "$work/fuse" 2>/dev/null || kill "$fuse"
  wait "$fuse" 2>/dev/null
else
  echo "skip   ext4 through nbdfuse: no FUSE or no loop devices here"
fi
check "stop with everything stored" stop TERM
check "no journal file is left" sh -c "! find $work/journal -name '*.journal' | grep ."

for trial in $(seq "$trials"); do
  at=$((trial * 5))
  check "kill -9, trial $trial of $trials: start" start disk --journal "$work/journal"
  check "kill -9, trial $trial of $trials: write and flush" qemu-io -f raw -c "write -P $trial ${at}M 3M" -c flush "$uri"
  (cd "$work" && fio --name=k --ioengine=nbd --uri="$uri" --rw=randwrite --bs=4k --iodepth=8 --offset=64M --size=32M --runtime=20 --time_based >/dev/null 2>&1) &
  load=$!
  sleep "0.$((RANDOM % 9 + 1))"
  stop KILL
  kill $load 2>/dev/null
  wait $load 2>/dev/null
  check "kill -9, trial $trial of $trials: start again" start disk --journal "$work/journal"
  reads=()
  for t in $(seq "$trial"); do reads+=(-c "read -P $t $((t * 5))M 3M"); done
  check "kill -9, trial $trial of $trials: what was flushed is there" qemu-io -f raw "${reads[@]}" "$uri"
  [ "$failed" = 0 ] || cat "$work/server.log"
  stop TERM
done

check "serve it without a journal" start disk --remote
check "write and flush" qemu-io -f raw -c "write -P 0x77 100M 2M" -c flush "$uri"
stop KILL
check "another owner is refused while nobody closed it" sh -c "! timeout 20 node src/cli/main.ts racs nbd disk --config $work/racs.json --port $port --remote"
check "and takes it over when told to" start disk --remote --take-over
check "what was flushed is there" qemu-io -f raw -c "read -P 0x77 100M 2M" "$uri"
nbdcopy "$uri" "$work/before"
stop TERM

# A process that is stopped while another takes its place, and goes on later: nothing that it answers may be lost.
for mode in "--journal $work/journal" "--remote --take-over"; do
  # shellcheck disable=SC2086
  check "stopped owner ($mode): start" start disk $mode
  check "stopped owner: write and flush" qemu-io -f raw -c "write -P 0x21 110M 1M" -c flush "$uri"
  kill -STOP "$server"
  former=$server
  port=$((port + 1))
  # shellcheck disable=SC2086
  check "stopped owner: another takes its place" start disk $mode
  check "stopped owner: the other has what was flushed" qemu-io -f raw -c "read -P 0x21 110M 1M" "nbd://127.0.0.1:$port/disk"
  check "stopped owner: the other writes" qemu-io -f raw -c "write -P 0x22 110M 1M" -c flush "nbd://127.0.0.1:$port/disk"
  kill -CONT "$former"
  check "stopped owner: it gets no flush answered" sh -c "! qemu-io -f raw -c 'write -P 0x23 110M 1M' -c flush $uri"
  kill -9 "$former"
  wait "$former" 2>/dev/null
  stop TERM
  # shellcheck disable=SC2086
  check "stopped owner: start again" start disk $mode
  check "stopped owner: only the other's writes are there" qemu-io -f raw -c "read -P 0x22 110M 1M" "nbd://127.0.0.1:$port/disk"
  stop TERM
  port=$((port - 1))
done
start disk --remote --take-over
nbdcopy "$uri" "$work/before"
stop TERM

check "snapshot" racs disk snapshot disk point
check "clone" racs disk clone disk point clone
check "serve disk, clone and snapshot together" start disk clone disk@point --journal "$work/journal"
check "change the disk" qemu-io -f raw -c "write -P 0x11 0 8M" -c flush "$uri"
check "the snapshot is as it was" sh -c "nbdcopy 'nbd://127.0.0.1:$port/disk@point' - | cmp - $work/before"
check "the clone is as it was" sh -c "nbdcopy nbd://127.0.0.1:$port/clone - | cmp - $work/before"
check "the snapshot takes no writes" sh -c "! qemu-io -f raw -c 'write 0 512' 'nbd://127.0.0.1:$port/disk@point'"
stop TERM
check "collect" racs disk collect disk --journal "$work/journal/disk"

check "there are shares to spoil" sh -c "find $work/a -name '=d%2F*' | grep -q . && find $work/d -name '=d%2F*' -size +4k | grep -q ."
find "$work/a" -type f -name '=d%2F*' -delete
find "$work/d" -type f -name '=d%2F*' -size +4k -exec sh -c 'for f; do printf damaged | dd of="$f" bs=1 seek=2000 conv=notrunc 2>/dev/null; done' sh {} +
check "serve the snapshot without the shares of one provider and with damaged ones of another" start disk@point
check "it reads as it was" sh -c "nbdcopy 'nbd://127.0.0.1:$port/disk@point' - | cmp - $work/before"
stop TERM
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
