#!/bin/bash
# Real S3 clients against two proxies over one array of four directories, any two of which may fail: the AWS SDK (fetched
# from npm into a scratch folder), s3cmd and rclone (Debian packages). Then both proxies are killed (SIGKILL) in the
# middle of uploads, TRIALS times (6): every acknowledged object must be there and whole, and nothing torn. Then the
# shares of one provider vanish and those of another are damaged.
# The last line is "N passed, N failed".
set -u
cd "$(dirname "$0")/../.." || exit 1
# The Node that runs TypeScript, without a launcher before it: the servers are killed by their process number.
PATH=$PWD/node_modules/.bin:$PATH
for tool in s3cmd rclone npm; do
  command -v $tool >/dev/null || { echo "$tool is missing: apt-get install s3cmd rclone"; exit 2; }
done
# rclone's SDK takes this for its own and then refuses to start.
unset AWS_CA_BUNDLE
work=$(mktemp -d)
port=${PORT:-10881}
trials=${TRIALS:-6}
passed=0
failed=0
proxies=
export RACS_ACCESS_KEY=AKRACSTEST RACS_SECRET_KEY=SKRACSTEST-7q2
trap 'for p in $proxies; do kill -9 $p 2>/dev/null; done; rm -rf "$work"' EXIT

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

start() {
  rm -f "$work"/proxy.*.log
  proxies=
  for p in $port $((port + 1)); do
    node src/cli/main.ts racs proxy --config "$work/racs.json" --port "$p" 2>"$work/proxy.$p.log" &
    proxies="$proxies $!"
  done
  for _ in $(seq 100); do
    [ "$(cat "$work"/proxy.*.log 2>/dev/null | grep -c serving)" = 2 ] && return 0
    sleep 0.1
  done
  cat "$work"/proxy.*.log
  return 1
}

stop() { # SIGNAL
  for p in $proxies; do
    kill "-$1" "$p"
    wait "$p" 2>/dev/null
  done
  cat "$work"/proxy.*.log >>"$work/all.log"
  proxies=
}

providers=
for id in a b c d; do providers="$providers{\"id\":\"$id\",\"type\":\"directory\",\"path\":\"$work/$id\"},"; done
echo "{\"array\":\"proxy-test\",\"k\":2,\"n\":4,\"writeQuorum\":4,\"providers\":[${providers%,}],\"register\":{\"type\":\"directory\",\"path\":\"$work/register\"}}" >"$work/racs.json"
check "init" node src/cli/main.ts racs init --config "$work/racs.json"
check "start two proxies" start

mkdir "$work/sdk"
check "fetch the AWS SDK" npm install --silent --no-audit --no-fund --prefix "$work/sdk" @aws-sdk/client-s3@3.1169.0 @aws-sdk/lib-storage@3.1169.0 @aws-sdk/s3-request-presigner@3.1169.0
node test/real/racs-proxy-sdk.js "$work/sdk" "http://127.0.0.1:$port" "http://127.0.0.1:$((port + 1))" >"$work/sdk.log" 2>&1
sed '$d' "$work/sdk.log" | sed 's/^\(ok    \|FAILED\) /\1 AWS SDK: /'
passed=$((passed + $(grep -c '^ok' "$work/sdk.log")))
failed=$((failed + $(grep -c '^FAILED' "$work/sdk.log")))

tree=$work/tree
mkdir -p "$tree/a/b" "$tree/sp ace+ü"
head -c 17000000 /dev/urandom >"$tree/a/b/big"
: >"$tree/a/empty"
for i in $(seq 30); do head -c $((i * 1000)) /dev/urandom >"$tree/sp ace+ü/f$i"; done

cat >"$work/s3cfg" <<C
[default]
access_key = $RACS_ACCESS_KEY
secret_key = $RACS_SECRET_KEY
host_base = 127.0.0.1:$port
host_bucket = 127.0.0.1:$port
use_https = False
multipart_chunk_size_mb = 5
C
s3() { s3cmd -c "$work/s3cfg" --no-progress "$@"; }
check "s3cmd mb" s3 mb s3://s3cmd-bucket
check "s3cmd put in parts" s3 put "$tree/a/b/big" s3://s3cmd-bucket/dir/big
check "s3cmd sync up" s3 sync "$tree/" s3://s3cmd-bucket/tree/
check "s3cmd ls" sh -c "s3cmd -c $work/s3cfg ls -r s3://s3cmd-bucket/ | grep -c . | grep -qx 33"
check "s3cmd get" s3 get --force s3://s3cmd-bucket/dir/big "$work/big"
check "s3cmd got what it put" cmp "$work/big" "$tree/a/b/big"
check "s3cmd get from the middle" sh -c "head -c 1000000 $tree/a/b/big >$work/part; s3cmd -c $work/s3cfg --no-progress get --continue s3://s3cmd-bucket/dir/big $work/part && cmp $work/part $tree/a/b/big"
check "s3cmd cp" s3 cp s3://s3cmd-bucket/dir/big s3://s3cmd-bucket/copy
check "s3cmd info" s3 info s3://s3cmd-bucket/copy
check "s3cmd mv" s3 mv s3://s3cmd-bucket/copy s3://s3cmd-bucket/moved
check "s3cmd sync down" sh -c "mkdir $work/down && s3cmd -c $work/s3cfg --no-progress sync s3://s3cmd-bucket/tree/ $work/down/ && diff -r $tree $work/down"
check "s3cmd refuses to remove a full bucket" sh -c "! s3cmd -c $work/s3cfg rb s3://s3cmd-bucket"
check "s3cmd del -r" s3 del -r --force s3://s3cmd-bucket
check "s3cmd rb" s3 rb s3://s3cmd-bucket
check "s3cmd with a wrong secret is refused" sh -c "sed 's/^secret_key.*/secret_key = wrong/' $work/s3cfg >$work/s3cfg.wrong; ! s3cmd -c $work/s3cfg.wrong ls"

