// Where one row of the matrix happens: a namespace with a bridge, our server on it, the row's neighbour beside it, and
// the wire recorded. Documents approve every machine and install the little system that reports.

import { copyFileSync, globSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { stringify } from 'yaml'
import type { AnyDocument } from '../../../server/contract/document.ts'
import { API_VERSION } from '../../../server/contract/names.ts'
import { createNamespace, type Namespace } from '../../lab/namespace.ts'
import type { FirmwareImages } from '../../lab/os/build.ts'
import { apply, type Served, startServer, until } from '../served.ts'
import { far, moveIn, near } from './neighbours.ts'
import type { Row } from './rows.ts'

export interface Site {
  readonly served: Served
  /** Where machines are plugged in. */
  readonly machines: Namespace
  readonly folder: string
  /** What a person would want to see of a boot that failed. */
  explain(): Promise<string>
  close(): Promise<void>
}

/** `area` names it apart from others of this process. */
export async function openSite(row: Row, area: string, images: FirmwareImages): Promise<Site> {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-firmware-'))
  const tidy = (): void => rmSync(folder, { recursive: true, force: true })
  process.once('exit', tidy)
  const opened = new AsyncDisposableStack()
  opened.defer(() => {
    tidy()
    process.off('exit', tidy)
  })
  try {
    const namespace = await createNamespace(area, near.server)
    opened.defer(() => namespace.close())
    fillData(folder, row, images)
    writeFileSync(join(folder, 'slipway.yaml'), stringify(configOf(row, folder)))
    const served = { namespace, folder, address: near.server }
    const server = await startServer(served)
    await apply(served, documentsOf(row))
    const moved = row.neighbour === null ? null : await moveIn(row.neighbour, area, namespace, folder)
    if (moved !== null) opened.defer(() => moved.close())
    const machines = moved?.machines ?? namespace
    const pcap = await record(machines, folder)
    return {
      served,
      machines,
      folder,
      explain: async () => {
        const wire = await machines.run('tcpdump', ['-n', '-r', pcap, '-v'])
        const parts = { wire: wire.stdout, server: server.output(), [`${row.neighbour}`]: moved?.output() ?? '' }
        return Object.entries(parts)
          .map(([name, text]) => `--- ${name}\n${text.split('\n').slice(-80).join('\n')}`)
          .join('\n')
      },
      close: () => opened.disposeAsync()
    }
  } catch (error) {
    await opened.disposeAsync()
    throw error
  }
}

const archOf = ({ firmware }: Row): 'x86_64' | 'arm64' => (firmware.startsWith('arm64') ? 'arm64' : 'x86_64')

function fillData(folder: string, row: Row, { firmware, boot }: FirmwareImages): void {
  const arch = archOf(row)
  const copy = (to: string, files: readonly string[]): void => {
    mkdirSync(to, { recursive: true })
    for (const file of files) copyFileSync(file, join(to, basename(file)))
  }
  const data = join(folder, 'data')
  copy(join(data, 'boot'), globSync([join(boot, '*'), join(firmware, 'signed', '*')]))
  copy(join(data, 'assets', arch), globSync(join(firmware, arch, '*')))
  mkdirSync(join(data, 'agents'))
  // No machine here gets as far as running it.
  writeFileSync(join(data, 'agents', `slipway-agent-${arch}`), 'not run')
}

function configOf({ mode, neighbour, boot }: Row, folder: string): object {
  const subnet = { subnet: near.subnet, pool: near.pool, gateway: near.server }
  const behind = neighbour === 'relay' ? [{ subnet: far.subnet, pool: far.pool, gateway: far.gateway }] : []
  return {
    data: join(folder, 'data'),
    interfaces: ['br0'],
    dhcp: { mode, ...(mode === 'authoritative' ? { subnets: [subnet, ...behind] } : {}) },
    ...(boot === undefined ? {} : { boot }),
    log: { level: 'info' }
  }
}

/** An emulated timer that the host does not run in time is no broken one: Linux would panic over it (seen). */
const kernelArguments = { x86_64: ['console=ttyS0', 'no_timer_check'], arm64: ['console=ttyAMA0'] } as const

function documentsOf(row: Row): readonly AnyDocument[] {
  const arch = archOf(row)
  return [
    {
      apiVersion: API_VERSION,
      kind: 'Cluster',
      metadata: { name: 'lab' },
      spec: { endpoint: `${near.server}:6443`, version: 'v1.35.4' }
    },
    {
      apiVersion: API_VERSION,
      kind: 'Profile',
      metadata: { name: 'reports' },
      spec: {
        os: {
          name: 'fedora-coreos',
          version: 'lab',
          assets: arch,
          kernelArguments: [...kernelArguments[arch], 'quiet', 'panic=-1']
        },
        disks: { install: '/dev/vda' },
        kubernetes: { cluster: 'lab', role: 'worker', version: 'v1.35.4', runtime: 'containerd' }
      }
    },
    {
      apiVersion: API_VERSION,
      kind: 'Rule',
      metadata: { name: 'all' },
      spec: { match: { manufacturer: 'Slipway Lab' }, profile: 'reports', approve: 'auto', name: 'node-{number}' }
    }
  ]
}

const RECORDING_MS = 10_000

/** DHCP, the beginning of every TFTP transfer and TCP connection: small, and enough to see who did not answer whom. */
async function record(namespace: Namespace, folder: string): Promise<string> {
  const file = join(folder, 'wire.pcap')
  const filter = 'port 67 or port 68 or port 69 or port 4011 or (tcp[tcpflags] & tcp-syn != 0)'
  const args = ['-i', 'br0', '-n', '-U', '--immediate-mode', '-w', file, filter]
  const tcpdump = namespace.start('tcpdump', 'tcpdump', args, { log: join(folder, 'tcpdump.log') })
  const listens = async (): Promise<true | null> => (tcpdump.output().includes('listening on') ? true : null)
  await until('tcpdump to listen', RECORDING_MS, listens, 50)
  return file
}
