// The DHCP server as a process, so that a test can put it into a network namespace: node dhcp-program.ts IF MODE.
// Prints a line of JSON for each event and each lease, and `ready` first.

import { startDhcp } from '../../server/dhcp/server.ts'
import { readInterface } from '../../server/dhcp/socket.ts'
import { createLog } from '../../server/log.ts'
import { subnet } from './dhcp.ts'

const [name = 'br0', mode = 'authoritative'] = process.argv.slice(2)
const say = (what: unknown): void => void process.stdout.write(`${JSON.stringify(what)}\n`)
const server = await startDhcp(
  {
    mode: mode === 'proxy' ? 'proxy' : 'authoritative',
    interface: readInterface(name),
    ports: { server: 67, client: 68, proxy: 4011 },
    subnets: [subnet],
    bootUrl: 'http://10.77.0.1:8080'
  },
  {
    now: () => new Date(),
    log: createLog('info', process.stdout),
    count: (type, result) => say({ count: `${type} ${result}` }),
    leases: { list: async () => [], save: async lease => say({ lease }) },
    seen: event => say({ event })
  }
)
say({ ready: server.ports })
process.once('SIGTERM', () => void server.close())
