// What the Node says about itself while the agent works on it: one word for selectors, a reason and what comes next for
// people. Pure: from the journal's progress and what the step under way waits for.

import type { NodeState } from '../../server/contract/names.ts'
import { nextStep, type Progress, type UpgradeStep } from '../progress.ts'

export interface Story {
  readonly state: NodeState
  readonly reason: string
  readonly next: string
  /** The version for which this node is out of service; empty while it is in service. */
  readonly slot: string
}

type Telling = readonly [state: NodeState, reason: string, next: string]

const tellings: Record<UpgradeStep, (target: string, previous: string) => Telling> = {
  stage: target => ['ready', `fetching ${target}`, 'asks for a slot when it is on the machine'],
  slot: target => ['held', `waiting for a slot to upgrade to ${target}`, 'cordons and drains itself when it gets one'],
  cordon: target => ['draining', `upgrading to ${target}`, 'evicts its pods'],
  evict: target => [
    'draining',
    `upgrading to ${target}: evicting pods`,
    'switches to the new version when they are gone'
  ],
  switch: target => ['upgrading', `switching to ${target}`, 'runs kubeadm upgrade'],
  configure: target => ['upgrading', `kubeadm upgrade to ${target}`, 'restarts the kubelet'],
  restart: target => ['upgrading', `starting kubelet ${target}`, 'verifies that it runs and is Ready'],
  verify: target => ['upgrading', `verifying kubelet ${target}`, 'uncordons itself'],
  uncordon: target => ['upgrading', `verified ${target}`, 'gives its slot back'],
  release: target => ['ready', `upgraded to ${target}`, 'gives its slot back'],
  'switch-back': (_, previous) => ['failed', `going back to ${previous}`, 'restarts the old kubelet'],
  'restart-back': (_, previous) => ['failed', `going back to ${previous}`, 'verifies that it runs and is Ready'],
  'verify-back': (_, previous) => ['failed', `verifying that ${previous} runs again`, 'uncordons itself']
}

const messageCharactersMax = 500

/** `waiting` is the reason the step under way gave for not being done; empty without one. */
export function tellStory(progress: Progress, waiting: string): Story {
  return { ...tell(progress, waiting), slot: slotOf(progress) }
}

/** From the grant until it is given back, whichever way the upgrade takes. */
function slotOf({ upgrade }: Progress): string {
  const holds = upgrade !== null && (upgrade.turn === 'rolled-back' || upgrade.done.includes('slot'))
  return holds ? upgrade.target : ''
}

function tell({ upgrade, refused }: Progress, waiting: string): Omit<Story, 'slot'> {
  if (upgrade === null) {
    if (refused === null) return { state: 'ready', reason: '', next: '' }
    const next = 'label it with another version, or take the label away and set it again'
    return { state: 'failed', reason: cut(`${refused.target} was rolled back: ${refused.reason}`), next }
  }
  const { target, previous, turn, reason } = upgrade
  const step = nextStep(upgrade) ?? 'release'
  const [state, doing, next] = tellings[step](target, previous)
  switch (turn) {
    case null:
      return { state, reason: cut(waiting === '' ? doing : `${doing}: ${waiting}`), next }
    case 'blocked':
      return { state: 'held', reason: cut(`not upgraded to ${target}: ${reason}`), next: 'gives its slot back' }
    case 'rolled-back':
      return { state: 'failed', reason: cut(`going back from ${target} to ${previous}: ${reason}`), next }
  }
}

function cut(text: string): string {
  return text.slice(0, messageCharactersMax)
}
