// Packages and images: unpacked into a folder of our own that nobody else can enter, by the programs that know them.
// A package may be hostile: what comes out is bounded in bytes, owners and rights in it are not kept, and what is then
// taken from the folder is walk.ts's to say.

import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { execa } from 'execa'
import { Failure } from '../failure.ts'
import type { Identity } from './owner.ts'

/** A CentOS DVD is 12 GB. */
const UNPACKED_BYTES_MAX = 32 * 1024 ** 3
const UNPACK_MS_MAX = 60 * 60_000

const kinds: ReadonlyArray<readonly [name: RegExp, kind: 'deb' | 'other']> = [
  [/\.deb$/i, 'deb'],
  [/\.(rpm|iso|tar|tgz|tar\.(gz|xz|zst|bz2))$/i, 'other']
]

export function archiveKind(name: string): 'deb' | 'other' | null {
  return kinds.find(([pattern]) => pattern.test(name))?.[1] ?? null
}

/**
 * Everything becomes one tar stream, whose bytes are counted on their way to tar. Throws a Failure that names the
 * program that is missing, or says that the file is broken or unpacks to too much.
 */
export async function unpack(
  file: string,
  name: string,
  folder: string,
  who: Identity,
  bytesMax = UNPACKED_BYTES_MAX
): Promise<void> {
  // Without dpkg, libarchive reads the outer archive and then the one in it.
  const deb: Way[] = [
    [['dpkg-deb', '--fsys-tarfile', file]],
    [
      ['bsdtar', '-xOf', file, 'data.tar*'],
      ['bsdtar', '-cf', '-', '@-']
    ]
  ]
  const ways: Way[] = archiveKind(name) === 'deb' ? deb : [[['bsdtar', '-cf', '-', '--format=pax', `@${file}`]]]
  for (const way of ways) if (await runWay(way, name, folder, who, bytesMax)) return
  const needed = ways.map(([first]) => first?.[0]).join(' or ')
  const packages = 'Debian: dpkg or libarchive-tools; Fedora and CentOS: dpkg or bsdtar'
  throw new Failure(`${name} needs the program ${needed} to be unpacked (${packages})`)
}

/** Commands, each the input of the next. */
type Way = readonly (readonly string[])[]

/** False when a program of it is not installed. */
async function runWay(commands: Way, file: string, folder: string, who: Identity, bytesMax: number): Promise<boolean> {
  const options = {
    reject: false,
    buffer: false,
    stdout: 'pipe',
    stderr: 'pipe',
    extendEnv: false,
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C' },
    timeout: UNPACK_MS_MAX
  } as const
  // No owners, no rights beyond ours. Above the folder, or out of it through a link, no tar goes by itself.
  const extract = ['-xf', '-', '-C', folder, '--no-same-owner', '--no-same-permissions']
  const running = commands.map(([program = '', ...args]) => execa(program, args, options))
  const last = execa('tar', extract, { ...options, ...who.child })
  const all = [...running, last]
  const said = all.map(child => firstText(child.stderr))
  const links = [
    ...running.slice(1).map((child, index) => pipeline(running[index]!.stdout, child.stdin)),
    pipeline(running.at(-1)!.stdout, counted(file, bytesMax), last.stdin)
  ]
  const outcomes = await Promise.allSettled(links)
  const tooMuch = outcomes.find(outcome => outcome.status === 'rejected' && outcome.reason instanceof Failure)
  if (tooMuch !== undefined) for (const child of all) child.kill('SIGKILL')
  const ends = await Promise.all(all)
  if (tooMuch?.status === 'rejected') throw tooMuch.reason
  if (ends.some(({ code }) => code === 'ENOENT')) return false
  const failed = ends.findIndex(({ failed: bad }) => bad)
  if (failed === -1) return true
  // What the first program said is the cause; those behind it only lost their input.
  const texts = await Promise.all(said)
  const text = texts.find(each => each !== '') ?? ends[failed]!.shortMessage ?? ''
  throw new Failure(`${file} cannot be unpacked: ${text}`)
}

function counted(file: string, bytesMax: number): Transform {
  let bytes = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      if (bytes <= bytesMax) return done(null, chunk)
      const limit = `${Math.round(bytesMax / 1024 ** 2)} MiB`
      return done(new Failure(`${file} unpacks to more than ${limit}: that is no boot file or installer`))
    }
  })
}

async function firstText(stream: AsyncIterable<unknown>): Promise<string> {
  let text = ''
  for await (const chunk of stream) if (text.length < 2000) text += String(chunk)
  return text.trim().split('\n').slice(0, 3).join('; ').slice(0, 400)
}
