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
  readonly control: string
  readonly code: string
  readonly folder: string
  readonly data: string
}

/** The page's address with its login: the code is in the fragment, which no browser sends and no server logs. */
export function loginUrl({ page, code }: Pick<Access, 'page' | 'code'>): string {
  return `${page.replace(/\/$/, '')}/#code=${code}`
}

export function nextSteps(access: Access, rows: readonly Row[]): string {
  const { control, data, folder } = access
  const node = rows.find(({ machine }) => machine !== 'rack-01')?.node ?? rows[0]?.node ?? 'NODE'
  return [
    '',
    `Page    ${loginUrl(access)}`,
    '        (the code opens one session; plain HTTP, on this computer only)',
    `Try     relabel the control plane on the page to ${VERSION_UPGRADED}, then a worker: it drains, switches, and returns`,
    '        or, in another terminal in this folder:',
    `          export SLIPWAY_SERVER=${control} SLIPWAY_TOKEN_FILE=${data}/admin.token SLIPWAY_CA_FILE=${data}/ca/ca.crt`,
    '          npx slipway get machines -w',
    `          npx slipway describe machine ${node}`,
    `          npx slipway retire ${node}`,
    `Files   ${folder} (slipway.yaml, documents.yaml, server.log, rack/*/console.log; removed when the lab ends)`,
    'End     Ctrl-C'
  ].join('\n')
}

export function approvalNote(machine: string, product: string, seconds: number): string {
  return (
    `${machine} is a "${product}": no rule takes such machines in by itself, so it waits at its boot screen.\n` +
    `  Approve it on the page, or with npx slipway approve; after ${seconds} s the lab does it.`
  )
}
