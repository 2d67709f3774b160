// Wires of a test's own: a namespace with a bridge, cables to it, udhcpc at their ends. Needs root, ip and busybox.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { type Background, createNamespace, type Namespace } from '../lab/namespace.ts'

export interface Wires {
  readonly wire: Namespace
  readonly folder: string
  readonly run: (file: string, ...args: string[]) => Promise<string>
  /** What udhcpc was given on that end. */
  readonly lease: (end: string, ...more: string[]) => Promise<string>
}

export async function createWires(t: Test, area: string): Promise<Wires> {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-wires-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const wire = await createNamespace(area, '10.77.0.1')
  t.teardown(() => wire.close())
  const run = async (file: string, ...args: string[]): Promise<string> => {
    const { exitCode, stdout, stderr } = await wire.run(file, args)
    if (exitCode !== 0) throw new Error(`${file} ${args.join(' ')}: ${stdout}${stderr}`)
    return stdout
  }
  return {
    wire,
    folder,
    run,
    async lease(end, ...more) {
      const script = join(folder, `${end}.sh`)
      writeFileSync(script, `#!/bin/sh\n[ "$1" = bound ] && env > ${folder}/${end}.env\nexit 0\n`, { mode: 0o755 })
      await run('busybox', ...udhcpc(end, script, '5'), ...more)
      return readFileSync(join(folder, `${end}.env`), 'utf8')
    }
  }
}

export function udhcpc(end: string, script: string, tries: string): string[] {
  return ['udhcpc', '-i', end, '-n', '-q', '-f', '-t', tries, '-T', '1', '-s', script]
}

/** A cable: its end <name>0 is the machine's, <name>1 is in the bridge. */
export async function plug({ run }: Wires, name: string, bridge: string): Promise<void> {
  await run('ip', 'link', 'add', `${name}0`, 'type', 'veth', 'peer', 'name', `${name}1`)
  await run('ip', 'link', 'set', `${name}1`, 'master', bridge)
  for (const end of [`${name}0`, `${name}1`]) await run('ip', 'link', 'set', end, 'up')
}

/** Waits until a program has written that. */
export async function seen(background: Background, text: string): Promise<void> {
  const until = performance.now() + 60_000
  while (!background.output().includes(text)) {
    if (performance.now() > until) throw new Error(`${background.name} did not write ${text}: ${background.output()}`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}
