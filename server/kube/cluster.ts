// The cluster, as far as provisioning asks of it: how a machine joins, what its nodes are, the label that asks for a
// version. Either it exists already (cluster.kubeconfig), or the first control plane machine makes it and hands over
// its admin.conf.

import type { JoinReply } from '../contract/agent.ts'
import type { NodeView } from '../contract/api.ts'
import type { Cluster as ClusterDocument, Profile } from '../contract/document.ts'
import type { Machine } from '../contract/machine.ts'
import { intent } from '../contract/names.ts'
import { Fault } from '../core/fault.ts'
import { createKubeClient } from '../kubeapi/client.ts'
import { isKubeError, KubeError } from '../kubeapi/errors.ts'
import { fileCredentials, textCredentials } from '../kubeapi/files.ts'
import { KubeconfigError } from '../kubeapi/kubeconfig.ts'
import { paths } from '../kubeapi/paths.ts'
import type { Log } from '../log.ts'
import { findDocument } from '../store/documents.ts'
import { getMachine } from '../store/machines.ts'
import type { Recorder } from '../timeline.ts'
import { recordEvent } from '../timeline.ts'
import { type Connection, connect } from './connection.ts'
import { claimFirst, exists, kubeconfigPath, reclaimFirst, writeKubeconfig } from './files.ts'
import { discoveryKubeconfig, discoveryPath, initConfiguration, joinConfiguration } from './kubeadm-config.ts'
import { mintToken } from './tokens.ts'
import { type UpgradeFacts, upgradeFacts } from './upgrades.ts'

export interface ClusterConfig {
  readonly data: string
  readonly cluster: { readonly kubeconfig: string } | null
}

export interface ClusterDeps extends Recorder {
  readonly log: Log
  readonly randomBytes: (size: number) => Buffer
  /** A machine's node is Ready. */
  readonly nodeReady: (node: string, version: string | null) => Promise<void>
}

export interface Cluster {
  /** What kubeadm needs on that machine. Throws Fault unavailable while it must wait, conflict when it may not. */
  readonly join: (machine: Machine, now: Date) => Promise<JoinReply>
  /** Takes admin.conf from the machine that was told to begin the cluster. */
  readonly handover: (machine: Machine, kubeconfig: string, now: Date) => Promise<void>
  readonly nodes: () => readonly NodeView[]
  readonly setVersion: (node: string, version: string) => Promise<void>
  readonly deleteNode: (node: string) => Promise<void>
  /** Null while no cluster is known. */
  readonly status: () => { ok: boolean; reason: string } | null
  readonly upgradeFacts: (node: string) => UpgradeFacts
  readonly close: () => Promise<void>
}

/**
 * Throws Fault not_found when the configured kubeconfig is not there. A cluster that does not answer is no obstacle.
 */
export async function openCluster(config: ClusterConfig, deps: ClusterDeps): Promise<Cluster> {
  const path = config.cluster?.kubeconfig ?? kubeconfigPath(config.data)
  const there = await exists(path)
  if (!there && config.cluster !== null) {
    throw new Fault('not_found', `cluster.kubeconfig names ${path}, which is not there`)
  }
  const open = () => connect({ ...deps, kube: createKubeClient(fileCredentials(path)) })
  let connection: Connection | null = there ? open() : null
  const connected = (): Connection => {
    if (connection === null) throw new Fault('unavailable', 'there is no cluster yet: no control plane has begun one')
    return connection
  }

  return {
    async join(machine, now) {
      const plan = await planOf(deps, machine)
      if (connection === null) return begin(config, deps, machine, plan)
      if (plan.profile.spec.kubernetes.role === 'control-plane') {
        const remedy = 'give it a profile with the role worker'
        throw new Fault('conflict', `the cluster has its control plane; a second one cannot join yet: ${remedy}`)
      }
      return joinReply(connection, deps, machine, plan, now)
    },
    async handover(machine, kubeconfig) {
      if (config.cluster !== null) throw new Fault('conflict', 'the server was given its cluster by cluster.kubeconfig')
      if ((await claimFirst(config.data, machine.id)) !== machine.id) {
        throw new Fault('forbidden', `${machine.id} was not asked to begin the cluster`)
      }
      await usable(kubeconfig)
      await writeKubeconfig(config.data, kubeconfig)
      // An open connection reads the new file at its next request.
      connection ??= open()
    },
    nodes: () => connection?.nodes.views() ?? [],
    async setVersion(node, version) {
      const labels = { [intent.version]: version }
      await explained(connected().kube.patch(paths.node(node), { metadata: { labels } }, 'merge'), `node ${node}`)
    },
    async deleteNode(node) {
      const gone = connected()
        .kube.delete(paths.node(node))
        .catch((error: unknown) => {
          if (!isKubeError(error, 404)) throw error
        })
      await explained(gone, `node ${node}`)
    },
    status: () => connection?.status() ?? null,
    upgradeFacts: node => upgradeFacts(node, connection?.apiServer() ?? null, connection?.nodes.known() ?? []),
    async close() {
      await connection?.close()
    }
  }
}

