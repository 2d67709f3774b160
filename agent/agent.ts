// One tick: look, decide, write down, do, write down. Everything that outlives a tick is in the journal; what is kept
// in memory here only saves asking again.

import assert from 'node:assert/strict'
import type { AgentConfig, Desired, Report } from '../server/contract/agent.ts'
import type { KubeNode } from '../server/kubeapi/objects.ts'
import { createServerApi, ServerRefused } from './api.ts'
import type { Client } from './client.ts'
import { decide, type Step } from './decide.ts'
import { createObserver, type Facts } from './facts.ts'
import type { Files } from './files.ts'
import { enrol, findIdentity, type Identity } from './identity.ts'
import type { Journal } from './journal.ts'
import { planNode } from './kube/labels.ts'
import type { NodeApi } from './kube/node.ts'
import { tellStory } from './kube/story.ts'
import type { Log } from './log.ts'
import { paths } from './paths.ts'
import { phaseOf, type StepName } from './progress.ts'
import { decodeDesired } from './replies.ts'
import { openReporter } from './report.ts'
import type { Run } from './run.ts'
import { type ActionName, actions } from './steps.ts'
import { done, type Outcome } from './work.ts'

export interface AgentDeps {
  readonly config: AgentConfig
  readonly files: Files
  readonly run: Run
  readonly client: Client
  readonly journal: Journal
  /** The Node of that name, asked with the kubelet's credential. */
  readonly nodeApi: (name: string) => NodeApi
  /** Labels by hardware; kept for a while by whoever answers. */
  readonly hardware: (signal: AbortSignal) => Promise<Readonly<Record<string, string>>>
  readonly log: Log
  readonly now: () => Date
}

export interface Agent {
  /** Resolves to how long to wait before the next tick. */
  readonly tick: (signal: AbortSignal) => Promise<number>
  /** The Node to watch: there is one once the machine is in a cluster. */
  readonly nodeName: () => string | null
}

/** With nothing to do, and before the server has said how often to ask. */
const idleSeconds = 10
/** A kubelet that was just started registers its Node within seconds. */
const unknownMs = 3_000

interface Memory {
  desired: Desired | null
  askedAt: Date
  hardware: Readonly<Record<string, string>> | null
  /** What the step under way waits for. */
  waiting: string
  /** The Node that we are, once we are in. */
  node: string | null
  /** A patch that the API server refuses must not keep us from the rest. */
  labelAgainAt: Date
}

const labelPauseMs = 60_000

/** These come in between: what is under way stays so, and waits for what it waited for. */
const asides: readonly StepName[] = ['label', 'renew']

/** Failures of these are counted (decide.ts), so each is written down; of others only a new one. */
const counted: readonly StepName[] = ['join', 'switch', 'configure', 'restart']

