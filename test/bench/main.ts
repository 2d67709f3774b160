// Measurements, each a file of its own beside this one: node test/bench/main.ts agent [--json]

const benches: Record<string, () => Promise<{ bench: (args: readonly string[]) => Promise<void> }>> = {
  agent: async () => import('./agent.ts'),
  lab: async () => import('./lab.ts'),
  wire: async () => import('./wire.ts')
}

const [name = '', ...args] = process.argv.slice(2)
const load = benches[name]
if (load === undefined) {
  process.stderr.write(`say what to measure: ${Object.keys(benches).join(', ')}\n`)
  process.exitCode = 2
} else {
  const { bench } = await load()
  await bench(args)
}
