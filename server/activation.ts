// Sockets that the service manager opened for us (sd_listen_fds(3)): by name, the number of each. Pure; the environment
// is cli/serve.ts's to read. A name is a service and an interface: dhcp-eth1, proxy-eth1, tftp-eth1, boot-eth1; the
// control plane's, which is for all of them, is control.

import { Fault } from './core/fault.ts'

/** The first number that is passed; those before are the standard streams. */
const FIRST = 3
const SOCKETS_MAX = 64

export type Passed = ReadonlyMap<string, number>

export type Service = 'dhcp' | 'proxy' | 'tftp' | 'boot'

/** The control plane's socket. */
export const CONTROL = 'control'

/** None when the variables are meant for another process, as those of a parent are. Throws a Fault for a name twice. */
export function passedSockets(env: Readonly<Record<string, string | undefined>>, pid: number): Passed {
  const { LISTEN_FDS: count = '', LISTEN_PID: meant, LISTEN_FDNAMES: list = '' } = env
  if (meant !== String(pid) || !/^[1-9][0-9]?$/.test(count) || Number(count) > SOCKETS_MAX) return new Map()
  const names = list.split(':')
  const passed = new Map<string, number>()
  for (let i = 0; i < Number(count); i++) {
    const name = names[i] ?? ''
    if (passed.has(name)) {
      const remedy = 'give each socket unit its own FileDescriptorName=, such as dhcp-eth1'
      throw new Fault('invalid', `two of the sockets that were passed are called ${JSON.stringify(name)}: ${remedy}`)
    }
    passed.set(name, FIRST + i)
  }
  return passed
}

/** Throws a Fault that names those that are expected when one was passed that nobody would take. */
export function requireKnown(passed: Passed, services: readonly Service[], interfaces: readonly string[]): void {
  const known = [...interfaces.flatMap(name => services.map(service => socketName(service, name))), CONTROL]
  const stranger = [...passed.keys()].find(name => !known.includes(name))
  if (stranger === undefined) return
  const remedy = `FileDescriptorName= must be one of ${known.join(', ')}`
  throw new Fault('invalid', `a socket called ${JSON.stringify(stranger)} was passed, which is nobody's: ${remedy}`)
}

export function socketName(service: Service, interfaceName: string): string {
  return `${service}-${interfaceName}`
}
