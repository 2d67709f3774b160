#!/bin/bash
# debian.sh ARCHITECTURE SUITE OUT PACKAGE...: packages of any Debian suite and architecture, unpacked into OUT/PACKAGE
# and not installed: through a private apt root, so that the machine's own package lists stay untouched. A kernel is
# named by its meta package.
set -euo pipefail
architecture=$1 suite=$2 out=$3
shift 3
# Where this machine's own Debian comes from has the other ones too.
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
  awk '$2 !~ /-/ && mirror == "" { mirror = $1 } END { print mirror }')}
[ -n "$mirror" ] || { echo 'no Debian mirror in the sources of apt; set DEBIAN_MIRROR' >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -p "$work"/{lists/partial,cache/archives/partial,parts}
cat >"$work/parts/$suite.sources" <<S
Types: deb
URIs: $mirror
Suites: $suite
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
S
private=(-qq -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache" -o Dir::Etc::sourcelist=/dev/null
  -o "Dir::Etc::sourceparts=$work/parts" -o Dir::State::status=/dev/null -o Acquire::Languages=none
  -o APT::Sandbox::User=root -o "APT::Architecture=$architecture" -o "APT::Architectures=$architecture")
apt-get "${private[@]}" update
for name; do
  package=$name
  case $name in linux-image-*) package=$(apt-cache "${private[@]}" depends "$name" | sed -n 's/.*Depends: \(linux-image.*\)/\1/p' | head -1) ;; esac
  (mkdir "$work/$name" && cd "$work/$name" && apt-get "${private[@]}" download "$package")
  mkdir -p "$out/$name"
  dpkg -x "$work/$name"/*.deb "$out/$name"
done