for n in 1 2; do
  printf '[r%s]\ntype = s3\nprovider = Other\naccess_key_id = %s\nsecret_access_key = %s\nendpoint = http://127.0.0.1:%s\n' $n $RACS_ACCESS_KEY $RACS_SECRET_KEY $((port + n - 1))
done >"$work/rclone.conf"
rc() { rclone --config "$work/rclone.conf" --retries 1 "$@"; }
check "rclone mkdir" rc mkdir r1:rclone-bucket
check "rclone copy, the large file in parts" rc copy "$tree" r1:rclone-bucket/t --s3-chunk-size 5M --s3-upload-cutoff 6M
check "rclone check through the other proxy" rc check "$tree" r2:rclone-bucket/t
check "rclone check --download" rc check --download "$tree" r2:rclone-bucket/t
check "rclone sync back" sh -c "rclone --config $work/rclone.conf sync r2:rclone-bucket/t $work/back && diff -r $tree $work/back"
check "rclone moveto" rc moveto r1:rclone-bucket/t/a/b/big r1:rclone-bucket/moved
check "rclone cat of a range" sh -c "rclone --config $work/rclone.conf cat --offset 100 --count 5000 r2:rclone-bucket/moved >$work/range && tail -c +101 $tree/a/b/big | head -c 5000 | cmp - $work/range"
check "rclone purge" rc purge r1:rclone-bucket/t
check "rclone lsf shows what is left" sh -c "[ \"\$(rclone --config $work/rclone.conf lsf -R r2:rclone-bucket)\" = moved ]"

check "make a bucket for the kills" rc mkdir r1:kill-bucket
: >"$work/acknowledged"
for trial in $(seq "$trials"); do
  for w in 1 2 3 4; do
    (
      i=0
      while :; do
        i=$((i + 1))
        name=w$w-$trial-$i
        head -c $((RANDOM * 20 + 1)) /dev/urandom >"$work/obj.$w"
        sum=$(sha256sum <"$work/obj.$w" | cut -c1-64)
        curl -sf -o "$work/curl.$w" -T "$work/obj.$w" --aws-sigv4 aws:amz:us-east-1:s3 --user "$RACS_ACCESS_KEY:$RACS_SECRET_KEY" -H "x-amz-content-sha256: $sum" \
          "http://127.0.0.1:$((port + w % 2))/kill-bucket/$name" || break
        echo "$sum $name" >>"$work/acknowledged"
      done
    ) &
  done
  sleep "0.$((RANDOM % 9 + 1))"
  stop KILL
  wait
  start >"$work/start.log" || cat "$work/start.log"
done
mkdir "$work/killed"
check "fetch all that the kills left" rc copy r1:kill-bucket "$work/killed"
count=$(wc -l <"$work/acknowledged")
check "$count acknowledged puts over $trials kills, each there and whole" sh -c "cd $work/killed && [ $count -gt 0 ] && sed 's/ /  /' $work/acknowledged | sha256sum -c --quiet"

check "there are shares to spoil" sh -c "find $work/a -name '=d%2F*' | grep -q . && find $work/d -name '=d%2F*' -size +4k | grep -q ."
find "$work/a" -type f -name '=d%2F*' -delete
find "$work/d" -type f -name '=d%2F*' -size +4k -exec sh -c 'for f; do printf damaged | dd of="$f" bs=1 seek=2000 conv=notrunc 2>/dev/null; done' sh {} +
stop TERM
check "start again" start
check "all is whole without the shares of one provider and with damaged ones of another" sh -c "rclone --config $work/rclone.conf copy r2:kill-bucket $work/killed2 && diff -r $work/killed $work/killed2"
stop TERM
check "no secret is in what the proxies printed" sh -c "! grep -q '$RACS_SECRET_KEY' $work/all.log"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
