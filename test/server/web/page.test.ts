// The page in a real browser: Debian's Chromium, driven by playwright-core. One browser for all of it.

import type { AddressInfo } from 'node:net'
import { type Browser, chromium, type Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { type Packet } from '../../../server/dhcp/codec/packet.ts'
import { probeMessage } from '../../../server/dhcp/rivals/message.ts'
import { createRivals, hear, rivalNotices, sightingOfReply } from '../../../server/dhcp/rivals/rivals.ts'
import { buildBootApp } from '../../../server/http/boot-app.ts'
import { buildControlApp } from '../../../server/http/control-app.ts'
import { recordEvent } from '../../../server/timeline.ts'
import { buildPage } from '../../../server/web/build.ts'
import { bootUrl, createWorld, fakeAuthority, nodeView, putDocuments, type World } from '../../helpers/http.ts'
import { findProgram, needs } from '../../helpers/require.ts'

let browser: Browser | null = null

async function open(t: Test, world: World): Promise<{ page: Page; url: string; faults: string[] }> {
  const app = await buildControlApp(world, null)
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
  browser ??= await chromium.launch({
    executablePath: findProgram('chromium')!,
    args: ['--no-sandbox', '--disable-gpu']
  })
  const context = await browser.newContext({ viewport: { width: 1500, height: 900 } })
  t.teardown(() => context.close())
  const page = await context.newPage()
  page.setDefaultTimeout(15_000)
  const faults: string[] = []
  page.on('pageerror', error => faults.push(String(error)))
  page.on('console', message => {
    // A browser says so of every answer that refuses; the page shows those itself.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) faults.push(message.text())
  })
  return { page, url, faults }
}

t.teardown(() => browser?.close())

const wants = needs({ programs: ['chromium'] })

t.test('an operator takes in a machine that appears, and relabels its node', wants, async t => {
  const world = await createWorld(t, fakeAuthority(), await buildPage())
  await putDocuments(world, 'manual')
  const boot = await buildBootApp(world)
  t.teardown(() => boot.close())
  const { page, url, faults } = await open(t, world)

  await page.goto(`${url}/#code=${world.logins.issueCode('operator')}`)
  await page.getByText('None yet. Power one on').waitFor()
  t.notMatch(page.url(), 'code', 'the code has left the address bar')

  await boot.inject({ url: bootUrl(1), remoteAddress: '192.0.2.7' })
  const row = page.locator('tr', { hasText: 'node-1' })
  await row.getByText('discovered', { exact: true }).waitFor()
  await row.getByText('waiting for approval').waitFor() // why
  t.match(await row.innerText(), /approve it \(slipway approve\)/, 'what next')

  await row.getByRole('button', { name: 'approve node-1' }).click()
  await row.getByText('approved', { exact: true }).waitFor()
  await boot.inject({ url: bootUrl(1), remoteAddress: '192.0.2.7' })
  await row.getByText('installing', { exact: true }).waitFor()

  await row.getByRole('button', { name: 'node-1', exact: true }).click()
  const detail = page.getByRole('complementary', { name: 'Machine node-1' })
  await detail.getByText('machine.installing').waitFor()
  t.match(await detail.innerText(), /machine\.discovered[^]*machine\.approved[^]*boot\.script/)

  world.nodesSeen.push(nodeView('node-1', 'v1.35.4'))
  await boot.inject({ url: bootUrl(2) }) // something happens, so the lists are read again
  const node = page.locator('tr[data-node="node-1"]')
  await node.getByLabel('Version for node-1').fill('v1.36.3')
  await node.getByRole('button', { name: 'relabel node-1' }).click()
  await page.getByText('node-1: asked for v1.36.3.').waitFor()
  t.same(world.asked, ['version node-1 v1.36.3'])

  page.on('dialog', dialog => void dialog.accept())
  await row.getByRole('button', { name: 'retire node-1' }).click()
  await row.getByText('retired', { exact: true }).waitFor()
  t.same(faults, [])

  await page.getByRole('button', { name: 'Log out' }).click()
  await page.getByLabel('One-time code or access token').waitFor()
  t.equal((await page.context().cookies()).length, 0)
})

t.test('what hardware says stays text', wants, async t => {
  const world = await createWorld(t, fakeAuthority(), await buildPage())
  await putDocuments(world, 'manual')
  const boot = await buildBootApp(world)
  t.teardown(() => boot.close())
  const { page, url, faults } = await open(t, world)
  const hostile = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`
  await boot.inject({
    url: bootUrl(1, { product: hostile, serial: `"><svg onload=alert(1)>`, asset: 'A'.repeat(4096) })
  })

  await page.goto(`${url}/#code=${world.logins.issueCode('viewer')}`)
  const row = page.locator('tr', { hasText: 'node-1' })
  t.match(await row.innerText(), hostile)
  await row.getByRole('button', { name: 'node-1', exact: true }).click()
  await page.getByText('machine.discovered').waitFor()
  t.equal(await page.title(), 'Slipway')
  t.equal(await page.locator('main img, main script, aside img, aside svg').count(), 0)
  t.equal(await page.getByRole('button', { name: /^(approve|reject|retire)/ }).count(), 0, 'a viewer may only look')
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)
  t.equal(wide, false, '4 KB of serial number do not push the page out of the window')
  t.same(faults, [])
})

