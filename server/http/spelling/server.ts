// Header names as firmware reads them. HTTP ignores their case; GRUB's HTTP for UEFI compares `Content-Length` byte by
// byte (grub-core/net/efi/http.c) and takes every file for an empty one when it is spelled otherwise (seen with 2.12).

import { type IncomingMessage, type OutgoingHttpHeader, type OutgoingHttpHeaders, ServerResponse } from 'node:http'

export class SpelledResponse<R extends IncomingMessage = IncomingMessage> extends ServerResponse<R> {
  override setHeader(name: string, value: number | string | readonly string[]): this {
    return super.setHeader(spelled(name), value)
  }

  override writeHead(status: number, ...rest: unknown[]): this {
    const write = super.writeHead.bind(this) as (status: number, ...rest: unknown[]) => this
    return write(status, ...rest.map(part => (isHeaders(part) ? respelled(part) : part)))
  }
}

function spelled(name: string): string {
  return name.toLowerCase() === 'content-length' ? 'Content-Length' : name
}

function isHeaders(part: unknown): part is OutgoingHttpHeaders {
  return typeof part === 'object' && part !== null && !Array.isArray(part)
}

function respelled(headers: OutgoingHttpHeaders): OutgoingHttpHeaders {
  const pairs: Array<[string, OutgoingHttpHeader | undefined]> = Object.entries(headers)
  return Object.fromEntries(pairs.map(([name, value]) => [spelled(name), value]))
}
