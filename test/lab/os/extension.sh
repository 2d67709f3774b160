#!/bin/bash
# extension.sh VERSION KUBEBOX OUT: Kubernetes as a systemd system extension: kubelet, kubeadm and kubectl (one file with
# three names), the kubelet's unit and kubeadm's drop-in. ID=_any: it merges on any distribution.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
version=$1 kubebox=$2 out=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
usr=$work/usr
mkdir -p "$usr"/{bin,lib/kubernetes,lib/extension-release.d,lib/systemd/system/kubelet.service.d}
install -m755 "$kubebox" "$usr/lib/kubernetes/kubebox-$version"
for name in kubelet kubeadm kubectl; do ln -s "../lib/kubernetes/kubebox-$version" "$usr/bin/$name"; done
install -m644 "$here/extension/kubelet.service" "$usr/lib/systemd/system/"
install -m644 "$here/extension/10-kubeadm.conf" "$usr/lib/systemd/system/kubelet.service.d/"
printf 'ID=_any\nARCHITECTURE=x86-64\n' >"$usr/lib/extension-release.d/extension-release.kubernetes"
mksquashfs "$work" "$out" -quiet -no-progress -noappend -all-root -all-time 0 -mkfs-time 0 -comp "${COMPRESSION:-lz4}" >/dev/null
