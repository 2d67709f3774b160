#!/bin/bash
# initrd.sh ROOT OUT live|disk: busybox and the kernel modules that reach a root; for the disk also Ignition (from TOOLS)
# and what it starts. The live one goes without, unlike Fedora CoreOS's: firmware loads it at 3 MB a second under
# emulation, and an installation does not run Ignition.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$1 out=$2 kind=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work" # mktemp gives 0700: as / it would keep users that Ignition makes out of their own home
mkdir -p "$work"/{bin,dev,proc,sys,tmp,run,sysroot,etc/ssl/certs,lib/modules,lib64,usr/bin,usr/sbin}
cp "$(command -v busybox)" "$work/bin/busybox"
ln -s busybox "$work/bin/sh"
install -m755 "$here/init" "$work/init"
with_ignition() {
  install -m755 "$TOOLS/ignition" "$work/usr/bin/ignition"
  printf '#!/bin/sh\n[ -e /run/is-live ]\n' >"$work/usr/bin/is-live-image"
  chmod 755 "$work/usr/bin/is-live-image"
  echo 'root:x:0:0:root:/root:/bin/sh' >"$work/etc/passwd"
  cp "$root/etc/ssl/certs/ca-certificates.crt" "$work/etc/ssl/certs/"
  cp -L "$root/lib64/ld-linux-x86-64.so.2" "$work/lib64/"

  libraries() { chroot "$root" ldd "$1" | grep -o '/[^ ]*' || true; }
  library() {
    [ -e "$work$1" ] && return
    mkdir -p "$work$(dirname "$1")"
    cp -L "$root$1" "$work$1"
  }
  for name in useradd usermod userdel groupadd groupdel systemctl udevadm; do
    path=$(readlink -f "$root$(chroot "$root" /bin/sh -c "command -v $name")")
    install -m755 "$path" "$work/usr/sbin/$name"
    for l in $(libraries "${path#"$root"}"); do library "$l"; done
  done
  library /lib/x86_64-linux-gnu/libblkid.so.1
  library /lib/x86_64-linux-gnu/libc.so.6
}
[ "$kind" = live ] || with_ignition

version=$(basename "$root"/usr/lib/modules/*)
: >"$work/lib/modules/order"
for name in virtio_pci virtio_net virtio_blk virtio_rng loop squashfs overlay; do
  modprobe -d "$root" -S "$version" --show-depends "$name" | awk '/^insmod/ { print $2 }' | while read -r file; do
    base=$(basename "$file")
    grep -qx "$base" "$work/lib/modules/order" && continue
    cp "$file" "$work/lib/modules/"
    echo "$base" >>"$work/lib/modules/order"
  done
done
(cd "$work" && find . | sort | cpio --quiet -o -H newc --reproducible | zstd -q -6 -T2 -f -o "$out")
