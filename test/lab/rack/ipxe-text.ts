// How iPXE reads a line: white space splits it, ||, && and ; join commands, and ${setting:type} is expanded in each
// word afterwards, again and again until nothing is left to expand. There is no quoting (src/core/exec.c, settings.c).

export interface Part {
  readonly tokens: readonly string[]
  readonly after: '||' | '&&' | ';' | null
}

const joints = new Set(['||', '&&', ';'])

/** The commands of a line with what joins each to the next one. A word that begins with # starts a comment. */
export function splitCommand(line: string): readonly Part[] {
  const words = line.split(/\s+/).filter(word => word !== '')
  const comment = words.findIndex(word => word.startsWith('#'))
  const parts: Part[] = []
  let tokens: string[] = []
  for (const word of comment === -1 ? words : words.slice(0, comment)) {
    if (joints.has(word)) {
      parts.push({ tokens, after: word as '||' })
      tokens = []
    } else tokens.push(word)
  }
  return [...parts, { tokens, after: null }]
}

/** iPXE expands for ever when a setting names itself; a real machine hangs, we stop. */
const EXPANSIONS_MAX = 1_000

/** Innermost first, and what came out is expanded again: a hostile value that holds ${…} is a command to iPXE too. */
export function expand(text: string, find: (name: string) => string | null): string {
  let rest = text
  for (let round = 0; round < EXPANSIONS_MAX; round += 1) {
    const end = rest.indexOf('}', rest.indexOf('${'))
    const start = end === -1 ? -1 : rest.lastIndexOf('${', end)
    if (start === -1) return rest
    rest = rest.slice(0, start) + lookUp(rest.slice(start + 2, end), find) + rest.slice(end + 1)
  }
  return rest
}

function lookUp(setting: string, find: (name: string) => string | null): string {
  const [name = '', type = 'string'] = setting.split(':')
  const value = find(name.split('/').at(-1)!)
  return value === null ? '' : format(value, type)
}

function format(value: string, type: string): string {
  switch (type) {
    case 'uristring':
      return uriText(value)
    case 'hexhyp':
      return value.replaceAll(':', '-')
    case 'hexraw':
      return value.replaceAll(':', '')
    default:
      return value
  }
}

/** Escapes all bytes but the unreserved characters of RFC 3986 section 2.3. */
function uriText(value: string): string {
  return [...Buffer.from(value, 'utf8')]
    .map(byte => {
      const character = String.fromCharCode(byte)
      return /[A-Za-z0-9._~-]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
    })
    .join('')
}
