#!/bin/bash
# The adapters of src/racs/store against real servers on the loopback interface: the contracts of object stores and of
# commit registers, and an array over what runs. Servers are chosen by name, all by default:
#   test/real/racs-stores.sh [ceph] [azurite] [s3rver] [webdav] [etcd] [zookeeper] [codec]
# Needs the Debian packages radosgw ceph-mon ceph-osd ceph-common rclone etcd-server zookeeper libisal-dev gcc, which
# `-i` installs, and fetches azurite and s3rver from npm into a scratch folder. KEEP=DIR keeps servers' files there.
# The last line is "N passed, N failed".
set -u
cd "$(dirname "$0")/../.." || exit 1
PATH=$PWD/node_modules/.bin:$PATH
work=${KEEP:-$(mktemp -d)}
mkdir -p "$work"
pids=()
stop() {
  for p in "${pids[@]}" $(cat "$work"/ceph/run/*.pid 2>/dev/null); do kill "$p" 2>/dev/null; done
  for p in "${pids[@]}" $(cat "$work"/ceph/run/*.pid 2>/dev/null); do
    for _ in $(seq 100); do kill -0 "$p" 2>/dev/null || break; sleep 0.1; done
  done
  [ -n "${KEEP:-}" ] || rm -rf "$work"
}
trap stop EXIT
passed=0
failed=0
fail() { failed=$((failed + 1)); echo "FAILED $1"; }

if [ "${1:-}" = -i ]; then
  shift
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    radosgw ceph-mon ceph-osd ceph-common rclone etcd-server zookeeper libisal-dev gcc libc6-dev curl >"$work/apt.log" 2>&1 ||
    { tail -5 "$work/apt.log"; fail install; }
fi
[ $# -gt 0 ] || set -- ceph azurite s3rver webdav etcd zookeeper codec

npm_folder() {
  [ -d "$work/npm/node_modules/$1" ] || npm install --silent --no-fund --no-audit --prefix "$work/npm" "$1@$2" >"$work/npm.log" 2>&1
}
await_http() { # URL NAME
  for _ in $(seq 160); do curl -s -o "$work/probe" "$1" && return 0; sleep 0.25; done
  fail "$2 did not start"
  return 1
}

start_ceph() {
  local D=$work/ceph FSID U ID
  FSID=$(cat /proc/sys/kernel/random/uuid)
  mkdir -p "$D"/{mon,osd,rgw,run,log}
  cat >"$D/ceph.conf" <<C
[global]
fsid = $FSID
mon host = [v2:127.0.0.1:3300,v1:127.0.0.1:6789]
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
ms mon client mode = crc secure
auth cluster required = none
auth service required = none
auth client required = none
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
osd objectstore = bluestore
bluestore block size = 21474836480
bluestore cache size = 268435456
osd memory target = 939524096
mon data = $D/mon
osd data = $D/osd
run dir = $D/run
admin socket = $D/run/\$name.asok
log file = $D/log/\$name.log
pid file = $D/run/\$name.pid
[client]
rgw data = $D/rgw
rgw frontends = beast endpoint=127.0.0.1:7480 tcp_nodelay=1
rgw thread pool size = 64
C
  export CEPH_CONF=$D/ceph.conf CEPH_ARGS="-c $D/ceph.conf"
  {
    monmaptool --create --addv a '[v2:127.0.0.1:3300,v1:127.0.0.1:6789]' --fsid "$FSID" "$D/monmap"
    ceph-mon -i a --mkfs --monmap "$D/monmap" && ceph-mon -i a
    U=$(cat /proc/sys/kernel/random/uuid)
    ID=$(ceph osd new "$U") && ceph-osd -i "$ID" --mkfs --osd-uuid "$U" && ceph-osd -i "$ID"
  } >"$D/setup.log" 2>&1
  radosgw -n client.admin -f >"$D/rgw.log" 2>&1 &
  pids+=($!)
  await_http http://127.0.0.1:7480/ ceph || return
  radosgw-admin user create --uid=racs --display-name=racs --access-key=AKRACS --secret-key=SKRACSSECRET >"$D/user.log" 2>&1
  radosgw-admin user create --uid=racs2 --display-name=racs2 --access-key=AKRACS2 --secret-key=SKRACSSECRET2 >>"$D/user.log" 2>&1
  export RACS_CEPH=http://127.0.0.1:7480
}
start_azurite() {
  npm_folder azurite 3.35.0
  mkdir -p "$work/azurite"
  node "$work/npm/node_modules/azurite/dist/src/blob/main.js" --silent --disableTelemetry --location "$work/azurite" \
    --blobHost 127.0.0.1 --blobPort 10000 --skipApiVersionCheck >"$work/azurite.log" 2>&1 &
  pids+=($!)
  await_http http://127.0.0.1:10000/ azurite && export RACS_AZURITE=http://127.0.0.1:10000/devstoreaccount1
}
start_s3rver() {
  npm_folder s3rver 3.7.1
  mkdir -p "$work/s3rver"
  node "$work/npm/node_modules/s3rver/bin/s3rver.js" -d "$work/s3rver" -a 127.0.0.1 -p 4568 --silent >"$work/s3rver.log" 2>&1 &
  pids+=($!)
  await_http http://127.0.0.1:4568/ s3rver && export RACS_S3RVER=http://127.0.0.1:4568
}
start_webdav() {
  mkdir -p "$work/webdav"
  RCLONE_USER=u RCLONE_PASS=p rclone serve webdav "$work/webdav" --addr 127.0.0.1:8099 --config "$work/rclone.conf" >"$work/webdav.log" 2>&1 &
  pids+=($!)
  await_http http://127.0.0.1:8099/ webdav && export RACS_WEBDAV=http://127.0.0.1:8099
}
start_etcd() {
  etcd --data-dir "$work/etcd" --listen-client-urls http://127.0.0.1:12379 --advertise-client-urls http://127.0.0.1:12379 \
    --listen-peer-urls http://127.0.0.1:12380 >"$work/etcd.log" 2>&1 &
  pids+=($!)
  await_http http://127.0.0.1:12379/health etcd && export RACS_ETCD=http://127.0.0.1:12379
}
start_zookeeper() {
  mkdir -p "$work/zookeeper"
  printf '%s\n' tickTime=500 "dataDir=$work/zookeeper" clientPort=2191 clientPortAddress=127.0.0.1 admin.enableServer=false maxClientCnxns=0 >"$work/zoo.cfg"
  java -Xmx128m -cp /etc/zookeeper/conf:/usr/share/java/zookeeper.jar org.apache.zookeeper.server.quorum.QuorumPeerMain "$work/zoo.cfg" >"$work/zookeeper.log" 2>&1 &
  pids+=($!)
  for _ in $(seq 80); do (echo >/dev/tcp/127.0.0.1/2191) 2>/dev/null && break; sleep 0.25; done
  export RACS_ZOOKEEPER=127.0.0.1:2191
}
start_codec() {
  gcc -O2 test/real/racs-isal.c -o "$work/racs-isal" -lisal || { fail "build of racs-isal"; return; }
  export RACS_ISAL=$work/racs-isal
}

for name in "$@"; do "start_$name"; done
export RACS_REAL=1
vitest run --config .config/vitest.real.config.ts test/real/racs-stores.test.ts ${FILTER:+-t "$FILTER"} --reporter=verbose 2>&1 | tee "$work/vitest.log" | grep -E '✓|×|FAIL|Error:|MB/s|races' | grep -v 'skipped' | tail -400
counts=$(sed 's/\x1b\[[0-9;]*m//g' "$work/vitest.log" | grep -E '^ *Tests ' | tail -1)
passed=$((passed + $(echo "$counts" | grep -oE '[0-9]+ passed' | grep -oE '[0-9]+' || echo 0)))
failed=$((failed + $(echo "$counts" | grep -oE '[0-9]+ failed' | grep -oE '[0-9]+' || echo 0)))
[ -n "$counts" ] || fail "no test ran"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
