// The lab's server process: the real server, with the lab's slipway.yaml, and its page as plain HTTP on loopback.
// It tells the lab its URLs by a message and ends with the lab: on SIGTERM in order, and at once when the lab is gone.
// Started as: node server.ts SLIPWAY.YAML PAGE-PORT

import { readConfig } from '../../server/config/files.ts'
import { createLog } from '../../server/log.ts'
import { startServer } from '../../server/serve.ts'
import type { ServerReady } from './server-process.ts'

const [configFile = '', pagePort = '0'] = process.argv.slice(2)

process.once('disconnect', () => process.exit(1))
const config = await readConfig(configFile)
const log = createLog(config.log.level, process.stdout)
const server = await startServer(config, { log, page: { host: '127.0.0.1', port: Number(pagePort) } })

process.once('SIGTERM', () => {
  server.close().then(
    () => process.exit(0),
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`)
      process.exit(1)
    }
  )
})

const ready: ServerReady = {
  type: 'ready',
  urls: server.urls,
  adminToken: server.adminToken,
  code: server.oneTimeCode()
}
process.send?.(ready)
