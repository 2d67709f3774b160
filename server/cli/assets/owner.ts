// Root works for the user whom the data folder belongs to: what is written there is written as that user, so that it is
// the server's, and so that a link which that user may have put there leads root nowhere. Sources are read as root.

import { statSync } from 'node:fs'

export interface Identity {
  /** Does the work as the owner of the data folder. */
  readonly asOwner: <T>(work: () => Promise<T>) => Promise<T>
  /** For programs that work for us. */
  readonly child: { readonly uid?: number; readonly gid?: number }
}

const ourselves: Identity = { asOwner: work => work(), child: {} }

/** The change is the whole process's: nothing else may go on at the same time. */
export function identityFor(data: string): Identity {
  const { uid, gid } = statSync(data)
  if (process.geteuid?.() !== 0 || uid === 0) return ourselves
  const [group, groups] = [process.getegid!(), process.getgroups!()]
  return {
    child: { uid, gid },
    async asOwner(work) {
      process.setgroups!([gid])
      process.setegid!(gid)
      process.seteuid!(uid)
      try {
        return await work()
      } finally {
        process.seteuid!(0)
        process.setegid!(group)
        process.setgroups!(groups)
      }
    }
  }
}
