// One lab: folder, ports, server process, rack. Opened in that order and closed in the other, whatever happened in
// between; nothing of it outlives the process that opened it.

import { rmSync } from 'node:fs'
import type { Child } from './children.ts'
import { documents, type Ports } from './documents.ts'
import { fillFolder, type Folder, makeFolder, removal, removeFolder } from './folder.ts'
import { freePorts } from './ports.ts'
import { openRack, type Rack } from './rack/rack.ts'
import type { Stage } from './rack/machine.ts'
import type { MachineSpec } from './rack/spec.ts'
import { createServerApi, type ServerApi } from './server-api.ts'
import { type ServerProcess, startServerProcess } from './server-process.ts'

export interface Lab {
  readonly folder: Folder
  readonly ports: Ports
  readonly server: ServerProcess
  readonly api: ServerApi
  readonly rack: Rack
}

export interface LabDeps {
  readonly machines: number
  readonly keep: 'keep' | 'remove'
  readonly signal: AbortSignal
  readonly stage: (spec: MachineSpec, stage: Stage, detail: string) => void
  readonly addressed: (spec: MachineSpec, address: string) => void
  readonly failed: (error: unknown) => void
}

/** What was opened so far; closing it is always right. */
export interface Opening {
  /** Names the folder as soon as there is one. */
  readonly folder: () => Folder | null
  readonly open: () => Promise<Lab>
  /** in order: the server ends by itself and says how. at once: everything is killed. */
  close(how: 'in order' | 'at once'): Promise<{ serverStatus: number | null }>
}

/** Another program may take a port between our finding it and the server's opening it. */
const PORT_ATTEMPTS = 3

export function prepareLab(deps: LabDeps): Opening {
  const { signal } = deps
  const children = new Set<Child>()
  let folder: Folder | null = null
  let server: ServerProcess | null = null
  let rack: Rack | null = null
  const machines = new AbortController() // ends the machines before the server
  const started = (child: Child): void => {
    children.add(child)
    child.ended.then(
      () => children.delete(child),
      () => children.delete(child)
    )
    if (signal.aborted) child.signal('SIGKILL')
  }
  /** The last resort, when the lab's process ends without closing: by a bug, or by process.exit elsewhere. */
  const exiting = (): void => {
    for (const child of children) child.signal('SIGKILL')
    if (folder !== null && deps.keep === 'remove') rmSync(folder.path, removal)
  }
  process.once('exit', exiting)

  async function startServer(at: Folder): Promise<Ports> {
    for (let attempt = 1; ; attempt += 1) {
      signal.throwIfAborted()
      const ports = await freePorts()
      await fillFolder(at, ports)
      try {
        server = await startServerProcess({ folder: at, ports, signal, started, failed: deps.failed })
        return ports
      } catch (error) {
        const taken = /EADDRINUSE|in use|taken/i.test((error as Error).message)
        if (!taken || attempt === PORT_ATTEMPTS) throw error
      }
    }
  }

  return {
    folder: () => folder,
    open: async () => {
      folder = await makeFolder()
      const ports = await startServer(folder)
      const running = server!
      const access = () => ({
        url: running.ready.urls.page ?? running.ready.urls.control,
        token: running.ready.adminToken
      })
      const api = createServerApi(access, signal)
      await api.apply(documents(ports))
      rack = await openRack({
        folder: folder.rack,
        ports,
        count: deps.machines,
        signal: AbortSignal.any([signal, machines.signal]),
        stage: deps.stage,
        addressed: deps.addressed,
        started,
        failed: deps.failed
      })
      return { folder, ports, server: running, api, rack }
    },
    close: async how => {
      machines.abort(new Error('the lab ends'))
      if (how === 'at once') for (const child of children) child.signal('SIGKILL')
      await rack?.close()
      const serverStatus = how === 'in order' ? ((await server?.close()) ?? 0) : null
      for (const child of children) child.signal('SIGKILL')
      await Promise.all([...children].map(({ ended }) => ended))
      if (folder !== null && deps.keep === 'remove') await removeFolder(folder)
      process.off('exit', exiting)
      return { serverStatus }
    }
  }
}
