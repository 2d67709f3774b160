// slipway lab as a person starts it: every machine becomes Ready and is upgraded by its label, nothing is left behind,
// Ctrl-C works at any moment, and a server or an agent that is killed in the middle loses nothing.
// To repeat a failure of the seeded moments: SEED=123 tap test/e2e/lab.test.ts

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { seeded } from '../helpers/random.ts'
import { type LabHooks, runLab } from '../lab/main.ts'

// Three whole labs, the upgrade among them, on a computer that may do other things as well.
t.setTimeout(600_000)

const seed = Number(process.env.SEED ?? Date.now() % 100_000)
const main = join(import.meta.dirname, '..', '..', 'server', 'main.ts')

interface Event {
  event: string
  at: string
  machine?: string
  stage?: string
  folder?: string
  urls?: { boot: string; control: string; page: string }
  reasons?: string[]
}

interface Running {
  pid: number
  events: Event[]
  /** Lines of standard output that are no events. */
  strays: string[]
  errors: () => string
  /** Resolves at the first event that `found` likes; null when the lab ends before. */
  until: (found: (event: Event) => boolean) => Promise<Event | null>
  signal: (name: NodeJS.Signals) => void
  ended: Promise<number | null>
}

function startLab(...args: string[]): Running {
  const child = spawn(process.execPath, [main, 'lab', '--json', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const events: Event[] = []
  const strays: string[] = []
  const waiting = new Set<() => void>()
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  createInterface({ input: child.stdout }).on('line', line => {
    try {
      events.push(JSON.parse(line) as Event)
    } catch {
      strays.push(line)
    }
    for (const look of waiting) look()
  })
  const ended = once(child, 'close').then(([code]) => code as number | null)
  return {
    pid: child.pid!,
    events,
    strays,
    errors: () => errors,
    until: async found => {
      const first = new Promise<Event>(resolve => {
        const look = (): void => {
          const event = events.find(found)
          if (event === undefined) return
          waiting.delete(look)
          resolve(event)
        }
        waiting.add(look)
        look()
      })
      return await Promise.race([first, ended.then(() => null)])
    },
    signal: name => child.kill(name),
    ended
  }
}

const folderOf = (lab: Running): string | null => lab.events.find(({ folder }) => folder !== undefined)?.folder ?? null

/** Command lines of processes that name the lab's folder. */
function processesIn(folder: string): string[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(pid => readOrEmpty(`/proc/${pid}/cmdline`).replaceAll('\0', ' '))
    .filter(line => line.includes(folder))
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // it ended while we looked
  }
}

async function isOpen(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url)
  return await new Promise(resolve => {
    const socket = connect(Number(port), hostname)
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

async function nothingIsLeft(t: Test, lab: Running): Promise<void> {
  const folder = folderOf(lab)
  if (folder === null) return
  t.notOk(existsSync(folder), 'its folder is gone')
  t.same(processesIn(folder), [], 'no process of it runs')
  const urls = lab.events.find(({ event }) => event === 'lab.started')?.urls
  if (urls === undefined) return
  for (const url of [urls.boot, urls.control, urls.page]) t.notOk(await isOpen(url), `${url} is closed`)
}

t.test('every machine becomes Ready and is upgraded by its label', async t => {
  const lab = startLab('--once', '--upgrade')
  const status = await lab.ended
  t.equal(status, 0)
  if (status !== 0) t.comment(JSON.stringify(lab.events.at(-2), null, 1))
  t.same(lab.strays, [], 'only events on standard output')
  t.equal(lab.errors(), '')
  const names = lab.events.map(({ event }) => event)
  t.ok(names.indexOf('lab.ready') > 0 && names.indexOf('lab.upgraded') > names.indexOf('lab.ready'))
  const last = new Map(lab.events.flatMap(({ machine, stage }) => (stage === undefined ? [] : [[machine, stage]])))
  t.equal(last.size, 6)
  t.same([...new Set(last.values())], ['Ready v1.36.3'])
  await nothingIsLeft(t, lab)
})

t.test(`Ctrl-C at any moment (seed ${seed})`, async t => {
  const random = seeded(seed)
  const moments: [string, (event: Event) => boolean][] = [
    ['at once', ({ event }) => event === 'lab.simulated'],
    ['when the server runs', ({ event }) => event === 'lab.started'],
    ...Array.from({ length: 3 }, (): [string, (event: Event) => boolean] => {
      const machine = `rack-0${1 + Math.floor(random() * 5)}`
      const stage = ['installing', 'agent', 'enrolled', 'Ready v1.35.4'][Math.floor(random() * 4)]!
      return [`${machine} ${stage}`, event => event.machine === machine && event.stage === stage]
    })
  ]
  for (const [name, moment] of moments) {
    const lab = startLab('--once')
    const reached = Promise.race([lab.until(moment), lab.until(({ event }) => event === 'lab.ready')])
    await reached
    await delay(random() * 100)
    const asked = performance.now()
    lab.signal(random() < 0.5 ? 'SIGINT' : 'SIGTERM')
    const status = await lab.ended
    // A lab that was done already ends well.
    const done = lab.events.some(({ event }) => event === 'lab.ready')
    t.equal(status, done && status === 0 ? 0 : 130, `${name}: status`)
    t.ok(performance.now() - asked < 5_000, `${name}: quickly`)
    await nothingIsLeft(t, lab)
  }
})

t.test('when the lab itself is killed its processes end', async t => {
  const lab = startLab('--once')
  await lab.until(({ stage }) => stage === 'enrolled')
  const folder = folderOf(lab)!
  t.ok(processesIn(folder).length > 1, 'server and agents run')
  lab.signal('SIGKILL')
  await lab.ended
  for (let round = 0; round < 100 && processesIn(folder).length > 0; round += 1) await delay(50)
  t.same(processesIn(folder), [])
  await rm(folder, { recursive: true, maxRetries: 5 })
})

t.test('a server and agents killed in the middle', async t => {
  const kills: Record<string, 'server' | 'agent'> = {
    'rack-02 installing': 'server',
    'rack-01 agent': 'server',
    'rack-03 enrolled': 'agent',
    'rack-04 enrolled': 'server',
    'rack-01 Ready v1.35.4': 'server',
    'rack-05 Ready v1.35.4': 'agent'
  }
  const done: string[] = []
  const lost: string[] = []
  const known = new Map<string, string>()
  let last: Promise<unknown> = Promise.resolve()
  const leases = async (lab: Parameters<NonNullable<LabHooks['event']>>[1]): Promise<void> => {
    const now = new Map((await lab.lab.api.leases()).map(({ mac, address }) => [mac, address]))
    for (const [mac, address] of known) if (now.get(mac) !== address) lost.push(`${mac} had ${address}`)
    for (const [mac, address] of now) known.set(mac, address)
  }
  const hooks: LabHooks = {
    event: (event, lab) => {
      const what = kills[event]
      if (what === undefined || done.includes(event)) return
      done.push(event)
      last = last.then(async () => {
        await leases(lab)
        if (what === 'agent') lab.killAgent(event.split(' ')[0]!)
        else await lab.killServer()
        await leases(lab)
      })
    }
  }
  const lines: string[] = []
  const io = { out: (text: string) => lines.push(text), error: () => {}, columns: () => null, colour: 'plain' as const }
  const status = await runLab({ machines: 6, once: true, json: false, upgrade: false }, io, hooks)
  await last.catch((error: Error) => t.fail(error.message))
  t.equal(status, 0)
  if (status !== 0) t.comment(lines.join(''))
  t.ok(done.filter(event => kills[event] === 'server').length >= 2, `killed at: ${done.join(', ')}`)
  t.ok(known.size === 6)
  t.same(lost, [], 'no lease was lost')
})