t.test('another DHCP server is shown, with its address and what it offers', wants, async t => {
  const world = await createWorld(t, fakeAuthority(), await buildPage())
  const { page, url, faults } = await open(t, world)
  await page.goto(`${url}/#code=${world.logins.issueCode('viewer')}`)
  await page.getByText('None yet. Power one on').waitFor()
  t.equal(await page.getByRole('alert').count(), 0)

  const rivals = createRivals('authoritative')
  const packet: Packet = {
    ...probeMessage(1),
    op: 'reply',
    yourAddress: '10.0.0.50',
    bootFile: `<img src=x onerror="document.title='owned'">`,
    options: { messageType: 2, serverId: '10.0.0.9', routers: ['10.0.0.254'] }
  }
  const place = { interface: 'eth1', relay: null }
  const [event] = hear(rivals, sightingOfReply(packet, place, '10.0.0.9', '52:54:00:00:00:66'), world.now())
  world.noticed.push(...rivalNotices(rivals, world.now()))
  await recordEvent(world, event!) // the page hears of it at once

  const alert = page.getByRole('alert')
  await alert.waitFor()
  t.match(await alert.innerText(), /Another DHCP server/)
  t.match(await alert.innerText(), /10\.0\.0\.9 \(52:54:00:00:00:66\), offers 10\.0\.0\.50, router 10\.0\.0\.254/)
  t.match(await alert.innerText(), 'boot file <img src=x')
  t.equal(await page.locator('main img').count(), 0, 'what was heard stays text')
  t.equal(await page.title(), 'Slipway')

  world.noticed.length = 0
  await recordEvent(world, { type: 'dhcp.rival-gone', message: 'it is away' })
  await alert.waitFor({ state: 'detached' })
  t.same(faults, [])
})

t.test('a code works once, and a broken stream comes back', wants, async t => {
  const world = await createWorld(t, fakeAuthority(), await buildPage())
  await putDocuments(world, 'manual')
  const boot = await buildBootApp(world)
  t.teardown(() => boot.close())
  const { page, url, faults } = await open(t, world)
  const code = world.logins.issueCode('admin')
  t.ok(world.logins.redeem(code))
  await page.goto(`${url}/#code=${code}`)
  await page.getByText('this code or token is wrong, was used, or is too old').waitFor()
  await page.getByLabel('One-time code or access token').fill(world.logins.issueCode('admin'))
  await page.getByRole('button', { name: 'Log in' }).click()
  await page.getByText('live', { exact: true }).waitFor()
  t.same(await page.evaluate(() => document.cookie), '', 'no script can read the cookie')

  await page.context().setOffline(true)
  await boot.inject({ url: bootUrl(1) })
  await page.context().setOffline(false)
  await page.reload()
  await page.locator('tr', { hasText: 'node-1' }).waitFor()
  t.same(faults, [])
  t.equal((await page.goto(`${url}/web/nothing.ts`))?.status(), 404)
})
