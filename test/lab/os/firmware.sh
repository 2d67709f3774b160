#!/bin/bash
# firmware.sh OUT: what the firmware tests boot: x86_64/ and arm64/ with Debian 12's cloud kernel (signed, as Secure Boot
# wants it) and a busybox initramfs that reports and powers off; signed/ with shim and GRUB of Debian 13, whose GRUB
# speaks HTTP; pxe-virtio.rom, iPXE of 2025 as the network card's BIOS ROM. Everything comes from packages.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
out=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$here/debian.sh" amd64 bookworm "$work/amd64" linux-image-cloud-amd64 busybox-static
"$here/debian.sh" arm64 bookworm "$work/arm64" linux-image-cloud-arm64 busybox-static
"$here/debian.sh" amd64 trixie "$work/trixie" shim-signed grub-efi-amd64-signed ipxe-qemu

system() { # system ARCHITECTURE(of Debian) NAME
  local packages=$work/$1 kernel=$work/$1/linux-image-cloud-$1 root=$work/root-$1 version
  version=$(basename "$kernel"/lib/modules/*)
  mkdir -p "$root"/{bin,dev,proc,sys,tmp,lib/modules} "$out/$2"
  cp "$packages/busybox-static/bin/busybox" "$root/bin/busybox"
  ln -s busybox "$root/bin/sh"
  install -m755 "$here/firmware/init" "$root/init"
  depmod -b "$kernel" "$version"
  : >"$root/lib/modules/order"
  for name in virtio_pci virtio_net efivarfs; do
    modprobe -d "$kernel" -S "$version" --show-depends "$name" | awk '/^insmod/ { print $2 }' | while read -r file; do
      grep -qx "$(basename "$file")" "$root/lib/modules/order" && continue
      cp "$file" "$root/lib/modules/"
      basename "$file" >>"$root/lib/modules/order"
    done
  done
  (cd "$root" && find . | sort | cpio --quiet -o -H newc --reproducible | gzip -9n) >"$out/$2/initrd.img"
  cp "$kernel"/boot/vmlinuz-* "$out/$2/vmlinuz"
  # A profile names three files; nothing here loads the third.
  echo 'not loaded' >"$out/$2/rootfs.img"
}
system amd64 x86_64
system arm64 arm64

mkdir -p "$out/signed"
cp "$work/trixie/shim-signed/usr/lib/shim/shimx64.efi.signed" "$out/signed/shimx64.efi"
cp "$work/trixie/grub-efi-amd64-signed/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed" "$out/signed/grubx64.efi"
cp "$work/trixie/ipxe-qemu/usr/share/qemu/pxe-virtio.rom" "$out/"
