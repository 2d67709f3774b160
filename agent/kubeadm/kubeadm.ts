// The kubeadm commands the agent uses. Each takes `run` first, so a test passes a fake. Secrets go by file, never by
// argument.

import { type Ran, type Run, tail } from '../run.ts'

const minute = 60_000

/** Exit codes from cmd/kubeadm/app/util/error.go; the reason decides whether to try again. */
const reasons: Record<number, KubeadmReason> = { 2: 'preflight', 3: 'invalid config' }

export type KubeadmReason = 'preflight' | 'invalid config' | 'failed'

export class KubeadmFailed extends Error {
  override readonly name = 'KubeadmFailed'
  readonly reason: KubeadmReason

  constructor(command: string, ran: Ran) {
    super(`kubeadm ${command} exited with ${ran.exitCode ?? 'no code'}: ${mask(tail(ran.stderr))}`)
    this.reason = reasons[ran.exitCode ?? -1] ?? 'failed'
  }
}

export async function kubeadmJoin(run: Run, configPath: string, signal: AbortSignal): Promise<void> {
  await kubeadm(run, ['join', `--config=${configPath}`], 20 * minute, signal)
}

export async function kubeadmInit(run: Run, configPath: string, signal: AbortSignal): Promise<void> {
  await kubeadm(run, ['init', `--config=${configPath}`], 20 * minute, signal)
}

/** Removes what a failed join or init left: kubeadm refuses to run over it. */
export async function kubeadmReset(run: Run, signal: AbortSignal): Promise<void> {
  await kubeadm(run, ['reset', '--force'], 10 * minute, signal)
}

/** The first control plane moves the cluster itself. */
export async function kubeadmUpgradeApply(run: Run, version: string, signal: AbortSignal): Promise<void> {
  await kubeadm(run, ['upgrade', 'apply', '--yes', version], 30 * minute, signal)
}

export async function kubeadmUpgradeNode(run: Run, signal: AbortSignal): Promise<void> {
  await kubeadm(run, ['upgrade', 'node'], 20 * minute, signal)
}

async function kubeadm(run: Run, args: readonly string[], timeoutMs: number, signal: AbortSignal): Promise<void> {
  const ran = await run('kubeadm', args, { timeoutMs, signal })
  if (ran.exitCode !== 0) throw new KubeadmFailed(args[0] ?? '', ran)
}

/** kubeadm may print a bootstrap token (kubeadm token pattern); what it says goes to logs and to the server. */
function mask(text: string): string {
  return text.replaceAll(/\b([a-z0-9]{6})\.[a-z0-9]{16}\b/g, '$1.****************')
}
