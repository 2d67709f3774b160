// Field and label selectors of list and watch requests, as far as Slipway and kubectl send them.

import { isFields, text } from './fields.ts'
import type { Fields, Json, Stored } from './objects.ts'
import { badRequest } from './refusal.ts'

export type Match = (object: Stored) => boolean

export interface FieldTerm {
  readonly field: string
  readonly operator: '=' | '!='
  readonly value: string
}

/** Which fields may be selected on, beside metadata.name and metadata.namespace: each kind has its own short list. */
const fieldsOf: Readonly<Record<string, readonly string[]>> = {
  nodes: ['spec.unschedulable'],
  pods: ['spec.nodeName', 'status.phase', 'spec.restartPolicy', 'spec.schedulerName', 'spec.serviceAccountName'],
  secrets: ['type'],
  events: [
    'involvedObject.kind',
    'involvedObject.name',
    'involvedObject.namespace',
    'involvedObject.uid',
    'reason',
    'type'
  ],
  certificatesigningrequests: ['spec.signerName']
}

export function parseFieldSelector(resource: string, selector: string | null): FieldTerm[] {
  if (selector === null || selector === '') return []
  return selector.split(',').map(part => {
    const [, field = '', sign = '', value = ''] = /^([^=!]+)(!=|==|=)(.*)$/.exec(part) ?? []
    const known = ['metadata.name', 'metadata.namespace', ...(fieldsOf[resource] ?? [])]
    if (!known.includes(field)) throw badRequest(`field label not supported: ${field || part}`)
    return { field, operator: sign === '!=' ? '!=' : '=', value }
  })
}

export function matchFields(terms: readonly FieldTerm[]): Match {
  return object => terms.every(({ field, operator, value }) => (textAt(object, field) === value) === (operator === '='))
}

function textAt(object: Stored, path: string): string {
  let value: Json | undefined = object
  for (const key of path.split('.')) value = isFields(value) ? value[key] : undefined
  return typeof value === 'string' || typeof value === 'boolean' ? String(value) : value === undefined ? '' : ''
}

/** `a=b`, `a!=b`, `a in (b,c)`, `a notin (b)`, `a`, `!a`. */
export function parseLabelSelector(selector: string | null): Match {
  const terms = (selector ?? '').split(/,(?![^(]*\))/).filter(part => part.trim() !== '')
  const matches = terms.map(parseLabelTerm)
  return object => matches.every(match => match(object.metadata.labels ?? {}))
}

type LabelMatch = (labels: Readonly<Record<string, string>>) => boolean

function parseLabelTerm(term: string): LabelMatch {
  const inSet = /^\s*(\S+)\s+(in|notin)\s+\(([^)]*)\)\s*$/.exec(term)
  if (inSet !== null) {
    const [, key = '', operator, list = ''] = inSet
    const values = list.split(',').map(value => value.trim())
    return labels => values.includes(labels[key] ?? '\0') === (operator === 'in')
  }
  const pair = /^\s*([^=!\s]+)\s*(!=|==|=)\s*(\S*)\s*$/.exec(term)
  if (pair !== null) {
    const [, key = '', operator, value] = pair
    return labels => (labels[key] === value) === (operator !== '!=')
  }
  const exists = /^\s*(!?)([A-Za-z0-9./_-]+)\s*$/.exec(term)
  if (exists === null) throw badRequest(`unable to parse requirement: ${term}`)
  const [, not, key = ''] = exists
  return labels => key in labels === (not === '')
}

/** A LabelSelector object (matchLabels, matchExpressions), as budgets have it; the empty one matches everything. */
export function matchSelector(selector: Json | undefined): Match {
  if (!isFields(selector)) return () => false
  const { matchLabels, matchExpressions } = selector
  const pairs = isFields(matchLabels) ? Object.entries(matchLabels) : []
  const expressions = Array.isArray(matchExpressions) ? matchExpressions.filter(isFields) : []
  return ({ metadata: { labels = {} } }) =>
    pairs.every(([key, value]) => labels[key] === value) && expressions.every(item => matchExpression(item, labels))
}

function matchExpression({ key, operator, values }: Fields, labels: Readonly<Record<string, string>>): boolean {
  const value = labels[text(key)]
  const listed = Array.isArray(values) && value !== undefined && values.includes(value)
  switch (operator) {
    case 'In':
      return listed
    case 'NotIn':
      return !listed
    case 'Exists':
      return value !== undefined
    default:
      return value === undefined
  }
}
