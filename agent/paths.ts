// Where things lie on a machine. All below --root, which is / but in the lab.

const state = '/var/lib/slipway-agent'

export const paths = {
  config: '/etc/slipway/agent.json',
  journal: `${state}/journal.jsonl`,
  /** The last reported sequence number: losing it costs a repeat, which the server recognises. */
  reported: `${state}/reported`,
  /** Machine certificate and its key in one file, so that both change at once. */
  identity: `${state}/identity.pem`,
  nextKey: `${state}/next-key.pem`,
  authority: `${state}/ca.pem`,
  machine: `${state}/machine.json`,
  /** The server's last word, for when it cannot be reached in the middle of an upgrade. */
  desired: `${state}/desired.json`,
  extensions: `${state}/extensions`,
  extension: (version: string) => `${state}/extensions/kubernetes-${version}.raw`,
  kubeletConfigBackup: `${state}/kubelet-config.yaml`,
  extensionLink: '/var/lib/extensions/kubernetes.raw',
  /** Relative, so that the link holds below any root. */
  extensionTarget: (version: string) => `../slipway-agent/extensions/kubernetes-${version}.raw`,
  run: '/run/slipway',
  joinConfig: '/run/slipway/join.yaml',
  initConfig: '/run/slipway/init.yaml',
  kubelet: '/usr/bin/kubelet',
  kubeletConf: '/etc/kubernetes/kubelet.conf',
  bootstrapConf: '/etc/kubernetes/bootstrap-kubelet.conf',
  adminConf: '/etc/kubernetes/admin.conf',
  kubeletConfig: '/var/lib/kubelet/config.yaml',
  process: (pid: number) => `/proc/${pid}/exe`
} as const
