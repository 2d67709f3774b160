#!/usr/bin/env node
// slipway: builds the command line and runs it. What each command does is below cli/.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildProgram, runProgram } from './cli/program.ts'

const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8')) as {
  version: string
}
// exitCode, not exit(): what was written to a pipe must arrive.
process.exitCode = await runProgram(buildProgram(version), process.argv.slice(2))
