// What the schema of one document cannot say. The shape has been checked before.

import type { ClusterSpec, ProfileSpec, RuleSpec } from '../contract/document.ts'
import type { Problem } from './fault.ts'
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

const placeholders = ['number', 'serial', 'mac', 'id']

export function checkRule({ name }: RuleSpec): readonly Problem[] {
  const used = Array.from(name.matchAll(/\{([^{}]*)\}/g), ([, word]) => word!)
  const unknown = used.filter(word => !placeholders.includes(word))
  const loose = /[{}]/.test(name.replaceAll(/\{[^{}]*\}/g, ''))
  return [
    ...unknown.map(word => ({
      path: 'spec.name',
      message: `{${word}} is unknown; known: ${placeholders.map(known => `{${known}}`).join(' ')}`
    })),
    ...(loose ? [{ path: 'spec.name', message: 'has a brace without its other half' }] : [])
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
