// The TFTP programs that people have, against the live server on loopback: atftp, tftp-hpa's tftp, curl, busybox, and
// npm's tftp. Each fetches small and large files with the options that it knows; what arrives is compared by digest, and
// a file that is not there is said in the program's own words.

import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { fetchByTftp } from '../../server/cli/doctor/tftp.ts'
import { openMemory } from '../../server/data/assets/memory/files.ts'
import { toNetascii } from '../../server/tftp/session.ts'
import { startTftp, type Transfer } from '../../server/tftp/server.ts'
import { openCarrier } from '../../server/tftp/thread/client.ts'
import { findProgram, needs } from '../helpers/require.ts'

const RUN_MS_MAX = 60_000

const folder = mkdtempSync(join(tmpdir(), 'slipway-tftp-clients-'))
/** Sizes about a block's, and beyond 65,535 blocks of 512 and of 1468 bytes: block numbers begin again at 0. */
const files: Record<string, Buffer> = {
  empty: Buffer.alloc(0),
  'text.cfg': Buffer.from('set timeout=1\nboot\r\nend\rof\n'),
  'whole.bin': pattern(4 * 512),
  'ipxe.efi': pattern(1_048_577),
  'vmlinuz-34M': pattern(34_000_000),
  'initrd-97M': pattern(97_000_000)
}
for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes)

const readFile = openMemory()
const transfers: Transfer[] = []
const failures: unknown[] = []
const carrier = openCarrier(error => failures.push(error))
const server = await startTftp('127.0.0.1', 0, {
  read: async name => readFile(join(folder, name)),
  done: transfer => void transfers.push(transfer),
  failed: error => void failures.push(error),
  now: () => new Date(),
  carrier
})
t.teardown(async () => {
  await server.close()
  await carrier.close()
  rmSync(folder, { recursive: true, force: true })
})
const port = String(server.port)

/** A pattern that is not the same at any two blocks, so that one in the place of another is seen. */
function pattern(length: number): Buffer {
  const chunk = randomBytes(65_521) // a prime: no block size divides it
  return Buffer.concat(
    Array.from({ length: Math.ceil(length / chunk.length) }, () => chunk),
    length
  )
}

interface Ran {
  readonly code: number
  readonly text: string
}

function run(program: string, args: readonly string[]): Promise<Ran> {
  return new Promise(resolve => {
    const options = { timeout: RUN_MS_MAX, cwd: folder, env: { PATH: process.env.PATH, LC_ALL: 'C' } }
    execFile(findProgram(program) ?? program, args, options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 255), text: stdout + stderr })
    })
  })
}

type Mode = 'octet' | 'netascii'
interface Options {
  readonly blockSize?: number
  readonly windowSize?: number
  readonly mode?: Mode
}

interface Client {
  readonly program: string
  readonly fetch: (name: string, to: string, options: Options) => Promise<Ran>
  readonly fetches: ReadonlyArray<readonly [name: string, options: Options]>
  /** What it says of a file that is not there. */
  readonly missing: { readonly code: number; readonly text: RegExp }
  /** Whether it turns line ends back in netascii, or writes what came. */
  readonly netascii: 'turned back' | 'as it came' | 'not known'
}

const plain: Client['fetches'] = ['empty', 'text.cfg', 'whole.bin', 'ipxe.efi', 'vmlinuz-34M'].map(name => [name, {}])

