// Fetches a file with npm's tftp client: an implementation that shares nothing with our server.

import tftp from 'tftp'

/** Boot programs are small; what is larger is not ours. */
const BYTES_MAX = 64 * 1024 * 1024

export async function fetchByTftp(host: string, port: number, name: string, timeoutMs: number): Promise<Buffer> {
  const client = tftp.createClient({ host, port, timeout: timeoutMs, retries: 1, windowSize: 4 })
  const stream = client.createGetStream(name)
  const chunks: Buffer[] = []
  let size = 0
  return new Promise((resolve, reject) => {
    // Its own time-out does not cover a server that sends the first block and no more.
    const timer = setTimeout(() => stream.abort(`no end within ${timeoutMs / 1000} s`), timeoutMs)
    stream.on('data', chunk => {
      chunks.push(chunk)
      size += chunk.length
      if (size > BYTES_MAX) stream.abort('too large')
    })
    stream.on('end', () => {
      clearTimeout(timer)
      resolve(Buffer.concat(chunks))
    })
    stream.on('abort', () => {
      clearTimeout(timer)
      reject(new Error('the transfer was given up'))
    })
    stream.on('error', error => {
      clearTimeout(timer)
      reject(error)
    })
  })
}
