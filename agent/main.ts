#!/usr/bin/env node
// The agent's command line. Says its first line at once and loads the rest afterwards: on a slow disk the reader of the
// journal sees that it started.

import { parseArgs } from 'node:util'
import { createLog } from './log.ts'
import { AGENT_VERSION } from './version.ts'

// Read by libuv when its first thread starts. Each thread brings a heap of its own, and nothing here is done in
// parallel; the second is for a name look-up that hangs.
process.env['UV_THREADPOOL_SIZE'] ??= '2'

const help = `slipway-agent: makes this machine a node of a Kubernetes cluster, and keeps it up to date

  slipway-agent run [options]    enrols with the server, joins the cluster, follows the labels of its Node
  slipway-agent version          says its version
  slipway-agent help             says this

  --config FILE   configuration, below the root       (default /etc/slipway/agent.json)
  --root DIR      prefix of every path it reads or writes, /sys, /proc and /etc/kubernetes included (default /)
  --path PATH     where the programs it starts are    (default /usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin)

It starts kubeadm, systemctl, systemd-sysext, modprobe and kubelet, never a shell; they get SLIPWAY_ROOT=<root>.
Its state is in /var/lib/slipway-agent; one JSON object a line goes to standard output.
`

interface RunOptions {
  readonly config: string
  readonly root: string
  readonly path: string
}

type Command = { kind: 'run'; options: RunOptions } | { kind: 'print'; text: string } | { kind: 'wrong'; text: string }

function parseCommand(args: readonly string[]): Command {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        config: { type: 'string', default: '/etc/slipway/agent.json' },
        root: { type: 'string', default: '/' },
        path: { type: 'string', default: '/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin' },
        help: { type: 'boolean', short: 'h', default: false }
      }
    })
    if (values.help || positionals[0] === 'help') return { kind: 'print', text: help }
    if (positionals.length !== 1) return { kind: 'wrong', text: 'say one of: run, version, help' }
    if (positionals[0] === 'version') return { kind: 'print', text: `${AGENT_VERSION}\n` }
    if (positionals[0] === 'run') return { kind: 'run', options: values }
    return { kind: 'wrong', text: `there is no command ${positionals[0]}: say run, version or help` }
  } catch (error) {
    return { kind: 'wrong', text: error instanceof Error ? error.message : String(error) }
  }
}

async function runAgent({ config, root, path }: RunOptions): Promise<void> {
  const stop = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort())
  const log = createLog(
    line => process.stdout.write(line),
    () => new Date()
  )
  log.info('agent.started', { version: AGENT_VERSION, pid: process.pid })
  const { serve } = await import('./serve.ts')
  await serve({ config, root, path, log }, stop.signal)
  log.info('agent.stopped')
}

const command = parseCommand(process.argv.slice(2))
switch (command.kind) {
  case 'print':
    process.stdout.write(command.text)
    break
  case 'wrong':
    process.stderr.write(`slipway-agent: ${command.text}\n`)
    process.exitCode = 2
    break
  case 'run':
    runAgent(command.options).catch((error: unknown) => {
      // The one handler of bugs and of a start that cannot be: systemd starts us again, the journal knows where.
      const message = error instanceof Error && error.name === 'Fault' ? error.message : (error as Error).stack
      process.stderr.write(`slipway-agent: ${message}\n`)
      process.exitCode = 1
    })
}
