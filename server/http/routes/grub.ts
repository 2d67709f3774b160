// /boot/grub and what GRUB looks for by itself: its first file, and with a query the answer for that machine. A HEAD
// comes before each GET of a GRUB that was loaded by HTTP boot, and must say the size (boot/grub.ts).

import type { FastifyPluginAsync } from 'fastify'
import { deviceOf, grubConfig, grubScripts } from '../../boot/grub.ts'
import { answerBoot } from '../../provision/boot.ts'
import { bootBase, endsOf } from '../app.ts'
import type { HttpDeps } from '../deps.ts'
import { readClaim, splitOnce } from './ipxe.ts'

/**
 * Where GRUB finds its first file: Debian's below the root of whatever it was loaded from, whatever the path was
 * (seen); that of Fedora and CentOS Stream beside itself.
 */
const places = ['/grub/grub.cfg', '/assets/boot/grub.cfg']

export function grubRoutes(deps: HttpDeps): FastifyPluginAsync {
  return async app => {
    for (const url of places) {
      app.get(url, async (request, reply) => {
        reply.type('text/plain; charset=utf-8').header('cache-control', 'no-store')
        return grubConfig(bootBase(deps, request))
      })
    }
    // A probe must not discover a machine or hand out an installation.
    app.head('/boot/grub', async (request, reply) => {
      const text = grubConfig(bootBase(deps, request))
      return reply.type('text/plain').header('content-length', text.length).send()
    })
    app.get('/boot/grub', async (request, reply) => {
      const ends = endsOf(request)
      const [, query = ''] = splitOnce(request.raw.url ?? '', '?')
      reply.type('text/plain; charset=utf-8').header('cache-control', 'no-store')
      const base = bootBase(deps, request)
      if (query === '') return grubConfig(base)
      return answerBoot(deps, readClaim(deps, query), ends, grubScripts(deviceOf(base)))
    })
  }
}
