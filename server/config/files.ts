// Reads slipway.yaml. The only place that knows it is a file.

import { readFile } from 'node:fs/promises'
import { checkConfig } from './config.ts'
import type { Config } from './schema.ts'
import { Fault } from '../core/fault.ts'
import { parseYaml } from '../yaml.ts'

/** The checked configuration. Throws Fault not_found or unavailable with the remedy, or invalid with every problem. */
export async function readConfig(file: string): Promise<Config> {
  const raws = parseYaml(await readText(file), file)
  if (raws.length !== 1) {
    const message = raws.length === 0 ? 'is empty; slipway init writes one' : 'holds several documents; it must be one'
    throw new Fault('invalid', `${file} ${message}`, { problems: [{ path: file, message }] })
  }
  const checked = checkConfig(raws[0])
  if ('config' in checked) return checked.config
  const count = checked.problems.length === 1 ? 'one problem' : `${checked.problems.length} problems`
  throw new Fault('invalid', `${file} has ${count}; nothing was started`, { problems: checked.problems })
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT') {
      throw new Fault('not_found', `there is no ${file}; slipway init writes one for this machine`, { cause })
    }
    if (code === 'EACCES') throw new Fault('forbidden', `${file} may not be read by this user`, { cause })
    if (code === 'EISDIR') throw new Fault('invalid', `${file} is a folder, not a file`, { cause })
    throw cause
  }
}
