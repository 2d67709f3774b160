// One network boot: who is it, what is it answered, and the script that tells the person before it.
// Decisions are core/boots; the scripts are boot/ipxe.ts; here they are put together and written down.

import { configKind, installerAssets } from '../boot/config.ts'
import { holdScript, installScript, localScript } from '../boot/ipxe.ts'
import type { Profile } from '../contract/document.ts'
import type { Machine } from '../contract/machine.ts'
import { decideBoot } from '../core/boots.ts'
import { createBoot, latestBoot } from '../store/boots.ts'
import { findDocument } from '../store/documents.ts'
import { updateMachine } from '../store/machines.ts'
import { recordEvent, transact } from '../timeline.ts'
import type { MachineClaim } from './claim.ts'
import type { Deps } from './deps.ts'
import { meetMachine } from './discover.ts'
import { digest, newSecret, shortId } from './ids.ts'
import { move } from './machines.ts'

/** A held machine asks again after this long; iPXE adds its own jitter. */
const HOLD_SECONDS = 15

export interface Caller {
  readonly address: string
  /** Our own address, as the caller reached it. */
  readonly localAddress: string
}

/** Answers a boot with an iPXE script. */
export async function answerBoot(deps: Deps, claim: MachineClaim, caller: Caller): Promise<string> {
  const meeting = await meetMachine(deps, claim, caller.address)
  if (meeting.kind === 'conflict') {
    deps.count.boot('conflict')
    return hold(deps, `${meeting.why} (${meeting.ids.join(', ')}); retire the wrong one`, caller)
  }
  const { machine } = meeting
  const profile = await findProfile(deps, machine)
  const blocked = await findBlock(deps, machine, profile)
  const answer = decideBoot(machine, await latestBoot(deps.db, machine.id), blocked)
  deps.count.boot(answer.kind)
  switch (answer.kind) {
    case 'install':
      return install(deps, machine, claim, profile!, caller)
    case 'hold':
      await noteHold(deps, machine, claim, answer.reason)
      return hold(deps, answer.reason, caller)
    case 'local': {
      const message = `answered with the local disk: ${answer.reason}`
      await recordEvent(deps, { type: 'boot.local', machine: machine.id, mac: claim.mac, message })
      return localScript({ platform: claim.hardware.platform, arch: claim.hardware.arch, reason: answer.reason })
    }
  }
}

async function findProfile({ db }: Deps, machine: Machine): Promise<Profile | null> {
  return machine.profile === null ? null : findDocument(db, 'Profile', machine.profile)
}

/** Why no config can be made for this machine now, as a sentence with its remedy; null when one can. */
async function findBlock({ artifacts }: Deps, machine: Machine, profile: Profile | null): Promise<string | null> {
  if (machine.profile === null) return 'no rule matches this machine; write a rule, or approve it with a profile'
  if (profile === null) return `profile ${machine.profile} is missing; slipway apply -f it`
  const arch = machine.hardware.arch
  if (arch === null) return 'its firmware does not say which architecture it is'
  if ((await artifacts.findAgent(arch)) === null)
    return `no agent for ${arch} in the data folder (agents/slipway-agent-${arch})`
  for (const path of installerAssets(profile)) {
    if (!(await artifacts.hasAsset(path))) return `installer file assets/${path} is missing from the data folder`
  }
  return null
}

/** Hands out the kernel: from here on the machine is installing, and this boot's config waits for it alone. */
async function install(
  deps: Deps,
  machine: Machine,
  { mac }: MachineClaim,
  profile: Profile,
  { address, localAddress }: Caller
): Promise<string> {
  const nonce = newSecret(deps.randomBytes)
  const id = shortId('b', deps.randomBytes)
  const kind = configKind(profile)
  const named = { machine: machine.id, boot: id, mac }
  await transact(deps, async (db, add) => {
    const boot = { id, nonceHash: digest(nonce), machine: machine.id, address, kind, profile: profile.metadata.name }
    await createBoot(db, boot, deps.now())
    await move(deps, db, machine, 'install', { armed: false, address })
    await add({
      type: 'boot.script',
      ...named,
      message: `installer handed out to ${address}`,
      detail: { address, kind }
    })
    const message = `installing ${profile.spec.os.name} ${profile.spec.os.version} as ${machine.name ?? machine.id}`
    await add({ type: 'machine.installing', ...named, message, detail: { profile: profile.metadata.name } })
  })
  const base = deps.urls.boot(localAddress)
  const file = kind === 'ignition' ? 'ignition.json' : 'kickstart.cfg'
  const configUrl = `${base}/b/${nonce}/${file}`
  return installScript({ bootId: id, configUrl, assetsUrl: `${base}/assets`, profile, machine, mac })
}

function hold({ urls }: Deps, reason: string, { localAddress }: Caller): string {
  return holdScript({ reason, retryUrl: `${urls.boot(localAddress)}/boot/ipxe`, seconds: HOLD_SECONDS })
}

/** A held machine asks every few seconds: only a new reason is news. */
async function noteHold(deps: Deps, machine: Machine, { mac }: MachineClaim, reason: string): Promise<void> {
  if (machine.reason === reason) return
  await transact(deps, async (db, add) => {
    await updateMachine(db, machine.id, { reason }, deps.now())
    await add({ type: 'boot.hold', machine: machine.id, mac, message: `held at its boot screen: ${reason}` })
  })
}
