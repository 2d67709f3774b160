// The DHCP server as a process, so that a test can put it into a network namespace: node dhcp-program.ts IF[,IF] MODE
// [PROBE_MS]. MODE `silent` is authoritative without router advertisements. Prints a line of JSON for each event and each lease, and `ready` first; on SIGUSR1 what it has noticed.

import { passedSockets } from '../../server/activation.ts'
import { startDhcp } from '../../server/dhcp/server.ts'
import { readInterface } from '../../server/dhcp/socket.ts'
import { createLog } from '../../server/log.ts'
import { distant, second, subnet } from './dhcp.ts'

const [names = 'br0', mode = 'authoritative', probeMs] = process.argv.slice(2)
/** Short ones for clients that are to renew while somebody looks. */
const leaseSeconds = Number(process.env['LEASE_SECONDS'] ?? 3600)
const say = (what: unknown): void => void process.stdout.write(`${JSON.stringify(what)}\n`)
const passed = passedSockets(process.env, process.pid)
const server = await startDhcp(
  {
    mode: mode === 'proxy' ? 'proxy' : 'authoritative',
    attachments: names.split(',').map(name => {
      const own = readInterface(name)
      const handles = { server: passed.get(`dhcp-${name}`) ?? null, proxy: passed.get(`proxy-${name}`) ?? null }
      return { interface: own, places: { bootUrl: `http://${own.address}:8080`, secureUrl: null }, handles }
    }),
    ports: { server: 67, client: 68, proxy: 4011 },
    subnets: [subnet, second, distant].map(each => ({ ...each, leaseSeconds })),
    reservations: [],
    probeEveryMs: probeMs === undefined ? null : Number(probeMs),
    advertise: mode !== 'silent'
  },
  {
    now: () => new Date(),
    log: createLog('info', process.stdout),
    count: (type, result) => say({ count: `${type} ${result}` }),
    leases: { list: async () => [], save: async lease => say({ lease }) },
    seen: event => say({ event }),
    loaderOf: () => 'ipxe'
  }
)
say({ ready: server.ports })
process.on('SIGUSR1', () => say({ others: server.others(), notices: server.notices() }))
process.once('SIGTERM', () => void server.close())
