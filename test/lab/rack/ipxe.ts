// A small iPXE: enough of its script language to run what a boot server answers. Kernels are fetched, not started:
// the outcome says what a real iPXE would have booted. No menus, no forms, no login, no embedded trust.
// Grammar and order of expansion follow iPXE's src/core/exec.c and src/image/script.c.

import { expand, splitCommand } from './ipxe-text.ts'

/** Where a script led: a kernel to start, a disk, or back to the firmware. */
export type Outcome =
  | { kind: 'boot'; kernel: string; arguments: readonly string[]; initrds: readonly string[] }
  | { kind: 'disk'; drive: string }
  | { kind: 'exit'; status: number }
  | { kind: 'reboot' }
  | { kind: 'failed'; reason: string }

export interface Machine {
  /** Settings as iPXE knows them: mac, uuid, serial, buildarch, platform… */
  readonly settings: Readonly<Record<string, string>>
  /** Whether the drive named by sanboot (0x80, 0) holds something that boots. */
  readonly bootable: (drive: string) => boolean
  /** The body, or the reason why there is none. */
  fetch(url: string): Promise<{ ok: true; body: Buffer } | { ok: false; reason: string }>
  readonly sleep: (seconds: number) => Promise<void>
  readonly console: (line: string) => void
}

/** A script that chains to itself for ever (a hold) is normal; one that never sleeps is not. */
const COMMANDS_MAX = 10_000
/** iPXE keeps a stack of images; ours ends before Node's does. */
const DEPTH_MAX = 64

interface Session {
  readonly machine: Machine
  readonly settings: Map<string, string>
  kernel: { url: string; arguments: string[] } | null
  initrds: string[]
  commands: number
}

interface Script {
  readonly url: string
  readonly lines: readonly string[]
  next: number
  readonly depth: number
}

/** What a command did: went well, went wrong (|| may catch it), or ended iPXE altogether. */
type Result = { ok: true } | { ok: false; reason: string } | { outcome: Outcome }
const done: Result = { ok: true }

type Command = (args: readonly string[], session: Session, script: Script) => Promise<Result> | Result

/** Runs the script at `url` as `chain` would, and those it chains to, until something boots or iPXE gives up. */
export async function runIpxe(url: string, machine: Machine): Promise<Outcome> {
  const session: Session = {
    machine,
    settings: new Map(Object.entries(machine.settings)),
    kernel: null,
    initrds: [],
    commands: 0
  }
  const result = await chain([url], session, { url, lines: [], next: 0, depth: 0 })
  if ('outcome' in result) return result.outcome
  return result.ok ? { kind: 'exit', status: 0 } : { kind: 'failed', reason: result.reason }
}

async function runScript(script: Script, session: Session): Promise<Result> {
  while (script.next < script.lines.length) {
    const line = script.lines[script.next]!
    script.next += 1
    if (line.startsWith('#') || line.startsWith(':')) continue
    const result = await runLine(line, session, script)
    if ('outcome' in result && result.outcome.kind === 'exit' && script.depth > 1) {
      // exit leaves this script only; the one that chained here goes on.
      return result.outcome.status === 0 ? done : { ok: false, reason: `script ended with ${result.outcome.status}` }
    }
    if ('outcome' in result || !result.ok) return result
  }
  return done
}

/** One line: a command is left out when what joins it is not met; an empty one does nothing, successfully. */
async function runLine(line: string, session: Session, script: Script): Promise<Result> {
  let result: Result = done
  let wanted = true
  for (const { tokens, after } of splitCommand(line)) {
    if (wanted) result = tokens.length > 0 ? await runCommand(tokens, session, script) : done
    if ('outcome' in result) return result
    wanted = after === ';' || (after === '||' ? !result.ok : result.ok)
  }
  return result
}

async function runCommand(tokens: readonly string[], session: Session, script: Script): Promise<Result> {
  session.commands += 1
  if (session.commands > COMMANDS_MAX)
    return { outcome: { kind: 'failed', reason: 'the script never comes to an end' } }
  const [name = '', ...args] = tokens.map(token => expand(token, key => session.settings.get(key) ?? null))
  const command = commands[name]
  if (command === undefined) return { ok: false, reason: `${name}: command not found` }
  return await command(args, session, script)
}

