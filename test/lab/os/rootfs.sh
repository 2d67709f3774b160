#!/bin/bash
# rootfs.sh ROOT: the root file system of lab CoreOS from Debian 12, a kernel, containerd and the files in guest/.
# Wants TOOLS (containerd, containerd-shim-runc-v2, ctr, crictl). No kubelet: that comes as a system extension.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$1
packages=usr-is-merged,systemd,systemd-sysv,udev,dbus,passwd,kmod,procps,mount,util-linux-extra,e2fsprogs,gdisk
packages+=,iproute2,netbase,hostname,iptables,nftables,conntrack,ethtool,socat,curl,ca-certificates,zstd
packages+=,runc,containernetworking-plugins

# The kernel is only unpacked: its package would bring initramfs-tools and build an initramfs that nobody boots.
# Its mounts of /proc and /sys end with it, however it ends: whoever removes the folder then removes only that.
unshare --mount mmdebstrap --quiet --variant=essential --format=directory --hook-directory=/usr/share/mmdebstrap/hooks/merged-usr \
  --include="$packages" --aptopt='APT::Install-Recommends "false"' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
  --dpkgopt='path-exclude=/usr/lib/*/gconv/*' --dpkgopt='path-exclude=/usr/lib/udev/hwdb.d/*' \
  --customize-hook='mkdir "$1/kernel" && cd "$1/kernel" && export APT_CONFIG=$MMDEBSTRAP_APT_CONFIG &&
    apt-get -qq -o APT::Sandbox::User=root download \
      "$(apt-cache depends linux-image-cloud-amd64 | sed -n "s/.*Depends: \(linux-image.*\)/\1/p")"' \
  bookworm "$root"
dpkg --fsys-tarfile "$root"/kernel/*.deb | tar -C "$root" -x --keep-directory-symlink --exclude='./usr/share'
rm -rf "$root/kernel" "$root"/boot/System.map-*
mv "$root"/boot/vmlinuz-* "$root/boot/vmlinuz"

# Every file costs an installation under emulation: only modules that a node on virtual hardware may ask for.
modules=$(echo "$root"/usr/lib/modules/*)
(cd "$modules/kernel" && find . -name '*.ko' | grep -Ev '^./(crypto|lib|net/(netfilter|ipv4|ipv6|bridge|sched|llc|802|core|8021q|ipvs)|drivers/(virtio|block|char)|fs/(overlayfs|squashfs|fuse|fat|isofs|nls|autofs|efivarfs))/' |
  grep -Ev '/drivers/net/(virtio_net|net_failover|veth|dummy|tun|macvlan|vxlan/vxlan|bonding/bonding)\.ko$|/net/core/failover\.ko$' | xargs rm -f)
depmod -b "$root" "${modules##*/}"
find "$root/usr/lib/cni" -type f ! -name bridge ! -name host-local ! -name loopback ! -name portmap -delete
mkdir -p "$root/opt/cni"
ln -s /usr/lib/cni "$root/opt/cni/bin"

for tool in containerd containerd-shim-runc-v2 ctr crictl; do install -m755 "$TOOLS/$tool" "$root/usr/bin/$tool"; done
cp -r --preserve=mode "$here/guest/." "$root/"
"$here/pause.sh" "$root/usr/lib/lab/pause.tar"

echo localhost >"$root/etc/hostname"
echo uninitialized >"$root/etc/machine-id" # first boot: systemd applies the presets that Ignition wrote
rm -f "$root/etc/resolv.conf" "$root/var/lib/dbus/machine-id"
: >"$root/etc/resolv.conf" # a missing or dangling one keeps the kubelet from making any pod sandbox
echo 'LABEL=lab-root / ext4 defaults,noatime 0 1' >"$root/etc/fstab"
sed -i 's/^root:[^:]*/root:*/' "$root/etc/shadow"
for unit in fstrim.timer e2scrub_all.timer e2scrub_reap.service dpkg-db-backup.timer systemd-timesyncd.service \
  systemd-networkd-wait-online.service getty@tty1.service serial-getty@ttyS0.service systemd-firstboot.service \
  systemd-hwdb-update.service; do ln -sf /dev/null "$root/etc/systemd/system/$unit"; done
