// The world of world.ts on real sockets: the server over mutual TLS, extensions over plain HTTP, the API server over TLS,
// and the machine's programs as shell scripts. For tests and measurements of the agent as a process.

import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer, type ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { json } from 'node:stream/consumers'
import type { TLSSocket } from 'node:tls'
import { applyPatch, authority, type ClusterState, config, live, noon, serverOf, type World } from './world.ts'

export interface Wire {
  /** PATH of the machine's programs. */
  readonly path: string
  close(): Promise<void>
}

/** `seen` is called with "METHOD path" before it is answered; true: it is not answered at all. */
export async function openWire(world: World, seen: (request: string) => boolean): Promise<Wire> {
  const downloads = await listen(createHttpServer())
  const control = await listen(tlsServer())
  const api = await listen(tlsServer())
  const client = serverOf(world)
  downloads.server.on('request', (request, response) => {
    const send = async () => {
      if (seen(`GET ${request.url}`)) return
      for await (const chunk of client.download(request.url ?? '', '', AbortSignal.timeout(1000))) response.write(chunk)
      response.end()
    }
    send().catch(fail)
  })
  control.server.on('request', (request, response) => {
    const send = async () => {
      const { method = '', url = '' } = request
      const body = method === 'GET' ? null : ((await json(request)) as object)
      if (seen(`${method} ${url}`)) return
      const isOurs = (request.socket as TLSSocket).authorized
      const reply = isOurs
        ? await client.send(
            method as 'GET',
            url,
            body,
            { caPem: '', certificatePem: 'BEGIN CERTIFICATE', keyPem: '' },
            AbortSignal.timeout(1000)
          )
        : { status: 401, body: { detail: 'whose certificate is this?' } }
      const at = `http://127.0.0.1:${downloads.port}`
      answer(response, reply.status, JSON.parse(JSON.stringify(reply.body).replace('http://x', at)))
    }
    send().catch(fail)
  })
  api.server.on('request', (request, response) => {
    const send = async () => {
      const { method = '', url = '' } = request
      const body = method === 'GET' ? null : ((await json(request)) as object)
      if (seen(`api ${method} ${url}`)) return
      live(world)
      respond(world.cluster, method, url, body, response)
    }
    send().catch(fail)
  })
  put(world.root, '/etc/slipway/agent.json', JSON.stringify({ ...config, server: `https://127.0.0.1:${control.port}` }))
  put(world.root, '/kubelet.conf', kubeconfig(api.port))
  const path = writePrograms(world.root)
  const servers = [downloads, control, api].map(({ server }) => server)
  return {
    path: `${path}:/usr/bin:/bin`,
    close: async () => {
      for (const server of servers) server.closeAllConnections()
      await Promise.all(servers.map(async server => new Promise(resolve => server.close(resolve))))
    }
  }
}

function fail(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

/** The few requests of the agent to the API server; a watch stays open and says nothing. */
function respond(
  cluster: ClusterState,
  method: string,
  url: string,
  body: object | null,
  response: ServerResponse
): void {
  const { node } = cluster
  if (/^\/api\/v1\/nodes\?.*watch=1/.test(url)) {
    response.writeHead(200, { 'content-type': 'application/json' }).write('')
    return
  }
  if (node === null)
    return answer(response, 404, { kind: 'Status', code: 404, reason: 'NotFound', message: 'not found' })
  if (url.startsWith('/api/v1/nodes?'))
    return answer(response, 200, { metadata: { resourceVersion: '1' }, items: [node] })
  if (url.startsWith('/api/v1/nodes/n1')) {
    if (method === 'PATCH') applyPatch(cluster, body ?? {})
    return answer(response, 200, cluster.node)
  }
  if (url.startsWith('/api/v1/pods'))
    return answer(response, 200, { metadata: { resourceVersion: '1' }, items: cluster.pods })
  if (url.includes('/leases/'))
    return answer(response, 200, { metadata: { name: 'n1' }, spec: { renewTime: cluster.renewedAt } })
  if (url.endsWith('/eviction')) {
    const name = url.split('/').at(-2)
    cluster.pods = cluster.pods.filter(({ metadata }) => metadata.name !== name)
    return answer(response, 201, {})
  }
  answer(response, 404, {})
}

function tlsServer(): Server {
  const { certificatePem, keyPem } = authority.issue({ commonName: 'server', organizations: [] }, 'server', noon)
  return createServer({
    cert: certificatePem,
    key: keyPem,
    ca: authority.caPem,
    requestCert: true,
    rejectUnauthorized: false
  })
}

async function listen<T extends Server | ReturnType<typeof createHttpServer>>(server: T) {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return { server, port: (server.address() as AddressInfo).port }
}

function kubeconfig(port: number): string {
  const { certificatePem, keyPem } = authority.issue(
    { commonName: 'system:node:n1', organizations: [] },
    'client',
    noon
  )
  const base64 = (text: string) => Buffer.from(text).toString('base64')
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'c',
        cluster: { server: `https://127.0.0.1:${port}`, 'certificate-authority-data': base64(authority.caPem) }
      }
    ],
    users: [
      { name: 'u', user: { 'client-certificate-data': base64(certificatePem), 'client-key-data': base64(keyPem) } }
    ],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x'
  })
}

const programs = `#!/bin/sh
r=$SLIPWAY_ROOT
kubelet() { rm -rf $r/proc/77; mkdir -p $r/proc/77; cp $r/usr/bin/kubelet $r/proc/77/exe; }
case "\${0##*/} $*" in
"systemctl show"*) if [ -e $r/proc/77/exe ]; then echo 77; else echo 0; fi ;;
"systemctl restart kubelet") kubelet ;;
"systemctl enable --now kubelet") [ -e $r/proc/77/exe ] || kubelet ;;
"systemd-sysext refresh") mkdir -p $r/usr/bin; cp $r/var/lib/extensions/kubernetes.raw $r/usr/bin/k; chmod +x $r/usr/bin/k; mv $r/usr/bin/k $r/usr/bin/kubelet ;;
"kubeadm join"*) [ -s $r/run/slipway/join.yaml ] || exit 3; mkdir -p $r/etc/kubernetes $r/var/lib/kubelet; echo a >$r/var/lib/kubelet/config.yaml; kubelet; cp $r/kubelet.conf $r/etc/kubernetes/kubelet.conf ;;
"kubeadm reset"*) rm -rf $r/etc/kubernetes $r/var/lib/kubelet $r/proc/77 ;;
esac
`

function writePrograms(root: string): string {
  put(root, '/programs/all', programs)
  chmodSync(join(root, 'programs/all'), 0o755)
  for (const name of ['kubeadm', 'systemctl', 'systemd-sysext', 'modprobe'])
    symlinkSync('all', join(root, 'programs', name))
  return join(root, 'programs')
}

function put(root: string, path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}
