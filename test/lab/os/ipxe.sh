#!/bin/bash
# ipxe.sh OUT: iPXE of 2025 (undionly.kpxe, snponly.efi, ipxe.efi) from Debian 13's package, through a private apt root:
# Debian 12's is of 2019, and the machine's own package lists stay untouched.
set -euo pipefail
out=$1
# Where this machine's own Debian comes from has the next one too.
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
  awk '$2 !~ /-/ && mirror == "" { mirror = $1 } END { print mirror }')}
[ -n "$mirror" ] || { echo 'no Debian mirror in the sources of apt; set DEBIAN_MIRROR' >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -p "$work"/{lists/partial,cache/archives/partial,parts}
cat >"$work/parts/trixie.sources" <<S
Types: deb
URIs: $mirror
Suites: trixie
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
S
apt=(-qq -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache" -o Dir::Etc::sourcelist=/dev/null
  -o "Dir::Etc::sourceparts=$work/parts" -o Dir::State::status=/dev/null -o Acquire::Languages=none
  -o APT::Sandbox::User=root -o APT::Architecture=amd64)
apt-get "${apt[@]}" update
(cd "$work" && apt-get "${apt[@]}" download ipxe && dpkg -x ipxe_*.deb ipxe)
mkdir -p "$out"
lib=$work/ipxe/usr/lib/ipxe
cp "$lib/undionly.kpxe" "$lib/snponly.efi" "$out/"
cp "$lib/ipxe-amd64.efi" "$out/ipxe.efi"
cp "$lib/ipxe-arm64.efi" "$out/"
