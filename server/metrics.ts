// The metrics that exist, each name written once. Counters are counted by whoever decides; gauges are read from the
// store when somebody asks. No label per machine, address or URL.

import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client'
import type { Counts } from './provision/deps.ts'
import { countMachines } from './store/machine-counts.ts'
import type { Db } from './store/schema.ts'
import { listSlots } from './store/slots.ts'

export interface Metrics {
  readonly counts: Counts & {
    readonly dhcp: (type: string, result: string) => void
    readonly tftp: (result: string) => void
  }
  readonly contentType: string
  readonly text: () => Promise<string>
}

export function createMetrics(db: Db): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const counter = (name: string, help: string, labelNames: string[]) =>
    new Counter({ name: `slipway_${name}`, help, labelNames, registers: [registry] })
  const boots = counter('boots_total', 'Network boots by what they were answered.', ['result', 'stage'])
  const configs = counter('configs_delivered_total', 'Reads of configs.', ['kind', 'result'])
  const certificates = counter('certificates_issued_total', 'Certificates issued.', ['kind'])
  const enrolments = counter('enrolments_total', 'Enrolments and renewals of agents.', ['result'])
  const joins = counter('joins_total', 'Requests to join the cluster.', ['result'])
  const dhcp = counter('dhcp_packets_total', 'DHCP packets.', ['type', 'result'])
  const tftp = counter('tftp_transfers_total', 'TFTP transfers.', ['result'])
  addGauges(registry, db)
  return {
    counts: {
      boot: result => boots.inc({ result, stage: 'script' }),
      config: (kind, result) => configs.inc({ kind, result }),
      certificate: kind => certificates.inc({ kind }),
      enrolment: result => enrolments.inc({ result }),
      join: result => joins.inc({ result }),
      dhcp: (type, result) => dhcp.inc({ type, result }),
      tftp: result => tftp.inc({ result })
    },
    contentType: registry.contentType,
    text: () => registry.metrics()
  }
}

function addGauges(registry: Registry, db: Db): void {
  const machines = new Gauge({
    name: 'slipway_machines',
    help: 'Machines by state.',
    registers: [],
    labelNames: ['state'],
    async collect() {
      this.reset()
      for (const [state, count] of await countMachines(db)) this.set({ state }, count)
    }
  })
  const slots = new Gauge({
    name: 'slipway_slots',
    help: 'Rights to be out of service.',
    registers: [],
    labelNames: ['state'],
    async collect() {
      this.set({ state: 'taken' }, (await listSlots(db)).length)
    }
  })
  for (const gauge of [machines, slots]) registry.registerMetric(gauge)
}
