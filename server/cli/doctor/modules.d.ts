// The parts of two old packages without types that the doctor uses (tftp 0.1.2, dhcp 0.2.20).

declare module 'tftp' {
  import type { Readable } from 'node:stream'
  interface GetStream extends Readable {
    abort(reason?: string): void
    on(event: 'data', listener: (chunk: Buffer) => void): this
    on(event: 'end' | 'abort', listener: () => void): this
    on(event: 'error', listener: (error: Error) => void): this
  }
  const tftp: {
    createClient(options: { host: string; port: number; timeout: number; retries: number; windowSize: number }): {
      createGetStream(name: string): GetStream
    }
  }
  export { tftp as default }
}

declare module 'dhcp' {
  export interface Packet {
    readonly op: number
    readonly chaddr: string
    readonly siaddr: string
    readonly yiaddr: string
    readonly options: Readonly<Record<number, unknown>>
  }
  export interface Listener {
    on(event: 'message', listener: (packet: Packet) => void): this
    on(event: 'error', listener: (error: unknown, packet?: Packet) => void): this
    on(event: 'listening', listener: () => void): this
    listen(port: number, host: string): void
  }
  const dhcp: { createBroadcastHandler(): Listener }
  export { dhcp as default }
}

declare module 'dhcp/lib/seqbuffer.js' {
  const SeqBuffer: { prototype: Record<string, unknown> }
  export { SeqBuffer as default }
}

declare module 'dhcp/lib/options.js' {
  const Options: { opts: Record<number, { type: string }> }
  export { Options as default }
}
