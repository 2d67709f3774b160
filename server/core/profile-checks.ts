// What the schema of one document cannot say. The shape has been checked before.

import type { ClusterSpec, MachineSpec, ProfileSpec, RuleSpec } from '../contract/document.ts'
import type { Problem } from './fault.ts'
import { usableUuid } from './identity.ts'
import { parseSubnet } from './subnet.ts'

export function checkProfile({ os, packages, files = [], units = [], users = [] }: ProfileSpec): readonly Problem[] {
  return [
    ...(os.name === 'centos-stream' && !['9', '10'].includes(os.version)
      ? [{ path: 'spec.os.version', message: `centos-stream is 9 or 10, not ${os.version}` }]
      : []),
    ...(os.name === 'fedora-coreos' && packages !== undefined && packages.length > 0
      ? [
          {
            path: 'spec.packages',
            message: 'fedora-coreos installs no packages; put the programs into files, or use centos-stream'
          }
        ]
      : []),
    ...files.flatMap(({ path }, index) => checkPath(path, `spec.files[${index}].path`)),
    ...twins(files.map(({ path }) => path)).map(index => twice(`spec.files[${index}].path`)),
    ...twins(units.map(({ name }) => name)).map(index => twice(`spec.units[${index}].name`)),
    ...twins(users.map(({ name }) => name)).map(index => twice(`spec.users[${index}].name`))
  ]
}

/** These are written for each boot: a profile that had them would break the machine's tie to this server. */
const reserved = ['/etc/slipway', '/etc/hostname', '/usr/local/bin/slipway-agent', '/var/lib/slipway-agent']

function checkPath(path: string, place: string): readonly Problem[] {
  if (path.slice(1).split('/').some(leaves)) {
    return [{ path: place, message: 'must be a plain path: no empty part, no . and no ..' }]
  }
  const owner = reserved.find(own => path === own || path.startsWith(`${own}/`))
  return owner === undefined ? [] : [{ path: place, message: `${owner} is written by Slipway itself` }]
}

function leaves(part: string): boolean {
  return part === '' || part === '.' || part === '..'
}

function twice(path: string): Problem {
  return { path, message: 'is given more than once' }
}

/** Positions of the values that were there before. */
function twins(values: readonly string[]): readonly number[] {
  return [...values.keys()].filter(index => values.indexOf(values[index]!) < index)
}

export function checkRule({ name, position }: RuleSpec): readonly Problem[] {
  return [...checkPattern(name, 'spec.name', ['number', 'serial', 'mac', 'id']), ...checkPosition(position)]
}

export function checkMachine({ macs, clientId, uuid, switchPort, position }: MachineSpec): readonly Problem[] {
  const nothing = [macs, clientId, uuid, switchPort].every(each => each === undefined)
  const blank = uuid !== undefined && usableUuid(uuid) === null
  return [
    ...(nothing
      ? [{ path: 'spec', message: 'needs one of macs, clientId, uuid, switchPort to know the machine by' }]
      : []),
    ...(blank ? [{ path: 'spec.uuid', message: `${uuid} is no machine's own: vendors ship it on every board` }] : []),
    ...checkPosition(position)
  ]
}

function checkPosition(position: string | undefined): readonly Problem[] {
  return position === undefined ? [] : checkPattern(position, 'spec.position', ['switch', 'port'])
}

function checkPattern(pattern: string, path: string, placeholders: readonly string[]): readonly Problem[] {
  const used = Array.from(pattern.matchAll(/\{([^{}]*)\}/g), ([, word]) => word!)
  const unknown = used.filter(word => !placeholders.includes(word))
  const loose = /[{}]/.test(pattern.replaceAll(/\{[^{}]*\}/g, ''))
  const known = placeholders.map(each => `{${each}}`).join(' ')
  return [
    ...unknown.map(word => ({ path, message: `{${word}} is unknown; known: ${known}` })),
    ...(loose ? [{ path, message: 'has a brace without its other half' }] : [])
  ]
}

export function checkCluster({ endpoint, podSubnet, serviceSubnet }: ClusterSpec): readonly Problem[] {
  const port = Number(endpoint.split(':')[1])
  return [
    ...(port >= 1 && port <= 65_535 ? [] : [{ path: 'spec.endpoint', message: 'the port must be 1 to 65535' }]),
    ...checkSubnet(podSubnet, 'spec.podSubnet'),
    ...checkSubnet(serviceSubnet, 'spec.serviceSubnet')
  ]
}

function checkSubnet(text: string | undefined, path: string): readonly Problem[] {
  if (text === undefined || parseSubnet(text) !== null) return []
  return [{ path, message: `${text} is not an IPv4 network such as 10.244.0.0/16` }]
}
