// The few fields of Kubernetes objects that Slipway reads or writes, as they are on the wire (JSON). Not a client
// library's types: what is absent here is not looked at.

export interface ObjectMeta {
  readonly name: string
  readonly namespace?: string
  readonly uid?: string
  readonly resourceVersion?: string
  readonly generation?: number
  readonly creationTimestamp?: string
  readonly deletionTimestamp?: string
  readonly deletionGracePeriodSeconds?: number
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly ownerReferences?: readonly OwnerReference[]
  readonly finalizers?: readonly string[]
}

export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
  readonly controller?: boolean
}

export interface KubeObject {
  readonly apiVersion?: string
  readonly kind?: string
  readonly metadata: ObjectMeta
}

export interface KubeList<T = KubeObject> {
  readonly kind?: string
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string }
  readonly items: readonly T[]
}

export interface Condition {
  readonly type: string
  readonly status: string
  readonly reason?: string
  readonly message?: string
  readonly lastTransitionTime?: string
  readonly lastHeartbeatTime?: string
  readonly lastUpdateTime?: string
}

export interface Taint {
  readonly key: string
  readonly value?: string
  readonly effect: string
}

export interface KubeNode extends KubeObject {
  readonly spec?: { readonly unschedulable?: boolean; readonly taints?: readonly Taint[] }
  readonly status?: {
    readonly conditions?: readonly Condition[]
    readonly nodeInfo?: { readonly kubeletVersion?: string; readonly bootID?: string; readonly machineID?: string }
    readonly addresses?: ReadonlyArray<{ readonly type: string; readonly address: string }>
  }
}

export interface KubePod extends KubeObject {
  readonly spec?: { readonly nodeName?: string; readonly containers?: ReadonlyArray<{ name: string; image: string }> }
  readonly status?: { readonly phase?: string; readonly conditions?: readonly Condition[] }
}

export interface CertificateSigningRequest extends KubeObject {
  readonly spec: {
    /** PEM, base64. */
    readonly request: string
    readonly signerName: string
    readonly usages?: readonly string[]
    readonly expirationSeconds?: number
    readonly username?: string
    readonly groups?: readonly string[]
  }
  readonly status?: { readonly conditions?: readonly Condition[]; readonly certificate?: string }
}

export interface KubeLease extends KubeObject {
  readonly spec?: {
    readonly holderIdentity?: string
    readonly renewTime?: string
    readonly leaseDurationSeconds?: number
  }
}

export interface ServerVersion {
  /** v1.36.3 */
  readonly gitVersion: string
}
