// The one place the agent starts a process. No shell, an explicit environment, a deadline on every command, bounded
// output, and secrets never in argv (any user on the node can read it). execa is loaded with the first command.

export interface Ran {
  readonly exitCode: number | null // null: killed, timed out, or never started
  readonly stdout: string
  readonly stderr: string
}

export interface Limits {
  readonly timeoutMs: number
  readonly signal: AbortSignal
  /** What the program sees as its own name, when that is not its path. */
  readonly name?: string
}

export type Run = (file: string, args: readonly string[], limits: Limits) => Promise<Ran>

const outputBytesMax = 1024 * 1024

/** `root` is told to programs as SLIPWAY_ROOT, which only the lab's simulated ones look at. */
export function createRun(path: string, root: string): Run {
  return async (file, args, { timeoutMs, signal, name }) => {
    const { execa } = await import('execa')
    const result = await execa(file, args, {
      reject: false,
      stdin: 'ignore',
      env: { PATH: path, LC_ALL: 'C', HOME: '/root', SLIPWAY_ROOT: root },
      extendEnv: false,
      timeout: timeoutMs,
      forceKillAfterDelay: 5_000,
      cancelSignal: signal,
      maxBuffer: outputBytesMax,
      ...(name !== undefined && { argv0: name })
    })
    const { exitCode = null } = result
    // Of a program that could not be started, execa says undefined in spite of its types.
    const [stdout, stderr] = [result.stdout, result.stderr].map((text: string | undefined) => text ?? '') as [
      string,
      string
    ]
    // A started process has an exit code or a signal; a bare message is ENOENT, a deadline or the like.
    return { exitCode, stdout, stderr: stderr === '' && exitCode !== 0 ? (result.shortMessage ?? '') : stderr }
  }
}

/** The last lines a person needs, on one line. */
export function tail(text: string): string {
  return text.trim().split('\n').slice(-5).join(' | ').slice(-600)
}
