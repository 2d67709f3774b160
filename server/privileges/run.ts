// Root's rights, for as long as they are needed: low ports and raw sockets are opened with them, everything else is
// done as an ordinary user from the first file on, and when all is open they are gone for good. Changes of user are the
// whole process's: the C library makes them in every thread.

import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  constants,
  fchownSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync
} from 'node:fs'
import { dirname, join } from 'node:path'
import { Fault } from '../core/fault.ts'

export interface Rights {
  /** Opens what only root may open. */
  readonly raised: <T>(work: () => Promise<T>) => Promise<T>
  /** After it nothing brings them back. Throws when anything would. */
  readonly drop: () => void
}

/** Of a server that stays who it is. */
export const sameUser: Rights = { raised: work => work(), drop: () => undefined }

interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/**
 * From here on this process works as that user, in a data folder of that user's, which is made if need be. Throws a
 * Fault with the remedy when the user or the folder is not as it must be.
 */
export function workAs(user: string, data: string): Rights {
  const account = findAccount(user)
  if (process.geteuid?.() !== 0) {
    if (process.geteuid?.() === account.uid) return sameUser
    throw new Fault('forbidden', `only root can run the server as ${user}: start it as root, or as ${user} itself`)
  }
  if (account.uid === 0) throw new Fault('invalid', `user ${user} is root itself: name another one`)
  ownFolder(data, account)
  const lower = (): void => {
    process.setegid!(account.gid)
    process.seteuid!(account.uid)
  }
  // Node has it; its types do not know.
  const { initgroups } = process as unknown as { initgroups: (user: string, group: number) => void }
  initgroups(user, account.gid)
  lower()
  return {
    async raised(work) {
      process.seteuid!(0)
      process.setegid!(0)
      try {
        return await work()
      } finally {
        lower()
      }
    },
    drop() {
      process.seteuid!(0)
      process.setgid!(account.gid)
      process.setuid!(account.uid)
      requireGone(account)
    }
  }
}

/** For what root prepares before the server's first start. Throws the same Faults as workAs(). */
export function makeFolderFor(user: string, data: string): void {
  ownFolder(data, findAccount(user))
}

/** Asked of `id`, which knows every source of users that the system has. */
function findAccount(name: string): Account {
  const ask = (flag: string): number => {
    const text = execFileSync('id', [flag, '--', name], {
      encoding: 'utf8',
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 10_000
    })
    return Number(text)
  }
  try {
    return { name, uid: ask('-u'), gid: ask('-g') }
  } catch (cause) {
    const remedy = `useradd --system --home-dir /var/lib/slipway --shell /usr/sbin/nologin ${name}, or name another`
    throw new Fault('not_found', `there is no user ${name}: ${remedy}`, { cause })
  }
}

/**
 * Made for the user when it is not there. One that belongs to somebody else is refused and not changed: what is in it
 * may be anybody's, and links in it could lead anywhere.
 */
function ownFolder(data: string, { name, uid, gid }: Account): void {
  const found = statSync(data, { throwIfNoEntry: false })
  if (found === undefined) {
    mkdirSync(dirname(data), { recursive: true, mode: 0o755 })
    mkdirSync(data, { mode: 0o700 })
    chmodSync(data, 0o700)
    const folder = openSync(data, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
    try {
      fchownSync(folder, uid, gid)
    } finally {
      closeSync(folder)
    }
    return
  }
  const strange = found.uid === uid ? findStrange(data, uid) : data
  if (strange === null) return
  throw new Fault('forbidden', `${strange} does not belong to ${name}: chown -R ${name}: ${data}, then start again`)
}

/** What an earlier run as root has left: the server could not write it. */
function findStrange(data: string, uid: number): string | null {
  const own = [
    'slipway.db',
    'slipway.db-wal',
    'slipway.db-shm',
    'admin.token',
    'run.json',
    'ca',
    'ca/ca.key',
    'boot',
    'assets'
  ]
  const paths = own.map(path => join(data, path))
  return paths.find(path => (statSync(path, { throwIfNoEntry: false })?.uid ?? uid) !== uid) ?? null
}

/** Looked at from outside, thread by thread: a right that one of them has kept is everybody's. */
function requireGone({ name, uid, gid }: Account): void {
  const user = [uid, uid, uid, uid].join('\t')
  const group = [gid, gid, gid, gid].join('\t')
  for (const thread of readdirSync('/proc/self/task')) {
    const status = readFileSync(`/proc/self/task/${thread}/status`, 'utf8')
    const line = (key: string): string => new RegExp(`^${key}:\t(.*)$`, 'm').exec(status)?.[1]?.trim() ?? ''
    const rights = ['CapPrm', 'CapEff', 'CapAmb'].map(line)
    const groups = line('Groups').split(/\s+/)
    const gone = rights.every(each => /^0+$/.test(each)) && !(groups.includes('0') && gid !== 0)
    if (line('Uid') === user && line('Gid') === group && gone) continue
    throw new Fault('forbidden', `the rights of root are not gone after becoming ${name}; nothing is served like that`)
  }
  try {
    process.setuid!(0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EPERM') return
    throw error
  }
  throw new Fault('forbidden', `this system lets ${name} become root again; nothing is served like that`)
}

/** Files beside the data folder that the server reads again and again. Throws a Fault for one that the user may not. */
export function requireReadable(
  user: string,
  files: ReadonlyArray<{ readonly key: string; readonly path: string }>
): void {
  for (const { key, path } of files) {
    try {
      closeSync(openSync(path, constants.O_RDONLY))
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException
      if (code === 'ENOENT') continue // whoever reads it says so
      if (code !== 'EACCES') throw cause
      const remedy = `chgrp ${user} ${path}; chmod g+r ${path}, and let the user into its folder`
      throw new Fault('forbidden', `${user} may not read ${path} (${key}): ${remedy}`, { cause })
    }
  }
}
