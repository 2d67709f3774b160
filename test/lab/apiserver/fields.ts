// Reading fields of objects whose shape nobody has checked.

import type { Fields, Json, Stored } from './objects.ts'

export function isFields(value: Json | undefined): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A field of a field: spec.nodeName, status.phase. */
export function at(object: Stored, section: string, key: string): Json | undefined {
  const fields = object[section]
  return isFields(fields) ? fields[key] : undefined
}

/** Empty for anything that is no string. */
export function text(value: Json | undefined): string {
  return typeof value === 'string' ? value : ''
}

export function array(value: Json | undefined): readonly Json[] {
  return Array.isArray(value) ? value : []
}

/** The base64 PEM of a certificate signing request. */
export function requestPem(object: Stored): string {
  return Buffer.from(text(at(object, 'spec', 'request')), 'base64').toString()
}
