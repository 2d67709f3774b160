// One network boot: who is it, what is it answered, and the script that tells the person before it.
// Decisions are core/boots; the scripts are boot/ipxe.ts or boot/grub.ts, whichever the machine's boot program reads;
// here they are put together and written down.

import type { Installation } from '../boot/command-line.ts'
import { configKind, installerAssets } from '../boot/config.ts'
import type { Scripts } from '../boot/scripts.ts'
import type { Profile } from '../contract/document.ts'
import type { Machine } from '../contract/machine.ts'
import { type Boot, decideBoot } from '../core/boots.ts'
import { createBoot, latestBoot } from '../store/boots.ts'
import { findDocument } from '../store/documents.ts'
import { listEvents } from '../store/events.ts'
import { updateMachine } from '../store/machines.ts'
import { transact } from '../timeline.ts'
import type { MachineClaim } from './claim.ts'
import type { Deps } from './deps.ts'
import { meetMachine } from './discover.ts'
import { digest, newSecret, shortId } from './ids.ts'
import { failMachine, move } from './machines.ts'

/** A held machine asks again after this long. */
const HOLD_SECONDS = 15

/** An installer restarts once; an operating system may do so again while it is set up. */
const LOCAL_BOOTS_MAX = 5

export interface Caller {
  readonly address: string
  /** Our own address, as the caller reached it. */
  readonly localAddress: string
}

/** Answers a boot with one of these scripts. */
export async function answerBoot(deps: Deps, claim: MachineClaim, caller: Caller, scripts: Scripts): Promise<string> {
  const meeting = await meetMachine(deps, claim, caller.address)
  if (meeting.kind === 'conflict') {
    deps.count.boot('conflict')
    return hold(scripts, `${meeting.why} (${meeting.ids.join(', ')}); retire the wrong one`)
  }
  const { machine } = meeting
  const profile = await findProfile(deps, machine)
  const blocked = await findBlock(deps, machine, profile)
  const boot = await latestBoot(deps.db, machine.id)
  const answer = decideBoot(machine, boot, blocked)
  deps.count.boot(answer.kind)
  switch (answer.kind) {
    case 'install':
      return scripts.install(await armInstaller(deps, machine, claim, profile!, caller))
    case 'hold':
      await noteHold(deps, machine, claim, answer.reason)
      return hold(scripts, answer.reason)
    case 'local':
      await noteLocal(deps, machine, boot, claim, answer.reason)
      return scripts.local({ platform: claim.hardware.platform, arch: claim.hardware.arch, reason: answer.reason })
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
async function armInstaller(
  deps: Deps,
  machine: Machine,
  { mac }: MachineClaim,
  profile: Profile,
  { address, localAddress }: Caller
): Promise<Installation> {
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
  return { bootId: id, configUrl, assetsUrl: `${base}/assets`, profile, machine, mac }
}

function hold(scripts: Scripts, reason: string): string {
  return scripts.hold({ reason, seconds: HOLD_SECONDS })
}

/** A machine whose disk does not start comes back again and again: then its installation has failed, and says so. */
async function noteLocal(
  deps: Deps,
  machine: Machine,
  boot: Boot | null,
  { mac }: MachineClaim,
  reason: string
): Promise<void> {
  await transact(deps, async (db, add) => {
    const named = { machine: machine.id, boot: boot?.id ?? null, mac }
    await add({ type: 'boot.local', ...named, message: `answered with the local disk: ${reason}` })
    if (machine.state !== 'installing' || boot === null) return
    const events = await listEvents(db, { boot: boot.id, limit: 100 })
    const before = events.filter(({ type }) => type === 'boot.local').length
    if (before + 1 < LOCAL_BOOTS_MAX) return
    const times = `it came back ${LOCAL_BOOTS_MAX} times after its installation and its agent never enrolled`
    await failMachine(deps, db, machine, `${times}; look at its console, then slipway install ${machine.id}`, add)
  })
}

/** A held machine asks every few seconds: only a new reason is news. */
async function noteHold(deps: Deps, machine: Machine, { mac }: MachineClaim, reason: string): Promise<void> {
  if (machine.reason === reason) return
  await transact(deps, async (db, add) => {
    await updateMachine(db, machine.id, { reason }, deps.now())
    await add({ type: 'boot.hold', machine: machine.id, mac, message: `held at its boot screen: ${reason}` })
  })
}
