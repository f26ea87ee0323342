#!/bin/sh
# Makes GRUB images for a 64-bit PV domain from Debian's package grub-xen-bin, which is downloaded once through apt and
# never committed; if PARAVANE_DEBIAN_ROOT names a folder with the package unpacked, from there. Needs apt-get, dpkg-deb,
# tar and grub-mkimage (package grub-common).
#
#   halt.bin      prints a line and halts                        (halt.cfg)
#   explore.bin   lists devices, reads a file from its memory
#                 disk, lists its xenstore directory, halts      (explore.cfg, disk/)
#
# usage: make.sh [FOLDER]     default: node_modules/.cache/grub-xen of the repository
# Prints the folder. Does nothing when its images are newer than their sources.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../../node_modules/.cache/grub-xen}
mkdir -p "$out"
out=$(cd "$out" && pwd)

for tool in apt-get dpkg-deb tar grub-mkimage; do
  command -v "$tool" > /dev/null || { echo "make.sh: $tool is missing" >&2; exit 2; }
done

modules=${PARAVANE_DEBIAN_ROOT:-/nonexistent}/usr/lib/grub/x86_64-xen
[ -d "$modules" ] || modules=$out/unpacked/usr/lib/grub/x86_64-xen
if [ ! -d "$modules" ]; then
  (
    cd "$out"
    apt-get download -q -o APT::Sandbox::User=root grub-xen-bin > apt.log 2>&1 || { cat apt.log >&2; exit 1; }
    dpkg-deb -x grub-xen-bin_*.deb unpacked
    rm -f grub-xen-bin_*.deb apt.log
  )
fi

# The memory disk must not depend on when and by whom it is made.
tar --create --file "$out/memdisk.tar" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=ustar -C "$here/disk" .

make_image() { # name, modules...
  name=$1
  shift
  [ "$out/$name.bin" -nt "$here/$name.cfg" ] && [ "$out/$name.bin" -nt "$here/make.sh" ] && return
  grub-mkimage -O x86_64-xen -d "$modules" -p '(memdisk)' -m "$out/memdisk.tar" -c "$here/$name.cfg" -o "$out/$name.bin.new" "$@"
  mv "$out/$name.bin.new" "$out/$name.bin"
}

make_image halt memdisk tar echo halt
make_image explore memdisk tar echo halt ls cat lsxen lsmmap
echo "$out"
