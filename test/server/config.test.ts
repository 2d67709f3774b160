// slipway.yaml: what is accepted, every problem of what is not, the file around it, and what init writes.

import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { writeInit } from '../../server/cli/init-text.ts'
import { checkConfig } from '../../server/config/config.ts'
import type { Config } from '../../server/config/schema.ts'
import { formatProblems } from '../../server/core/problems.ts'
import { readConfig } from '../../server/config/files.ts'
import { parseYaml } from '../../server/yaml.ts'

const example = `
data: /var/lib/slipway
database: null
interfaces: [eth1]
dhcp:
  mode: authoritative
  ports: {server: 67, client: 68, proxy: 4011}
  subnets:
    - {subnet: 10.0.0.0/24, pool: 10.0.0.100-10.0.0.199, gateway: 10.0.0.1, dns: [10.0.0.1], domain: rack.example, lease: 1h}
  leases: {durability: written}
  probe: false
  advertise: false
tftp: {port: 69}
boot: {port: 8080, url: null}
control: {port: 8443, url: null, certificate: null, key: null}
cluster: {kubeconfig: /etc/slipway/kubeconfig}
log: {level: info}
`

function problemsOf(text: string): string[] {
  const checked = checkConfig(parseYaml(text, 'slipway.yaml')[0])
  return 'problems' in checked ? formatProblems(checked.problems).split('\n') : []
}

function configOf(text: string): Config {
  const checked = checkConfig(parseYaml(text, 'slipway.yaml')[0])
  if ('problems' in checked) throw new Error(formatProblems(checked.problems))
  return checked.config
}

t.test('the example of the documentation', async t => {
  const config = configOf(example)
  t.same(config, {
    data: '/var/lib/slipway',
    user: null,
    database: null,
    interfaces: ['eth1'],
    dhcp: {
      mode: 'authoritative',
      ports: { server: 67, client: 68, proxy: 4011 },
      subnets: [
        {
          subnet: '10.0.0.0/24',
          pool: { first: '10.0.0.100', last: '10.0.0.199' },
          gateway: '10.0.0.1',
          dns: ['10.0.0.1'],
          domain: 'rack.example',
          leaseSeconds: 3600
        }
      ],
      leases: { durability: 'written' },
      probe: false,
      advertise: false
    },
    tftp: { port: 69 },
    boot: { port: 8080, url: null, loader: 'ipxe', tls: null },
    control: { port: 8443, url: null, certificate: null, key: null },
    cluster: { kubeconfig: '/etc/slipway/kubeconfig' },
    log: { level: 'info' }
  })
  t.throws(() => Object.assign(config.dhcp.ports, { server: 1 }), TypeError, 'frozen through and through')
})

t.test('defaults', async t => {
  const config = configOf('data: /d\ninterfaces: [lo]\n')
  t.match(config, {
    database: null,
    dhcp: {
      mode: 'proxy',
      ports: { server: 67, client: 68, proxy: 4011 },
      subnets: [],
      leases: { durability: 'committed' },
      probe: true,
      advertise: true
    }
  })
  t.match(config, {
    tftp: { port: 69 },
    boot: { port: 8080 },
    control: { port: 8443 },
    cluster: null,
    log: { level: 'info' }
  })
  t.equal(configOf('{data: /d, interfaces: [lo], boot: {url: "http://b:80/"}}').boot.url, 'http://b:80')
})

t.test('all problems at once, each with its path', async t => {
  const text = `
dta: /var/lib/slipway
interfaces: eth1
dhcp: {mode: proxi, ports: {server: "67"}, subnets: [{subnet: 10.0.0.0/24, gateway: nowhere}]}
tftp: {port: 70000}
log: {levels: info}
`
  t.same(problemsOf(text), [
    'data: is missing',
    'dta: is unknown; did you mean data?',
    'interfaces: must be a list',
    'dhcp.mode: must be authoritative or proxy or off',
    'dhcp.ports.server: must be a whole number',
    'dhcp.subnets[0].pool: is missing',
    'dhcp.subnets[0].gateway: "nowhere" is not a valid ipv4',
    'tftp.port: must be <= 65535',
    'log.levels: is unknown; did you mean level?'
  ])
  t.same(problemsOf('[1]'), ['must be a mapping'])
  t.same(problemsOf('hello'), ['must be a mapping'])
})

