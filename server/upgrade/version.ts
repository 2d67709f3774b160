// Kubernetes versions (v1.36.3) as numbers. Pre-releases and builds are not versions that anybody may ask for.

export interface Version {
  readonly minor: number
  readonly patch: number
}

/** Null for anything that is not exactly v1.MINOR.PATCH. */
export function parseVersion(text: string): Version | null {
  const match = /^v1\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/.exec(text)
  return match === null ? null : { minor: Number(match[1]), patch: Number(match[2]) }
}

/** What a component says it runs, which may carry a build: v1.36.3+k3s1 counts as v1.36.3. */
export function runningVersion(text: string): Version | null {
  return parseVersion(text.replace(/[-+].*$/, ''))
}

/** Below zero when `left` is older. */
export function compareVersions(left: Version, right: Version): number {
  return left.minor - right.minor || left.patch - right.patch
}