const commands: Record<string, Command> = {
  chain,
  imgexec: chain,
  boot: async (args, session, script) => (args.length > 0 ? await chain(args, session, script) : boot(session)),
  kernel: async (args, session, script) => {
    const [uri, ...rest] = withoutOptions(args)
    if (uri === undefined) return { ok: false, reason: 'kernel: no URI' }
    const url = resolve(uri, script)
    const got = await session.machine.fetch(url)
    if (!got.ok) return { ok: false, reason: `${url}: ${got.reason}` }
    session.kernel = { url, arguments: rest }
    return done
  },
  initrd: async (args, session, script) => {
    const [uri] = withoutOptions(args)
    if (uri === undefined) return { ok: false, reason: 'initrd: no URI' }
    const url = resolve(uri, script)
    const got = await session.machine.fetch(url)
    if (!got.ok) return { ok: false, reason: `${url}: ${got.reason}` }
    session.initrds.push(url)
    return done
  },
  imgfree: (_args, session) => {
    session.kernel = null
    session.initrds = []
    return done
  },
  sanboot: (args, { machine }) => {
    const drive = args[args.indexOf('--drive') + 1] ?? '0x80'
    if (!args.includes('--drive')) return { ok: false, reason: 'sanboot: only --drive is simulated' }
    return machine.bootable(drive)
      ? { outcome: { kind: 'disk', drive } }
      : { ok: false, reason: `sanboot: drive ${drive} does not boot` }
  },
  exit: ([status = '0']) => ({ outcome: { kind: 'exit', status: Number(status) || 0 } }),
  reboot: () => ({ outcome: { kind: 'reboot' } }),
  sleep: async ([seconds = '0'], { machine }) => {
    await machine.sleep(Number(seconds) || 0)
    return done
  },
  echo: (args, { machine }) => {
    machine.console(args.filter(arg => arg !== '-n').join(' '))
    return done
  },
  goto: ([label = ''], _session, script) => {
    // Labels are looked for from the top, as script.c does; white space after them is a comment.
    const at = script.lines.findIndex(line => line.startsWith(':') && line.slice(1).split(/\s/, 1)[0] === label)
    if (at === -1) return { ok: false, reason: `goto: no label ${label}` }
    script.next = at + 1
    return done
  },
  set: ([name = '', ...words], { settings }) => {
    settings.set(name, words.join(' '))
    return done
  },
  clear: ([name = ''], { settings }) => {
    settings.delete(name)
    return done
  },
  isset: ([value = '']) => (value === '' ? { ok: false, reason: 'isset: it is not' } : done),
  iseq: ([one, other]) => (one === other ? done : { ok: false, reason: 'iseq: not equal' }),
  dhcp: () => done, // the address is there already
  ifstat: () => done,
  prompt: () => ({ ok: false, reason: 'prompt: nobody pressed a key' })
}

async function chain(args: readonly string[], session: Session, { url: from, depth }: Script): Promise<Result> {
  const [uri] = withoutOptions(args)
  if (uri === undefined) return { ok: false, reason: 'chain: no URI' }
  if (depth >= DEPTH_MAX) return { ok: false, reason: 'chain: too many scripts in each other' }
  const url = resolve(uri, { url: from })
  const got = await session.machine.fetch(url)
  if (!got.ok) return { ok: false, reason: `${url}: ${got.reason}` }
  const lines = got.body.toString('utf8').split('\n')
  if (lines[0]?.trimEnd() !== '#!ipxe') return { ok: false, reason: `${url}: exec format error` }
  const script = {
    url,
    lines: lines.map(line => line.trim()),
    next: 0,
    depth: args.includes('--replace') ? 1 : depth + 1
  }
  return await runScript(script, session)
}

function boot({ kernel, initrds }: Session): Result {
  if (kernel === null) return { ok: false, reason: 'boot: no image' }
  return { outcome: { kind: 'boot', kernel: kernel.url, arguments: kernel.arguments, initrds } }
}

function resolve(uri: string, script: { url: string }): string {
  return new URL(uri, script.url).href
}

/** Options come before the URI; --name and --timeout take a value. */
function withoutOptions(args: readonly string[]): readonly string[] {
  let at = 0
  while (args[at]?.startsWith('-') === true) at += ['--name', '--timeout', '-n', '-t'].includes(args[at]!) ? 2 : 1
  return args.slice(at)
}
