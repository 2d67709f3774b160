// Keeps the labels the agent owns equal to the labels it wants, and touches no others. What it owns is written on the
// Node itself, so a restarted agent still knows what to remove. The Node's state (label) and story (annotations) go
// along, all in one patch.

import { annotation, NFD_PREFIX, STATE_LABEL } from '../../server/contract/names.ts'
import type { KubeNode } from '../../server/kubeapi/objects.ts'
import type { NodePatch } from './node.ts'
import type { Story } from './story.ts'

/** Where the Node Feature Discovery writes what it owns: then its labels are its own affair. */
const nfdOwned = 'nfd.node.kubernetes.io/feature-labels'

type Texts = Readonly<Record<string, string>>

/** The patch that makes `node` carry the hardware labels and tell the story, or null when it already does. */
export function planNode(node: KubeNode, hardware: Texts, story: Story, now: Date): NodePatch | null {
  const { labels: has = {}, annotations: notes = {} } = node.metadata
  const owned = new Set(parseOwned(notes[annotation.hardwareLabels]))
  const wanted = notes[nfdOwned] === undefined ? hardware : without(hardware, NFD_PREFIX)
  const mine = Object.entries(wanted).filter(
    ([key, value]) => has[key] === undefined || has[key] === value || owned.has(key)
  )
  const labels: Record<string, string | null> = Object.fromEntries(mine.filter(([key, value]) => has[key] !== value))
  for (const key of owned) if (!(key in wanted) && key in has) labels[key] = null
  const ownedNow = mine.length === 0 ? undefined : JSON.stringify(mine.map(([key]) => key).sort())

  const isNewState = has[STATE_LABEL] !== story.state
  if (isNewState) labels[STATE_LABEL] = story.state
  const annotations = changed(notes, {
    [annotation.hardwareLabels]: ownedNow,
    [annotation.reason]: story.reason === '' ? undefined : story.reason,
    [annotation.next]: story.next === '' ? undefined : story.next,
    [annotation.slot]: story.slot === '' ? undefined : story.slot,
    [annotation.since]: isNewState ? now.toISOString() : notes[annotation.since]
  })
  if (Object.keys(labels).length === 0 && Object.keys(annotations).length === 0) return null
  return { metadata: { labels, annotations } }
}

function changed(has: Texts, wants: Readonly<Record<string, string | undefined>>): Record<string, string | null> {
  const pairs = Object.entries(wants).filter(([key, value]) => has[key] !== value)
  return Object.fromEntries(pairs.map(([key, value]) => [key, value ?? null]))
}

/** Anybody with rights on the Node may have written there; what is no list of names is as if nothing were owned. */
function parseOwned(text: string | undefined): readonly string[] {
  if (text === undefined) return []
  try {
    const value: unknown = JSON.parse(text)
    return Array.isArray(value) ? value.filter(item => typeof item === 'string') : []
  } catch {
    return [] // what is no JSON is no list of names either
  }
}

function without(labels: Texts, prefix: string): Texts {
  return Object.fromEntries(Object.entries(labels).filter(([key]) => !key.startsWith(prefix)))
}