const clients: readonly Client[] = [
  {
    program: 'atftp',
    fetch(name, to, { blockSize, windowSize, mode }) {
      const options = [
        ...(blockSize === undefined ? [] : [`blksize ${blockSize}`, 'tsize 0', 'timeout 2']),
        ...(windowSize === undefined ? [] : [`windowsize ${windowSize}`]),
        ...(mode === undefined ? [] : [`mode ${mode}`])
      ]
      const flags = options.flatMap(option => ['--option', option])
      return run('atftp', [...flags, '--get', '--remote-file', name, '--local-file', to, '127.0.0.1', port])
    },
    fetches: [
      ...plain,
      ['ipxe.efi', { blockSize: 1024, windowSize: 4 }],
      ['initrd-97M', { blockSize: 1468, windowSize: 16 }]
    ],
    missing: { code: 255, text: /error received from server <file not found>/ },
    netascii: 'turned back'
  },
  {
    program: 'tftp',
    fetch: (name, to, { mode }) =>
      run('tftp', ['127.0.0.1', port, '-m', mode === 'netascii' ? 'ascii' : 'octet', '-c', 'get', name, to]),
    fetches: plain,
    missing: { code: 0, text: /Error code 1: file not found/ }, // it ends with 0 all the same
    netascii: 'turned back'
  },
  {
    program: 'curl',
    fetch: (name, to, { blockSize, mode }) =>
      run('curl', [
        '--silent',
        '--show-error',
        '--output',
        to,
        ...(blockSize === undefined ? ['--tftp-no-options'] : ['--tftp-blksize', String(blockSize)]),
        ...(mode === 'netascii' ? ['--use-ascii'] : []),
        `tftp://127.0.0.1:${port}/${name}`
      ]),
    fetches: [...plain, ['ipxe.efi', { blockSize: 1024 }], ['initrd-97M', { blockSize: 1468 }]],
    missing: { code: 68, text: /curl: \(68\)/ }, // "file not found on TFTP server"
    netascii: 'as it came'
  },
  {
    program: 'busybox',
    fetch(name, to, { blockSize }) {
      const size = blockSize === undefined ? [] : ['-b', String(blockSize)]
      return run('busybox', ['tftp', ...size, '-g', '-r', name, '-l', to, '127.0.0.1', port])
    },
    fetches: [...plain, ['ipxe.efi', { blockSize: 1428 }], ['initrd-97M', { blockSize: 1468 }]],
    missing: { code: 1, text: /tftp: server error: \(1\) file not found/ },
    netascii: 'not known'
  }
]

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

for (const { program, fetch, fetches, missing, netascii } of clients) {
  t.test(program, needs({ programs: [program] }), async t => {
    const to = join(folder, `from-${program}`)
    for (const [name, options] of fetches) {
      rmSync(to, { force: true })
      const { code, text } = await fetch(name, to, options)
      const title = `${name} ${JSON.stringify(options)}`
      t.equal(code, 0, `${title} ${text}`)
      t.equal(sha256(readFileSync(to)), sha256(files[name]!), title)
    }
    if (netascii !== 'not known') {
      rmSync(to, { force: true })
      t.equal((await fetch('text.cfg', to, { mode: 'netascii' })).code, 0)
      const text = files['text.cfg']!
      t.same(readFileSync(to), netascii === 'turned back' ? text : toNetascii(text), `netascii, ${netascii}`)
    }
    const absent = await fetch('absent.efi', to, {})
    t.equal(absent.code, missing.code)
    t.match(absent.text, missing.text)
  })
}

t.test('npm tftp', async t => {
  for (const name of ['empty', 'text.cfg', 'whole.bin', 'ipxe.efi', 'vmlinuz-34M']) {
    const bytes = await fetchByTftp('127.0.0.1', server.port, name, RUN_MS_MAX)
    t.equal(sha256(bytes), sha256(files[name]!), name)
  }
  await t.rejects(fetchByTftp('127.0.0.1', server.port, 'absent.efi', 5_000), { message: /file not found/i })
})

t.test('what the server saw', async t => {
  const outcomes = new Map<string, number>()
  for (const { outcome } of transfers) outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  t.comment(JSON.stringify(Object.fromEntries(outcomes)))
  for (const wrong of ['busy', 'timed out', 'client gone']) t.equal(outcomes.get(wrong) ?? 0, 0, wrong)
  t.same(failures, [])
})