t.test('combinations that cannot be', async t => {
  const subnet = (text: string) => `dhcp: {mode: authoritative, subnets: [${text}]}`
  const rows: [name: string, text: string, want: string[]][] = [
    ['an interface twice', 'interfaces: [a, b, a]', ['interfaces: names a twice']],
    [
      'a password',
      'database: "postgres://u:hunter2@h/d"',
      ['database: must not hold a password; put it into a file and name that in PGPASSFILE (mode 0600)']
    ],
    [
      'another database',
      'database: mysql://h/d',
      ['database: must be null (SQLite in the data folder) or postgres://user@host/name']
    ],
    ['a socket', 'database: "postgres:///slipway?host=/run/postgresql"', []],
    [
      'authoritative of nothing',
      'dhcp: {mode: authoritative}',
      ['dhcp.subnets: is missing: mode authoritative gives out addresses and needs at least one subnet with a pool']
    ],
    [
      'a proxy with a pool',
      'dhcp: {mode: proxy, subnets: [{subnet: 10.0.0.0/24, pool: 10.0.0.2-10.0.0.3}]}',
      ['dhcp.subnets: must be empty: mode proxy gives out no addresses; use mode authoritative, or remove them']
    ],
    [
      'a pool outside',
      subnet('{subnet: 10.0.0.0/24, pool: 10.0.0.9-10.0.1.9}'),
      ['dhcp.subnets[0].pool: its last address 10.0.1.9 is outside 10.0.0.0/24']
    ],
    [
      'a pool backwards',
      subnet('{subnet: 10.0.0.0/24, pool: 10.0.0.9-10.0.0.2}'),
      ['dhcp.subnets[0].pool: 10.0.0.9 comes after 10.0.0.2']
    ],
    [
      'half a pool',
      subnet('{subnet: 10.0.0.0/24, pool: 10.0.0.9}'),
      ['dhcp.subnets[0].pool: must be two addresses, such as 10.0.0.100-10.0.0.199']
    ],
    [
      'no pool',
      subnet('{subnet: 10.0.0.0/24, pool: 10.0.0.x-10.0.0.300}'),
      [
        'dhcp.subnets[0].pool: its first address "10.0.0.x" is not an IPv4 address',
        'dhcp.subnets[0].pool: its last address "10.0.0.300" is not an IPv4 address'
      ]
    ],
    [
      'the whole network',
      subnet('{subnet: 10.0.0.0/24, pool: 10.0.0.0-10.0.0.255}'),
      ["dhcp.subnets[0].pool: holds the network's first or last address of 10.0.0.0/24, which no machine may have"]
    ],
    [
      'the router',
      subnet('{subnet: 10.0.0.0/24, pool: 10.0.0.1-10.0.0.9, gateway: 10.0.0.1}'),
      ['dhcp.subnets[0].pool: holds the gateway 10.0.0.1']
    ],
    [
      'a far gateway',
      subnet('{subnet: 10.0.0.0/24, pool: 10.0.0.2-10.0.0.9, gateway: 10.0.1.1}'),
      ['dhcp.subnets[0].gateway: the gateway 10.0.1.1 is outside 10.0.0.0/24']
    ],
    [
      'host bits',
      subnet('{subnet: 10.0.0.1/24, pool: 10.0.0.2-10.0.0.9}'),
      ['dhcp.subnets[0].subnet: 10.0.0.1/24 is not a network such as 10.0.0.0/24 (bits after the prefix must be 0)']
    ],
    [
      'two of one',
      subnet('{subnet: 10.0.0.0/16, pool: 10.0.0.2-10.0.0.9}, {subnet: 10.0.1.0/24, pool: 10.0.1.2-10.0.1.9}'),
      ['dhcp.subnets[1].subnet: overlaps dhcp.subnets[0].subnet']
    ],
    [
      'a strange lease',
      subnet('{subnet: 10.0.0.0/24, pool: 10.0.0.2-10.0.0.9, lease: 1 hour}'),
      ['dhcp.subnets[0].lease: "1 hour" is not a duration such as 90s, 30m, 1h or 7d']
    ],
    [
      'a short lease',
      subnet('{subnet: 10.0.0.0/24, pool: 10.0.0.2-10.0.0.9, lease: 1s}'),
      ['dhcp.subnets[0].lease: must be between 1m and 30d']
    ],
    ['a good lease', subnet('{subnet: 10.0.0.0/24, pool: 10.0.0.2-10.0.0.9, lease: 30m}'), []],
    ['one UDP port twice', 'tftp: {port: 67}', ['tftp.port: must differ from dhcp.ports.server (67)']],
    ['one TCP port twice', 'boot: {port: 8443}', ['control.port: must differ from boot.port (8443)']],
    ['two TLS ports', 'boot: {tls: {port: 8443}}', ['control.port: must differ from boot.tls.port (8443)']],
    ['TLS with defaults', 'boot: {tls: {}}', []],
    [
      'TLS without TLS',
      'boot: {tls: {url: "http://b"}}',
      ['boot.tls.url: must be null or of the form https://slipway.example:8444, without user, path or query']
    ],
    ['UDP and TCP of one number', 'boot: {port: 69}', []],
    ['any free ports', 'boot: {port: 0}\ncontrol: {port: 0}', []],
    [
      'talking to itself',
      'dhcp: {ports: {client: 67}}',
      ['dhcp.ports.client: must differ from dhcp.ports.server (67)']
    ],
    [
      'a certificate alone',
      'control: {certificate: /c}',
      ['control.key: is missing: certificate and key go together (both null: our own authority issues one)']
    ],
    [
      'a key alone',
      'control: {key: /k}',
      ['control.certificate: is missing: certificate and key go together (both null: our own authority issues one)']
    ],
    [
      'boot by https',
      'boot: {url: "https://b"}',
      ['boot.url: must be null or of the form http://slipway.example:8080, without user, path or query']
    ],
    [
      'hostile URL',
      'boot: {url: "http://b${mac}"}',
      ['boot.url: must be null or of the form http://slipway.example:8080, without user, path or query']
    ],
    [
      'control by http',
      'control: {url: "http://c"}',
      ['control.url: must be null or of the form https://slipway.example:8443, without user, path or query']
    ],
    [
      'control with a path',
      'control: {url: "https://c/x"}',
      ['control.url: must be null or of the form https://slipway.example:8443, without user, path or query']
    ],
    ['good URLs', 'boot: {url: "http://b:1"}\ncontrol: {url: "https://[fd00::1]:2"}', []]
  ]
  for (const [name, text, want] of rows) {
    const interfaces = text.startsWith('interfaces') ? '' : 'interfaces: [lo]\n'
    t.same(problemsOf(`data: /d\n${interfaces}${text}\n`), want, name)
  }
  t.notMatch(problemsOf('data: /d\ninterfaces: [lo]\ndatabase: "postgres://u:hunter2@h/d"').join(''), 'hunter2')
})

