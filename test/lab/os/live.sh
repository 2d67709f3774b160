#!/bin/bash
# live.sh ROOT OUT: the live system, which only installs: the same root without what a node needs later.
# lz4: reading it under emulation costs more than fetching it.
set -euo pipefail
mksquashfs "$1" "$2" -quiet -no-progress -noappend -no-xattrs -comp lz4 -e boot usr/lib/modules usr/lib/cni usr/lib/lab/pause.tar \
  usr/bin/containerd usr/bin/containerd-shim-runc-v2 usr/bin/ctr usr/bin/crictl usr/sbin/runc >/dev/null
