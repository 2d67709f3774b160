// The sentences of the lab that are more than a line: what is simulated, and what to try next.

import { VERSION_UPGRADED } from './documents.ts'
import type { Row } from './view.ts'

export const simulated: readonly string[] = [
  'real:      the server with its DHCP, TFTP, HTTP and HTTPS sockets, database and certificate authority; every packet',
  '           between machine and server; the scripts in each kickstart; the agent, one process a machine, from source',
  'simulated: firmware, iPXE, installers and systems of the machines; boot programs, kernels and Kubernetes images (they',
  '           are placeholders); kubeadm, kubelet, systemctl and systemd-sysext; the cluster’s API server; the workload'
]

export interface Access {
  readonly page: string
  readonly code: string
  readonly folder: string
}

/** The page's address with its login: the code is in the fragment, which no browser sends and no server logs. */
export function loginUrl({ page, code }: Access): string {
  return `${page.replace(/\/$/, '')}/#code=${code}`
}

export function nextSteps(access: Access, rows: readonly Row[]): string {
  const worker = rows.find(({ machine }) => machine !== 'rack-01')?.node ?? 'NODE'
  const waiting = rows.find(({ stage }) => stage === 'waiting')
  const data = `--data ${access.folder}/data`
  void data
  return [
    `Page:  ${loginUrl(access)}`,
    `       (the code opens one session; the page is plain HTTP, on this computer only)`,
    `Files: ${access.folder} (removed when the lab ends)`,
    'Try:   on the page, relabel the control plane and then a worker to ' +
      VERSION_UPGRADED +
      ' and watch it drain and return',
    ...(waiting === undefined ? [] : [`       approve ${waiting.machine}, which waits at its boot screen`]),
    `       npx slipway describe machine ${worker} (with SLIPWAY_SERVER, SLIPWAY_TOKEN_FILE and SLIPWAY_CA_FILE as below)`,
    'End:   Ctrl-C'
  ].join('\n')
}
