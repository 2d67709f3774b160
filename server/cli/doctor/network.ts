// What the running server has noticed on its networks: other DHCP servers with what they offer, floods, where it cannot
// look. It hears more than the doctor, which listens for seconds: it asks every few minutes, and remembers.

import type { DhcpServerView, Notice } from '../../contract/network.ts'
import type { Server } from '../connect.ts'
import { Failure } from '../failure.ts'
import { bad, type Finding, note, ok } from './finding.ts'

/** `expected`: those that give addresses beside a proxy. */
export async function examineNetwork(server: Server): Promise<{ findings: Finding[]; expected: string[] }> {
  try {
    const notices = await server.get<Notice[]>('/api/v1/notices')
    const servers = await server.get<DhcpServerView[]>('/api/v1/dhcp-servers')
    const expected = servers.filter(({ verdict }) => verdict === 'expected').map(({ address }) => address)
    return { findings: judge(notices, servers), expected }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    const message = `the server does not say what it has noticed: ${error.message}`
    return { findings: [note('network', message)], expected: [] }
  }
}

/** Warnings are bad, notes stay notes; what was heard and is away now, or is expected, is worth a line. Pure. */
export function judge(notices: readonly Notice[], servers: readonly DhcpServerView[]): Finding[] {
  const found = notices.map(({ about, level, message, since }) =>
    (level === 'warning' ? bad : note)(titles[about], `${message} (since ${since})`)
  )
  const known = servers.flatMap(({ verdict, present, address, interface: device, why, lastSeen }) => {
    if (verdict === 'expected' && present) return [ok(titles.rival, `${address} on ${device}: ${why}`)]
    return present ? [] : [note(titles.rival, `${address} on ${device} was heard last at ${lastSeen}`)]
  })
  return found.length + known.length === 0
    ? [ok('network', 'the server has noticed nothing unusual')]
    : [...found, ...known]
}

const titles: Record<Notice['about'], string> = {
  rival: 'other DHCP server',
  'no-addresses': 'addresses',
  blind: 'other DHCP servers',
  flood: 'flood',
  address: 'our address'
}