interface Plan {
  readonly node: string
  readonly profile: Profile
  readonly cluster: ClusterDocument
}

async function planOf({ db }: ClusterDeps, machine: Machine): Promise<Plan> {
  const profile = machine.profile === null ? null : await findDocument(db, 'Profile', machine.profile)
  if (profile === null || machine.name === null) {
    throw new Fault('unavailable', `machine ${machine.id} has no name or no profile: approve it with one`)
  }
  const { cluster: name } = profile.spec.kubernetes
  const cluster = await findDocument(db, 'Cluster', name)
  if (cluster === null) throw new Fault('unavailable', `cluster ${name} of profile ${machine.profile} is missing`)
  return { node: machine.name, profile, cluster }
}

/** No cluster yet: the first control plane machine makes it, all others wait. */
async function begin(
  { data }: ClusterConfig,
  { db }: ClusterDeps,
  machine: Machine,
  { node, profile, cluster }: Plan
): Promise<JoinReply> {
  if (profile.spec.kubernetes.role !== 'control-plane') {
    throw new Fault('unavailable', 'there is no cluster yet: waiting for a machine of role control-plane')
  }
  const claimed = await claimFirst(data, machine.id)
  const other = claimed === machine.id ? null : await getMachine(db, claimed)
  if (other !== null && other.state !== 'retired') {
    throw new Fault('unavailable', `there is no cluster yet: waiting for ${other.name ?? other.id} to begin it`)
  }
  if (claimed !== machine.id) await reclaimFirst(data, machine.id)
  const { address } = machine
  const config = { node, profile: profile.spec, cluster: cluster.spec, clusterName: cluster.metadata.name, address }
  return { action: 'init', config: initConfiguration(config) }
}

async function joinReply(
  { kube }: Connection,
  deps: ClusterDeps,
  machine: Machine,
  { node, profile, cluster }: Plan,
  now: Date
): Promise<JoinReply> {
  const { role } = profile.spec.kubernetes
  const { caPem } = await kube.credentials()
  if (caPem === null) throw new Fault('unavailable', 'the kubeconfig has no certificate authority to pin')
  const subject = { machine: machine.id, node, role }
  const minted = await explained(mintToken({ ...deps, kube }, subject, now), 'the join token')
  await recordEvent(deps, {
    type: 'join.token',
    machine: machine.id,
    message: `minted a join token for node ${node}, good for 15 minutes and one certificate`,
    detail: { node, token: minted.id }
  })
  const joining = { node, profile: profile.spec, cluster: cluster.spec, caPem, token: minted.token }
  const discovery = discoveryKubeconfig(joining)
  return { action: 'join', config: joinConfiguration(joining), discovery, discoveryPath }
}

/** It must name a server, and hold its keys itself. */
async function usable(kubeconfig: string): Promise<void> {
  try {
    await textCredentials(kubeconfig)
  } catch (error) {
    if (error instanceof KubeconfigError) throw new Fault('invalid', error.message, { cause: error })
    throw error
  }
}

/** The API server's refusals and its silence, for the person who waits. */
async function explained<T>(request: Promise<T>, what: string): Promise<T> {
  try {
    return await request
  } catch (cause) {
    if (isKubeError(cause, 404)) throw new Fault('not_found', `${what} is not in the cluster`, { cause })
    if (cause instanceof KubeError) throw new Fault('unavailable', `${what}: ${cause.message}`, { cause })
    if (cause instanceof Error && 'code' in cause) {
      throw new Fault('unavailable', `the API server does not answer: ${cause.message}`, { cause })
    }
    throw cause
  }
}
