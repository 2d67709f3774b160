// What the server's thread and the thread of transfers say to each other.

import type { Carried, Errand } from '../carrier.ts'

export type Order =
  | { readonly type: 'carry'; readonly id: number; readonly errand: Errand }
  | { readonly type: 'repeat' | 'stop'; readonly id: number }
  | { readonly type: 'close' }

export type Report =
  | { readonly type: 'proven'; readonly id: number }
  | { readonly type: 'ended'; readonly id: number; readonly outcome: Carried }
  | { readonly type: 'failed'; readonly id: number; readonly message: string }
