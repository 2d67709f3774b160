// All machines of the simulated rack, the cluster that they join, and the socket on which their programs call.

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Child } from '../children.ts'
import type { Ports } from '../documents.ts'
import { type Cluster, createCluster } from './cluster.ts'
import { linkTools } from './kickstart.ts'
import { type Machine, powerOn, type Stage } from './machine.ts'
import { complained, servePrograms } from './program-server.ts'
import { rackOf, type MachineSpec } from './spec.ts'

export interface RackDeps {
  readonly folder: string
  readonly ports: Ports
  readonly count: number
  readonly signal: AbortSignal
  readonly stage: (spec: MachineSpec, stage: Stage, detail: string) => void
  readonly addressed: (spec: MachineSpec, address: string) => void
  readonly started: (child: Child) => void
  /** A bug in the simulation. */
  readonly failed: (error: unknown) => void
}

export interface Rack {
  readonly machines: readonly Machine[]
  readonly cluster: Cluster
  /** Switches the machines on, one shortly after the other, as a person would. */
  readonly powerOn: () => Promise<void>
  readonly close: () => Promise<void>
}

export async function openRack(deps: RackDeps): Promise<Rack> {
  const { folder, ports, count, signal } = deps
  const cluster = createCluster(ports.cluster, deps.failed)
  const socket = join(folder, 'rack.sock')
  const tools = join(folder, 'tools')
  await mkdir(folder, { recursive: true })
  await linkTools(tools)
  const machines = new Map<string, Machine>()
  const programs = await servePrograms(socket, async ({ machine, program, args }, gone) => {
    const found = machines.get(machine)
    if (found === undefined) return complained(1, `no machine ${machine} in the rack`)
    return await found.call(program, args, AbortSignal.any([signal, gone]))
  })
  const lives: Promise<void>[] = []
  return {
    get machines() {
      return [...machines.values()]
    },
    cluster,
    powerOn: async () => {
      for (const spec of rackOf(count)) {
        if (signal.aborted) return
        const machine = powerOn({
          spec,
          ports,
          folder: join(folder, spec.name),
          tools,
          socket,
          cluster,
          signal,
          stage: (stage, detail) => deps.stage(spec, stage, detail),
          addressed: address => deps.addressed(spec, address),
          started: deps.started
        })
        machines.set(spec.name, machine)
        lives.push(
          machine.life.catch((error: unknown) => {
            if (!signal.aborted) deps.failed(error)
          })
        )
        await new Promise(resolve => setTimeout(resolve, BETWEEN_MS))
      }
    },
    close: async () => {
      await programs.close()
      await Promise.all(lives)
      await cluster.close()
    }
  }
}

const BETWEEN_MS = 60
