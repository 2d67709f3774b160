// Every store test runs on both dialects: on SQLite in memory, and on a real PostgreSQL that is started once for the
// test file, in a temporary folder, reachable by a unix socket only, and stopped when the file is done.

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import t, { type Test } from 'tap'
import { type Database, openDatabase } from '../../server/store/database.ts'
import type { Db } from '../../server/store/schema.ts'
import { findProgram, missing } from './require.ts'

export const noon = new Date('2026-01-02T12:00:00.000Z')

/** `noon` and so many seconds. */
export function later(seconds: number): Date {
  return new Date(noon.getTime() + seconds * 1000)
}

const deps = { now: () => noon, failed: () => {} }

/** A fresh store in memory, closed at the end of the test: for tests of things that use the store. */
export async function memoryDatabase(t: Test): Promise<Db> {
  const database = await openDatabase({ database: null, data: ':memory:' }, deps)
  t.teardown(() => database.close())
  return database.db
}

/** Runs the test twice, each on a fresh and migrated store. Without PostgreSQL the second is skipped and says so. */
export function forEachDialect(
  t: Test,
  name: string,
  work: (t: Test, db: Db, database: Database) => Promise<unknown>
): void {
  t.test(`${name} (sqlite)`, async t => {
    const database = await openDatabase({ database: null, data: ':memory:' }, deps)
    t.teardown(() => database.close())
    await work(t, database.db, database)
  })
  t.test(`${name} (postgres)`, needsPostgres(), async t => {
    const database = await openDatabase({ database: await freshPostgres(), data: '' }, deps)
    t.teardown(() => database.close())
    await work(t, database.db, database)
  })
}

/** Options for t.test: skips without PostgreSQL, or fails under SLIPWAY_REQUIRE=all. */
export function needsPostgres(): { skip: string | false } {
  const why = missing({ programs: ['postgres', 'initdb'] })
  if (why !== null && process.env.SLIPWAY_REQUIRE === 'all') throw new Error(`SLIPWAY_REQUIRE=all: ${why}`)
  return { skip: why ?? false }
}

/** The URL of a new, empty schema in this file's PostgreSQL: ten times cheaper than a database. */
export async function freshPostgres(): Promise<string> {
  cluster ??= startPostgres()
  const { folder } = await cluster
  schemas += 1
  const name = `test${schemas}`
  const admin = new Client({ connectionString: urlOf(folder, 'postgres') })
  await admin.connect()
  await admin.query(`create schema ${name}`)
  await admin.end()
  return `${urlOf(folder, 'postgres')}&options=${encodeURIComponent(`-c search_path=${name}`)}`
}

let cluster: Promise<{ folder: string }> | null = null
let schemas = 0

const user = 'slipway'

function urlOf(folder: string, database: string): string {
  return `postgres://${user}@/${database}?host=${encodeURIComponent(folder)}`
}

/** How long the first start may take on a slow machine: a look every 50 ms. */
const LOOKS_MAX = 400

async function startPostgres(): Promise<{ folder: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-postgres-'))
  const data = join(folder, 'data')
  const as = runner(ownerOf(folder))
  const initdb = ['-D', data, '-U', user, '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync']
  execFileSync(...as(findProgram('initdb')!, initdb), { stdio: ['ignore', 'ignore', 'inherit'], cwd: folder })
  const settings = [
    'listen_addresses=',
    `unix_socket_directories=${folder}`,
    'fsync=off',
    'synchronous_commit=off',
    'autovacuum=off'
  ]
  const args = ['-D', data, ...settings.flatMap(setting => ['-c', setting])]
  const server = spawn(...as(findProgram('postgres')!, args), { stdio: 'ignore', cwd: folder })
  const ended = once(server, 'exit')
  t.teardown(async () => {
    server.kill('SIGINT') // fast shutdown: clients are disconnected
    await ended
    rmSync(folder, { recursive: true, force: true })
  })
  for (let look = 0; look < LOOKS_MAX; look++) {
    if (await answers(folder)) return { folder }
    if (server.exitCode !== null) throw new Error(`postgres ended with ${server.exitCode}`)
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  throw new Error('postgres did not start')
}

async function answers(folder: string): Promise<boolean> {
  const client = new Client({ connectionString: urlOf(folder, 'postgres') })
  try {
    await client.connect()
    return true
  } catch {
    return false // not yet: that is the question
  } finally {
    await client.end()
  }
}

/** How a program is started: not as root, which PostgreSQL refuses, and ending with us even when we are killed. */
function runner(owner: number | null): (program: string, args: string[]) => [string, string[]] {
  if (findProgram('setpriv') === null) return (program, args) => [program, args]
  const privileges = owner === null ? [] : [`--reuid=${owner}`, `--regid=${owner}`, '--clear-groups']
  return (program, args) => ['setpriv', ['--pdeathsig=INT', ...privileges, program, ...args]]
}

/** As root: an unprivileged user id, to whom the folder is given. Null when we are not root. */
function ownerOf(folder: string): number | null {
  if (process.getuid?.() !== 0) return null
  const nobody = Number(execFileSync('id', ['-u', 'nobody'], { encoding: 'utf8' }))
  chownSync(folder, nobody, nobody)
  chmodSync(folder, 0o700)
  return nobody
}
