#!/bin/bash
# pause.sh OUT: a docker archive for `ctr images import`, without registry or daemon: busybox that sleeps until it is
# told to stop. It is the sandbox of every pod and, as lab/app:1, the workload of the end-to-end tests.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/layer/bin"
install -m755 "$(command -v busybox)" "$work/layer/bin/busybox"
ln -s busybox "$work/layer/bin/sh"
stable=(--sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner)
tar -C "$work/layer" "${stable[@]}" -cf "$work/layer.tar" .
digest=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
mkdir "$work/$digest"
mv "$work/layer.tar" "$work/$digest/"
cat >"$work/config.json" <<C
{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:$digest"]},"history":[{"created_by":"lab"}],
"config":{"Env":["PATH=/bin"],"Entrypoint":["/bin/sh","-c","trap 'exit 0' TERM INT; while :; do /bin/busybox sleep 86400 & wait \$!; done"]}}
C
cat >"$work/manifest.json" <<M
[{"Config":"config.json","Layers":["$digest/layer.tar"],
"RepoTags":["registry.k8s.io/pause:3.10.1","registry.k8s.io/pause:3.10.2","registry.k8s.io/pause:3.10","docker.io/lab/app:1"]}]
M
tar -C "$work" "${stable[@]}" -cf "$1" config.json manifest.json "$digest"
