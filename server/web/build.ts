// The page as files to be served: TypeScript with its types taken away when the server starts, Preact as it was
// published, found by an import map. No build step, nothing from elsewhere.

import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createRequire, stripTypeScriptTypes } from 'node:module'
import { join } from 'node:path'

export interface PageFile {
  readonly type: string
  readonly text: string
  readonly etag: string
}

export interface Page {
  /** By URL. */
  readonly files: ReadonlyMap<string, PageFile>
  /** SHA-256, base64, of every script that is part of the page's text: the content security policy names them. */
  readonly scriptHashes: readonly string[]
}

/** The modules of the page; a browser asks for them by these names. */
const modules = [
  'main.ts',
  'api.ts',
  'live.ts',
  'list.ts',
  'machine.ts',
  'nodes.ts',
  'notices.ts',
  'login.ts',
  'words.ts'
]

const importMap = JSON.stringify({
  imports: { preact: '/web/preact.mjs', 'preact/hooks': '/web/preact-hooks.mjs' }
})

const document = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Slipway</title>
<link rel="icon" href="/web/icon.svg">
<link rel="stylesheet" href="/web/style.css">
<script type="importmap">${importMap}</script>
<script type="module" src="/web/main.ts"></script>
</head>
<body>
<div id="page"><noscript>This page needs JavaScript; slipway get machines does not.</noscript></div>
</body>
</html>
`

export async function buildPage(): Promise<Page> {
  const files = new Map<string, PageFile>()
  const add = (url: string, type: string, text: string) => {
    const etag = `"${createHash('sha256').update(text).digest('base64url').slice(0, 22)}"`
    files.set(url, { type: `${type}; charset=utf-8`, text, etag })
  }
  add('/', 'text/html', document)
  add('/web/style.css', 'text/css', await readFile(join(import.meta.dirname, 'style.css'), 'utf8'))
  add('/web/icon.svg', 'image/svg+xml', await readFile(join(import.meta.dirname, 'icon.svg'), 'utf8'))
  for (const name of modules) {
    const source = await readFile(join(import.meta.dirname, name), 'utf8')
    add(`/web/${name}`, 'text/javascript', strip(source))
  }
  const resolve = createRequire(import.meta.url).resolve
  add('/web/preact.mjs', 'text/javascript', await published(resolve('preact')))
  add('/web/preact-hooks.mjs', 'text/javascript', await published(resolve('preact/hooks')))
  return { files, scriptHashes: [createHash('sha256').update(importMap).digest('base64')] }
}

/** Without the line that names a source map: we do not serve one, and a browser would ask. */
async function published(path: string): Promise<string> {
  return (await readFile(path, 'utf8')).replace(/^\/\/# sourceMappingURL=.*$/m, '')
}

/** What Node does to our own modules when it loads them. It says once that calling it directly is experimental. */
function strip(source: string): string {
  const warn = process.emitWarning.bind(process)
  process.emitWarning = () => {}
  try {
    return stripTypeScriptTypes(source)
  } finally {
    process.emitWarning = warn
  }
}
