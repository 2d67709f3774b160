import t from 'tap'
import { identifyPeer, type KnownCertificate, refuseMachine } from '../../../server/core/peer.ts'

const now = new Date('2026-01-02T12:00:00.000Z')
const after = (seconds: number): Date => new Date(now.getTime() + seconds * 1000)

const machine: KnownCertificate = { kind: 'machine', machine: 'm-1', boot: null, expiresAt: after(1), revokedAt: null }
const boot: KnownCertificate = { ...machine, kind: 'boot', boot: 'b-1' }
const server: KnownCertificate = { ...machine, kind: 'server', machine: null }

type Row = [name: string, certificate: KnownCertificate | null, wanted: 'boot' | 'machine', want: object]
const rows: Row[] = [
  ['a machine', machine, 'machine', { kind: 'machine', machine: 'm-1' }],
  ['a boot', boot, 'boot', { kind: 'boot', boot: 'b-1' }],
  ['nobody we know', null, 'machine', { code: 'unauthorized', reason: /of this server’s authority/ }],
  ['a machine that was retired', { ...machine, revokedAt: now }, 'machine', { code: 'forbidden', reason: /revoked/ }],
  ['revoked at a later time is revoked', { ...machine, revokedAt: after(9) }, 'machine', { code: 'forbidden' }],
  [
    'in the moment of its expiry',
    { ...machine, expiresAt: now },
    'machine',
    { code: 'unauthorized', reason: /expired/ }
  ],
  ['revoked and expired', { ...machine, expiresAt: now, revokedAt: now }, 'machine', { code: 'forbidden' }],
  [
    'a boot where a machine is wanted',
    boot,
    'machine',
    { code: 'forbidden', reason: /of a machine; yours.* of a boot/ }
  ],
  [
    'a machine where a boot is wanted',
    machine,
    'boot',
    { code: 'forbidden', reason: /of a boot; yours.* of a machine/ }
  ],
  ['our own server', server, 'machine', { code: 'forbidden', reason: /yours is that of a server/ }],
  [
    'a machine certificate that names none',
    { ...machine, machine: null },
    'machine',
    { code: 'forbidden', reason: /names no/ }
  ],
  ['a boot certificate that names none', { ...boot, boot: null }, 'boot', { code: 'forbidden', reason: /names no/ }]
]

for (const [name, certificate, wanted, want] of rows) {
  t.test(name, async t =>
    t.match(identifyPeer(certificate, wanted, now), { kind: 'code' in want ? 'refused' : wanted, ...want })
  )
}

t.test('a retired machine is refused, whatever it shows', async t => {
  t.match(refuseMachine('retired'), /retired/)
  for (const state of ['enrolled', 'ready', 'maintenance', 'failed', 'installing'] as const)
    t.equal(refuseMachine(state), null)
})
