// Stands for every program of a simulated machine: kubeadm, systemctl, systemd-sysext, curl… It hands its arguments
// to the rack and prints what the rack answers; it knows nothing itself.
// Started as: node program.ts SOCKET MACHINE PROGRAM ARGUMENT…

import { connect } from 'node:net'
import { text } from 'node:stream/consumers'

const [socket = '', machine = '', program = '', ...args] = process.argv.slice(2)

interface Answer {
  code: number
  stdout: string
  stderr: string
}

const connection = connect(socket)
connection.on('error', error => {
  process.stderr.write(`${program}: the simulated rack is gone (${error.message})\n`)
  process.exitCode = 125
})
connection.write(`${JSON.stringify({ machine, program, args, env: sysroot() })}\n`)
const reply = await text(connection)
if (reply !== '') {
  const { code, stdout, stderr } = JSON.parse(reply) as Answer
  process.stdout.write(stdout)
  process.stderr.write(stderr)
  process.exitCode = code
} else if (process.exitCode === undefined) process.exitCode = 125

/** The only variables that the simulated programs look at. */
function sysroot(): Record<string, string> {
  const { SLIPWAY_ROOT = '', SLIPWAY_SYSROOT = '' } = process.env
  return { SLIPWAY_ROOT, SLIPWAY_SYSROOT }
}
