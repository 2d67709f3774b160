#!/bin/bash
# disk.sh ROOT OUT: the installed system as a disk image (zstd), written to the disk as it is: GPT with a BIOS boot
# partition, an ESP and an ext4 root as small as its contents. No loop device, no mount: GRUB's sectors are set here.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$1 out=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$root/boot/grub"
cp "$here/grub.cfg" "$root/boot/grub/grub.cfg"

cat >"$work/early.cfg" <<'C'
search --no-floppy --label lab-root --set=root
set prefix=($root)/boot/grub
configfile ($root)/boot/grub/grub.cfg
C
modules=(part_gpt ext2 search search_label configfile normal linux test echo serial terminal)
grub-mkimage -O i386-pc -p /boot/grub -c "$work/early.cfg" -o "$work/core.img" biosdisk "${modules[@]}"
grub-mkimage -O x86_64-efi -p /boot/grub -c "$work/early.cfg" -o "$work/BOOTX64.EFI" "${modules[@]}"

mib=1048576
used=$(du -sm --apparent-size "$root" | cut -f1)
size=$((used + used / 5 + 64))
truncate -s $(((size + 20) * mib)) "$work/disk"
sgdisk -a 2048 -n 1:2048:+1M -t 1:ef02 -n 2:4096:+16M -t 2:ef00 -n "3:36864:+${size}M" -t 3:8304 -c 3:root "$work/disk" >/dev/null

# What grub-bios-setup writes (grub-core/boot/i386/pc/{boot,diskboot}.S): boot.img in sector 0 beside the partition
# table, told that core.img begins at sector 2048; core.img's first sector told where its rest is.
boot=/usr/lib/grub/i386-pc/boot.img
write() { dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }
little() { printf "$(printf "%0$(($2 * 2))x" "$1" | sed 's/../& /g' | tr ' ' '\n' | tac | tr -d '\n' | sed 's/../\\x&/g')"; }
head -c 440 "$boot" | write "$work/disk" 0
little 2048 8 | write "$work/disk" $((0x5c))
printf '\x90\x90' | write "$work/disk" $((0x66))
sectors=$((($(stat -c %s "$work/core.img") + 511) / 512))
little 2049 8 | write "$work/core.img" $((0x1f4))
little $((sectors - 1)) 2 | write "$work/core.img" $((0x1fc))
little $((0x820)) 2 | write "$work/core.img" $((0x1fe))
dd if="$work/core.img" of="$work/disk" bs=512 seek=2048 conv=notrunc status=none

truncate -s 16M "$work/esp"
mkfs.vfat -n ESP "$work/esp" >/dev/null
mmd -i "$work/esp" ::/EFI ::/EFI/BOOT
mcopy -i "$work/esp" "$work/BOOTX64.EFI" ::/EFI/BOOT/BOOTX64.EFI
dd if="$work/esp" of="$work/disk" bs=1M seek=2 conv=notrunc status=none
# metadata_csum_seed and orphan_file are not known to GRUB 2.06.
mke2fs -q -t ext4 -b 4096 -L lab-root -J size=16 -m 0 -O ^metadata_csum_seed,^orphan_file -E "offset=$((18 * mib)),lazy_itable_init=1" \
  -d "$root" "$work/disk" "${size}M"
zstd -q -3 -T2 -f "$work/disk" -o "$out"
