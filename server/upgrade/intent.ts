// What becomes of a node's label slipway.dev/version: accepted, to wait, or refused with the reason and the remedy.
// Pure; asked again whenever the cluster changes, so that what waits goes on by itself.
//
// The rules are Kubernetes' own (version skew policy; kubeadm upgrade): one minor at a time, the control plane first,
// and a kubelet never newer than the API server it speaks to. A downgrade is not supported by kubeadm.

import type { Role } from '../contract/document.ts'
import { compareVersions, parseVersion, runningVersion, type Version } from './version.ts'

export interface Asked {
  /** The label's value. */
  readonly target: string
  readonly role: Role
  /** The kubelet's version, as the node says. */
  readonly running: string | null
  /** What the API server says it is. */
  readonly apiServer: string
  /** Versions asked of the control plane's nodes: then a worker waits instead of being refused. */
  readonly askedOfControlPlane: readonly string[]
}

export type IntentVerdict =
  | { readonly verdict: 'accept' }
  | { readonly verdict: 'wait' | 'refuse'; readonly reason: string }

const accept: IntentVerdict = { verdict: 'accept' }

/** Where a refusal ends: what the operator should do is part of the reason. */
export function decideIntent(asked: Asked): IntentVerdict {
  const target = parseVersion(asked.target)
  if (target === null) return refuse(`${asked.target} is not a version; write it as v1.36.4`)
  const apiServer = runningVersion(asked.apiServer)
  if (apiServer === null) return wait(`the API server calls itself ${asked.apiServer}: its version is not understood`)
  const running = asked.running === null ? null : runningVersion(asked.running)
  if (running === null) return wait('the node has not said yet which version it runs')
  const order = compareVersions(target, running)
  if (order < 0) return refuse(`${asked.target} is older than ${asked.running}: a downgrade is not supported`)
  if (order > 0 && target.minor > running.minor + 1) {
    return refuse(`${asked.target} is more than one minor after ${asked.running}: go to ${next(running)} first`)
  }
  return asked.role === 'control-plane' ? controlPlane(asked, target, apiServer) : worker(asked, target, apiServer)
}

/** The one control plane node upgrades the API server itself (kubeadm upgrade apply), one minor at most. */
function controlPlane({ target: text, apiServer: says }: Asked, target: Version, apiServer: Version): IntentVerdict {
  if (target.minor > apiServer.minor + 1) {
    return refuse(`${text} is more than one minor after the API server (${says}): go to ${next(apiServer)} first`)
  }
  return accept
}

function worker(asked: Asked, target: Version, apiServer: Version): IntentVerdict {
  if (compareVersions(target, apiServer) <= 0) return accept
  const coming = asked.askedOfControlPlane.map(parseVersion).some(version => {
    return version !== null && compareVersions(version, target) >= 0
  })
  if (coming) return wait(`the control plane goes first: the API server is still ${asked.apiServer}`)
  return refuse(
    `${asked.target} is newer than the API server (${asked.apiServer}): label the control plane's node first`
  )
}

function next({ minor }: Version): string {
  return `v1.${minor + 1}`
}

function refuse(reason: string): IntentVerdict {
  return { verdict: 'refuse', reason }
}

function wait(reason: string): IntentVerdict {
  return { verdict: 'wait', reason }
}
