// slipway check: says everything that is wrong with the configuration and with documents, at once. Changes nothing and
// asks no server.

import { type Command, Option } from 'commander'
import type { Config } from '../config/schema.ts'
import { checkDocuments, checkReferences } from '../core/documents.ts'
import { Fault, type Problem } from '../core/fault.ts'
import { formatProblems, listed } from '../core/problems.ts'
import { readDocuments } from './apply.ts'
import { Failure } from './failure.ts'
import { readChecked } from './serve.ts'

interface CheckOptions {
  readonly config?: string
  readonly file?: string[]
  readonly output?: 'json'
}

/** What one part of the check came to: a line that says it is right, or a failure. */
type Outcome =
  | { readonly said: string; readonly notes?: readonly Problem[] }
  | { readonly failure: Failure; readonly problems: readonly Problem[] }

export function addCheck(program: Command): void {
  program
    .command('check')
    .description('say what is wrong with the configuration and with documents; changes nothing')
    .option('--config <file>', 'configuration to check (default: slipway.yaml, unless documents are named)')
    .option('-f, --file <file...>', 'profiles, rules, clusters, machines')
    .addOption(new Option('-o, --output <format>').choices(['json']))
    .action(check)
}

async function check({ config, file: files = [], output }: CheckOptions): Promise<void> {
  const named = config ?? (files.length === 0 ? 'slipway.yaml' : null)
  const outcomes = [
    ...(named === null ? [] : [await outcomeOf(() => checkConfigFile(named))]),
    ...(files.length === 0 ? [] : [await checkFiles(files)])
  ]
  const wrong = outcomes.flatMap(outcome => ('failure' in outcome ? [outcome] : []))
  const problems = wrong.flatMap(({ problems }) => problems)
  const right = outcomes.flatMap(outcome => ('said' in outcome ? [outcome] : []))
  const notes = right.flatMap(outcome => outcome.notes ?? [])
  if (output === 'json') process.stdout.write(`${JSON.stringify({ problems, notes }, null, 2)}\n`)
  else for (const { said } of right) process.stdout.write(`${said}\n`)
  if (output !== 'json') for (const note of notes) process.stdout.write(`note: ${formatProblems([note])}\n`)
  if (wrong.length === 0) return
  const status = wrong.some(({ failure }) => failure.exitCode === 2) ? 2 : 1
  throw new Failure(wrong.map(({ failure }) => failure.message).join('\n'), status)
}

/** What the data folder lacks is a note: it may be filled later, and another host may be the server. */
async function checkConfigFile(file: string): Promise<{ said: string; notes: readonly Problem[] }> {
  const config = await readChecked(file)
  return { said: `${file} is right`, notes: await lacking(config) }
}

async function lacking({ data, boot }: Config): Promise<readonly Problem[]> {
  try {
    const { readManifest } = await import('../data/assets/files.ts')
    await readManifest(data)
    const { missingPrograms } = await import('./assets/missing.ts')
    return await missingPrograms(data, [boot.loader])
  } catch (error) {
    if (error instanceof Fault) return [{ path: 'data', message: error.message }]
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error
    return [{ path: 'data', message: `${data} may not be looked into by this user: boot programs were not looked for` }]
  }
}

/** A file that cannot be read hides no problem of another. */
async function checkFiles(files: readonly string[]): Promise<Outcome> {
  const raws: unknown[] = []
  const unread: Array<Extract<Outcome, { failure: Failure }>> = []
  for (const file of files) {
    const outcome = await outcomeOf(async () => {
      raws.push(...(await readDocuments(file)))
      return { said: file }
    })
    if ('failure' in outcome) unread.push(outcome)
  }
  const checked = checkDocuments(raws)
  const found = 'problems' in checked ? checked.problems : checkReferences(checked.documents)
  const problems = [...unread.flatMap(({ problems }) => problems), ...found]
  if (problems.length === 0)
    return { said: raws.length === 1 ? '1 document is right' : `${raws.length} documents are right` }
  const messages = [
    ...unread.map(({ failure }) => failure.message),
    ...(found.length > 0 ? [`the documents have problems:${listed(found)}`] : [])
  ]
  return { failure: new Failure(messages.join('\n')), problems }
}

async function outcomeOf(work: () => Promise<Extract<Outcome, { said: string }>>): Promise<Outcome> {
  try {
    return await work()
  } catch (error) {
    const fault = error instanceof Failure ? error.cause : error
    const problems = fault instanceof Fault ? fault.problems : []
    if (error instanceof Failure) return { failure: error, problems: some(problems, error.message) }
    if (!(error instanceof Fault)) throw error
    const failure = new Failure(`${error.message}${listed(error.problems)}`, 1, { cause: error })
    return { failure, problems: some(problems, error.message) }
  }
}

/** What could not be read at all is one problem. */
function some(problems: readonly Problem[], message: string): readonly Problem[] {
  return problems.length > 0 ? problems : [{ path: '', message }]
}
