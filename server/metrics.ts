// The metrics that exist, each name written once. Counters are counted by whoever decides; gauges are read from the
// store when somebody asks. No label per machine, address or URL.

import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'
import type { NodeView } from './contract/api.ts'
import type { NodeState } from './contract/names.ts'
import type { DhcpServerView, Notice } from './contract/network.ts'
import type { Counts } from './provision/deps.ts'
import { countMachines } from './store/machine-counts.ts'
import type { Db } from './store/schema.ts'
import { listSlots } from './store/slots.ts'

/** What the wire has noticed (dhcp/rivals). */
interface Network {
  readonly others: () => readonly DhcpServerView[]
  readonly notices: () => readonly Notice[]
}

export interface Metrics {
  readonly counts: Counts & {
    readonly dhcp: (type: string, result: string) => void
    readonly tftp: (result: string) => void
    /** Bytes on an HTTP socket that are no request, or come too slowly or too large to be one. */
    readonly malformedHttp: () => void
    /** How the sending of a file over HTTP ended. */
    readonly download: (result: string) => void
  }
  readonly contentType: string
  readonly text: () => Promise<string>
}

/** Installers take minutes, of which a firmware that loads a kernel by TFTP may take most. */
const STAGE_SECONDS = [1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200]

export function createMetrics(db: Db, nodes: () => readonly NodeView[], network: () => Network): Metrics {
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
  const downloads = counter('http_downloads_total', 'Files sent over HTTP, by how it ended.', ['result'])
  const malformed = counter('http_malformed_total', 'What came on HTTP sockets and was no request.', [])
  const stages = new Histogram({
    name: 'slipway_boot_stage_seconds',
    help: 'How long the stages of a boot took.',
    labelNames: ['stage'],
    buckets: STAGE_SECONDS,
    registers: [registry]
  })
  addGauges(registry, db, nodes)
  addNetworkGauges(registry, network)
  return {
    counts: {
      boot: result => boots.inc({ result, stage: 'script' }),
      stage: (stage, seconds) => stages.observe({ stage }, seconds),
      config: (kind, result) => configs.inc({ kind, result }),
      certificate: kind => certificates.inc({ kind }),
      enrolment: result => enrolments.inc({ result }),
      join: result => joins.inc({ result }),
      dhcp: (type, result) => dhcp.inc({ type, result }),
      tftp: result => tftp.inc({ result }),
      malformedHttp: () => malformed.inc(),
      download: result => downloads.inc({ result })
    },
    contentType: registry.contentType,
    text: () => registry.metrics()
  }
}

function addGauges(registry: Registry, db: Db, nodes: () => readonly NodeView[]): void {
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
  const upgrades = new Gauge({
    name: 'slipway_upgrade_nodes',
    help: 'Nodes by what their agent says: ready, draining, upgrading, held, failed.',
    registers: [],
    labelNames: ['state'],
    collect() {
      this.reset()
      for (const { state } of nodes()) if (isState(state)) this.inc({ state })
    }
  })
  for (const gauge of [machines, slots, upgrades]) registry.registerMetric(gauge)
}

function addNetworkGauges(registry: Registry, network: () => Network): void {
  const servers = new Gauge({
    name: 'slipway_dhcp_servers',
    help: 'Other DHCP servers that were heard within a quarter of an hour: expected beside a proxy, or rivals.',
    registers: [],
    labelNames: ['verdict'],
    collect() {
      const present = network()
        .others()
        .filter(other => other.present)
      for (const verdict of ['expected', 'rival'] as const) {
        this.set({ verdict }, present.filter(other => other.verdict === verdict).length)
      }
    }
  })
  const notices = new Gauge({
    name: 'slipway_notices',
    help: 'What a person should know of now, as the page shows it.',
    registers: [],
    labelNames: ['about'],
    collect() {
      this.reset()
      for (const about of ['rival', 'no-addresses', 'blind', 'flood', 'address']) this.set({ about }, 0)
      for (const { about } of network().notices()) this.inc({ about })
    }
  })
  for (const gauge of [servers, notices]) registry.registerMetric(gauge)
}

/** The label is the node's to write: only the words that we know, or anybody could make a label value of each text. */
function isState(state: string | null): state is NodeState {
  return state !== null && (states as readonly string[]).includes(state)
}

const states: readonly NodeState[] = ['ready', 'draining', 'upgrading', 'held', 'failed']
