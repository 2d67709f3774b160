#!/bin/bash
# ipxe.sh OUT: iPXE of 2025 (undionly.kpxe, snponly.efi, ipxe.efi, ipxe-arm64.efi) from Debian 13's package: Debian 12's is of
# 2019.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
out=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$here/debian.sh" amd64 trixie "$work" ipxe
mkdir -p "$out"
lib=$work/ipxe/usr/lib/ipxe
cp "$lib/undionly.kpxe" "$lib/snponly.efi" "$out/"
cp "$lib/ipxe-amd64.efi" "$out/ipxe.efi"
cp "$lib/ipxe-arm64.efi" "$out/"
