#!/bin/sh
# Makes what boots Debian's own kernel: the kernel of package linux-image-amd64 and an initrd of busybox-static with the
# script initrd/init. Packages are downloaded once through apt and never committed; if PARAVANE_DEBIAN_ROOT names a
# folder with them unpacked, from there. Needs apt-get, dpkg-deb, gzip, xz and
# mke2fs (package e2fsprogs).
#
#   vmlinuz     the kernel as Debian ships it (bzImage)
#   vmlinux     the same kernel as the image's own decompressor leaves it (ELF): boots without decompression
#   initrd      busybox, initrd/init and the modules of virtio and ext4, a gzip-compressed cpio archive
#   disk.img    an ext4 file system with one file
#
# usage: make.sh [FOLDER]     default: node_modules/.cache/linux of the repository
# Prints the folder. Does nothing when its files are newer than their sources.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../../node_modules/.cache/linux}
mkdir -p "$out"
out=$(cd "$out" && pwd)

for tool in apt-get apt-cache dpkg-deb gzip xz od dd mke2fs; do
  command -v "$tool" > /dev/null || { echo "make.sh: $tool is missing" >&2; exit 2; }
done

root=${PARAVANE_DEBIAN_ROOT:-/nonexistent}
unpack() { # package: into $out/unpacked
  (
    cd "$out"
    apt-get download -q -o Acquire::Retries=3 -o APT::Sandbox::User=root "$1" > apt.log 2>&1 || { cat apt.log >&2; exit 1; }
    dpkg-deb -x "$1"_*.deb unpacked
    rm -f "$1"_*.deb apt.log
  )
}

find_kernel() { # folder
  for file in "$1"/boot/vmlinuz-*-amd64; do [ -f "$file" ] && echo "$file" && return; done
  return 0
}
kernel=$(find_kernel "$root")
[ -n "$kernel" ] || kernel=$(find_kernel "$out/unpacked")
if [ -z "$kernel" ]; then
  # linux-image-amd64 is empty and depends on the package of the current version.
  package=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9][^ ]*-amd64\)$/\1/p' | head -n 1)
  [ -n "$package" ] || { echo 'make.sh: apt knows no linux-image-amd64' >&2; exit 2; }
  unpack "$package"
  kernel=$(find_kernel "$out/unpacked")
fi
busybox=$root/bin/busybox
[ -f "$busybox" ] || busybox=$out/unpacked/bin/busybox
[ -f "$busybox" ] || unpack busybox-static

if [ ! -f "$out/vmlinuz" ] || [ "$kernel" -nt "$out/vmlinuz" ]; then
  cp "$kernel" "$out/vmlinuz.new"
  mv "$out/vmlinuz.new" "$out/vmlinuz"
  rm -f "$out/vmlinux"
fi

word() { # file offset bytes
  od -A n -t "u$3" -j "$2" -N "$3" "$1" | tr -d ' '
}
if [ ! -f "$out/vmlinux" ]; then
  # Linux Documentation/x86/boot.rst: setup_sects, payload_offset (from the start of the protected-mode code), payload_length.
  sectors=$(word "$out/vmlinuz" 497 1)
  start=$(((sectors + 1) * 512 + $(word "$out/vmlinuz" 584 4)))
  length=$(word "$out/vmlinuz" 588 4)
  # Four bytes after the compressed stream hold its uncompressed size.
  dd if="$out/vmlinuz" iflag=skip_bytes,count_bytes skip="$start" count=$((length - 4)) bs=65536 status=none |
    xz -d --single-stream > "$out/vmlinux.new"
  mv "$out/vmlinux.new" "$out/vmlinux"
fi

if [ ! -f "$out/initrd" ] || [ "$here/initrd/init" -nt "$out/initrd" ] || [ "$here/initrd/lease" -nt "$out/initrd" ] || [ "$here/make.sh" -nt "$out/initrd" ]; then
  tree=$out/tree
  rm -rf "$tree"
  mkdir -p "$tree/bin" "$tree/proc" "$tree/sys" "$tree/dev" "$tree/tmp"
  cp "$busybox" "$tree/bin/busybox"
  cp "$here/initrd/init" "$tree/init"
  modules=$(echo "${kernel%/boot/*}"/lib/modules/*-amd64/kernel)
  # In the order in which init loads them.
  number=10
  for module in drivers/virtio/virtio_ring drivers/virtio/virtio drivers/virtio/virtio_pci_legacy_dev drivers/virtio/virtio_pci_modern_dev \
    drivers/virtio/virtio_pci drivers/block/virtio_blk drivers/char/hw_random/virtio-rng net/core/failover drivers/net/net_failover \
    drivers/net/virtio_net crypto/crc32c_generic lib/libcrc32c lib/crc16 fs/mbcache fs/jbd2/jbd2 fs/ext4/ext4; do
    mkdir -p "$tree/modules"
    cp "$modules/$module.ko" "$tree/modules/$number-${module##*/}.ko"
    number=$((number + 1))
  done
  cp "$here/initrd/lease" "$tree/bin/lease"
  chmod 755 "$tree/init" "$tree/bin/busybox" "$tree/bin/lease"
  find "$tree" -exec touch -h -d @0 {} +
  (cd "$tree" && find . | LC_ALL=C sort | "$busybox" cpio -o -H newc -R 0:0 2> /dev/null) | gzip -n -9 > "$out/initrd.new"
  mv "$out/initrd.new" "$out/initrd"
  rm -rf "$tree"
fi

if [ ! -f "$out/disk.img" ] || [ "$here/make.sh" -nt "$out/disk.img" ]; then
  rm -rf "$out/files"
  mkdir "$out/files"
  seq 1 30000 > "$out/files/numbers"
  touch -d @0 "$out/files/numbers" "$out/files"
  rm -f "$out/disk.img.new"
  E2FSPROGS_FAKE_TIME=1334016000 mke2fs -q -t ext4 -U 5f1f2a3c-0000-4000-8000-000000000001 \
    -E hash_seed=5f1f2a3c-0000-4000-8000-000000000002,root_owner=0:0 -d "$out/files" "$out/disk.img.new" 16M > /dev/null
  mv "$out/disk.img.new" "$out/disk.img"
  rm -rf "$out/files"
fi
echo "$out"