export async function createAgent(deps: AgentDeps): Promise<Agent> {
  const { config, files, run, client, journal, nodeApi, hardware, log, now } = deps
  const server = createServerApi(client.send)
  const observer = createObserver({ files, run, failed: error => log.info('cluster.silent', { reason: said(error) }) })
  const memory: Memory = {
    desired: await lastDesired(files),
    askedAt: new Date(0),
    hardware: null,
    waiting: '',
    node: null,
    labelAgainAt: new Date(0)
  }
  let identity: Identity | null = null
  const send = async (report: Report, signal: AbortSignal) => {
    assert(identity !== null, 'a report needs an identity')
    await server.report(report, identity.credentials, signal)
  }
  const reporter = await openReporter(files, journal, send)

  async function tick(signal: AbortSignal): Promise<number> {
    identity = await findIdentity(files, config, now())
    if (identity !== null) {
      await refreshDesired(identity, signal)
      memory.hardware = await hardware(signal)
    }
    const progress = journal.progress()
    const name = memory.desired?.node.name ?? null
    const api = name === null ? null : nodeApi(name)
    const facts = await observer.observe(
      { identity, desired: memory.desired, progress, api, unlabelled: mayLabel },
      now(),
      signal
    )
    memory.node = facts.observed.kubelet === 'joined' ? name : null
    const step = decide(memory.desired, facts.observed)
    if (step === null) {
      memory.waiting = ''
      await report(facts, signal)
      return facts.observed.kubelet === 'unknown' ? unknownMs : (memory.desired?.pollSeconds ?? idleSeconds) * 1000
    }
    return perform(step, facts, api, signal)
  }

  function mayLabel(node: KubeNode): boolean {
    return now() >= memory.labelAgainAt && patchFor(node) !== null
  }

  function patchFor(node: KubeNode) {
    return planNode(node, memory.hardware ?? {}, tellStory(journal.progress(), memory.waiting), now())
  }

  async function refreshDesired({ credentials }: Identity, signal: AbortSignal): Promise<void> {
    const age = now().getTime() - memory.askedAt.getTime()
    if (memory.desired !== null && age < memory.desired.pollSeconds * 1000) return
    try {
      const desired = await server.desired(credentials, signal)
      if (JSON.stringify(desired) !== JSON.stringify(memory.desired)) {
        await files.write(paths.desired, `${JSON.stringify(desired)}\n`, 0o600)
      }
      memory.desired = desired
      memory.askedAt = now()
    } catch (error) {
      signal.throwIfAborted()
      // A retired machine does nothing more. A server that is away stops nothing that is under way.
      if (memory.desired === null || (error instanceof ServerRefused && error.status < 500)) throw error
      log.warn('server.silent', { reason: said(error) })
    }
  }

  async function report({ observed }: Facts, signal: AbortSignal): Promise<void> {
    const { running, installed } = observed
    const phase = phaseOf(journal.progress())
    try {
      await reporter.flush({ phase, kubeletVersion: running ?? installed, hardware: memory.hardware }, now(), signal)
    } catch (error) {
      signal.throwIfAborted()
      log.warn('report.failed', { reason: said(error) })
    }
  }

  async function perform(step: Step, facts: Facts, api: NodeApi | null, signal: AbortSignal): Promise<number> {
    const { note } = step
    if (note !== undefined) {
      await journal.write({ step: step.step, edge: 'note', ...note }, now())
      log.info('upgrade.turn', { ...note })
      return 0
    }
    if (step.step === 'upgrade') return begin(step, facts)
    if (step.step === 'finish') return finish()
    if (journal.progress().open?.step !== step.step) {
      if (!asides.includes(step.step)) memory.waiting = ''
      await journal.write({ step: step.step, edge: 'begin', message: step.version }, now())
    }
    log.info('step.begin', { step: step.step, version: step.version })
    if (step.step !== 'enrol') await report(facts, signal)
    try {
      const waitMs = await settle(step, await act(step, facts, api, signal))
      if (waitMs > 0) await report(facts, signal)
      return waitMs
    } catch (error) {
      if (!signal.aborted) await fail(step.step, error)
      throw error
    }
  }

  async function act(step: Step, facts: Facts, api: NodeApi | null, signal: AbortSignal): Promise<Outcome> {
    if (step.step === 'enrol' || step.step === 'renew')
      return done(await enrol(files, config, server, identity, signal))
    assert(identity !== null && api !== null, 'decide() asks for nothing else before enrolment')
    const { caPem } = identity.credentials
    return actions[step.step as ActionName]({
      files,
      run,
      server,
      observer,
      download: (url, signal) => client.download(url, caPem, signal),
      note: async entry => journal.write(entry, now()),
      step,
      progress: journal.progress(),
      facts,
      own: identity.credentials,
      api,
      patch: facts.node === null ? null : patchFor(facts.node),
      now: now(),
      signal
    })
  }

  async function begin({ version }: Step, { observed }: Facts): Promise<number> {
    const data = { target: version, previous: observed.running ?? observed.installed ?? version }
    await journal.write({ step: 'upgrade', edge: 'begin', message: `${data.previous} to ${version}`, data }, now())
    log.info('upgrade.begin', data)
    return 0
  }

  async function finish(): Promise<number> {
    const { target = '', turn = null, reason = '' } = journal.progress().upgrade ?? {}
    const outcome = turn ?? 'upgraded'
    const message = turn === null ? `${target} runs` : `${turn}: ${reason}`
    await journal.write({ step: 'upgrade', edge: 'end', message, data: { outcome } }, now())
    log.info('upgrade.end', { target, outcome, reason })
    return 0
  }

  async function settle({ step }: Step, outcome: Outcome): Promise<number> {
    if (outcome.kind === 'done') {
      if (!asides.includes(step)) memory.waiting = ''
      const { message, data } = outcome
      await journal.write({ step, edge: 'end', message, ...(data !== undefined && { data }) }, now())
      log.info('step.end', { step, message })
      return 0
    }
    if (memory.waiting !== outcome.reason) {
      memory.waiting = outcome.reason
      await journal.write({ step, edge: 'note', message: outcome.reason }, now())
      log.info('step.waits', { step, reason: outcome.reason })
    }
    return outcome.waitMs
  }

  async function fail(step: StepName, error: unknown): Promise<void> {
    const message = said(error)
    if (counted.includes(step) || memory.waiting !== message) {
      await journal.write({ step, edge: 'failed', message }, now())
    }
    if (asides.includes(step)) memory.labelAgainAt = new Date(now().getTime() + labelPauseMs)
    else memory.waiting = message
  }

  return { tick, nodeName: () => memory.node }
}

async function lastDesired(files: Files): Promise<Desired | null> {
  const text = await files.read(paths.desired)
  return text === null ? null : decodeDesired(JSON.parse(text))
}

const said = (error: unknown): string => (error instanceof Error ? error.message : String(error))
