// Into the cluster: the server's files for kubeadm, the command, the files gone again whatever came of it. They hold
// the bootstrap token, so they are 0600 and in /run, which no disk keeps.

import type { JoinReply } from '../../server/contract/agent.ts'
import type { Files } from '../files.ts'
import { paths } from '../paths.ts'
import type { Run } from '../run.ts'
import { kubeadmInit, kubeadmJoin } from './kubeadm.ts'

/**
 * What kubeadm and the kubelet leave behind, the first of them soonest (facts of kubeadm join, phase kubelet-start).
 */
const traces = [paths.kubeletConf, paths.bootstrapConf, paths.kubeletConfig, '/etc/kubernetes/manifests/etcd.yaml']

/** Whether kubeadm has been at work on this machine. */
export async function hasTraces(files: Files): Promise<boolean> {
  for (const path of traces) if ((await files.read(path)) !== null) return true
  return false
}

/** Runs `kubeadm join` or `kubeadm init` as the server's reply says. Throws KubeadmFailed. */
export async function enterCluster(files: Files, run: Run, reply: JoinReply, signal: AbortSignal): Promise<void> {
  try {
    if (reply.action === 'init') {
      await files.write(paths.initConfig, reply.config, 0o600)
      await kubeadmInit(run, files.real(paths.initConfig), signal)
      return
    }
    await files.write(reply.discoveryPath, reply.discovery, 0o600)
    await files.write(paths.joinConfig, reply.config, 0o600)
    await kubeadmJoin(run, files.real(paths.joinConfig), signal)
  } finally {
    await forgetFiles(files)
  }
}

/** Also after a crash in the middle of a join: a token must not lie about. */
export async function forgetFiles(files: Files): Promise<void> {
  for (const name of await files.list(paths.run)) await files.remove(`${paths.run}/${name}`)
}