t.test('the file', async t => {
  const folder = t.testdir({
    'good.yaml': example,
    'bad.yaml': 'data: 1\nlogs: {}\n',
    'broken.yaml': 'data: [\n',
    'empty.yaml': '# nothing\n',
    'two.yaml': 'a: 1\n---\nb: 1\n'
  })
  t.equal((await readConfig(join(folder, 'good.yaml'))).data, '/var/lib/slipway')
  await t.rejects(readConfig(join(folder, 'none.yaml')), { code: 'not_found', message: /slipway init writes one/ })
  await t.rejects(readConfig(folder), { code: 'invalid', message: /is a folder/ })
  await t.rejects(readConfig(join(folder, 'empty.yaml')), { code: 'invalid', message: /is empty; slipway init/ })
  await t.rejects(readConfig(join(folder, 'two.yaml')), { code: 'invalid', message: /several documents/ })
  await t.rejects(readConfig(join(folder, 'broken.yaml')), {
    code: 'invalid',
    problems: [{ path: /broken.yaml:\d+$/ }]
  })
  await t.rejects(readConfig(join(folder, 'bad.yaml')), {
    code: 'invalid',
    message: /has 3 problems; nothing was started/,
    problems: [{ path: 'interfaces' }, { path: 'logs' }, { path: 'data' }]
  })
  if (process.getuid?.() === 0) return
  chmodSync(join(folder, 'good.yaml'), 0)
  await t.rejects(readConfig(join(folder, 'good.yaml')), { code: 'forbidden' })
})

t.test('init writes what check accepts', async t => {
  const lo = {
    name: 'lo',
    internal: true,
    addresses: [{ family: 'IPv4', address: '127.0.0.1', cidr: '127.0.0.1/8' }]
  } as const
  const bare = {
    name: 'eth0',
    internal: false,
    addresses: [{ family: 'IPv6', address: 'fe80::1', cidr: 'fe80::1/64' }]
  } as const
  const eth1 = {
    name: 'eth1',
    internal: false,
    addresses: [{ family: 'IPv4', address: '10.0.0.1', cidr: '10.0.0.1/24' }]
  } as const
  const interfaces = [lo, bare, eth1]
  const made = writeInit({ interfaces, wanted: null, data: '/var/lib/sli"pway: #x' })
  t.equal(made.interface, 'eth1')
  const config = configOf(made.config)
  t.same(config.interfaces, ['eth1'])
  t.equal(config.data, '/var/lib/sli"pway: #x')
  t.match(made.firewall.join('\n'), /67\/udp.*69\/udp.*4011\/udp.*8080\/tcp.*8443\/tcp/)
  t.equal(writeInit({ interfaces, wanted: 'lo', data: '/d' }).address, '127.0.0.1')
  t.throws(() => writeInit({ interfaces, wanted: 'eth0', data: '/d' }), {
    message: 'interface eth0 has no IPv4 address; there are: lo, eth1'
  })
  t.throws(() => writeInit({ interfaces, wanted: 'eth9', data: '/d' }), {
    message: 'interface eth9 does not exist; there are: lo, eth1'
  })
  t.throws(() => writeInit({ interfaces: [lo], wanted: null, data: '/d' }), { code: 'not_found' })
})
