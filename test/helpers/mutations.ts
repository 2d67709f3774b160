// Packets that are almost right: real ones with bytes changed, options moved, doubled, cut, made up. Chance comes in, so
// that a run can be repeated.

/** A mutation of one of the samples; now and then one of them as it was, or nothing but noise. */
export function mutate(samples: readonly Buffer[], random: () => number, header: number): Buffer {
  const below = (limit: number): number => Math.floor(random() * limit)
  const one = (): Buffer => samples[below(samples.length)]!
  const dice = random()
  if (dice < 0.02) return noise(below(700), below)
  if (dice < 0.08) return Buffer.from(one())
  let bytes: Buffer = Buffer.from(one())
  for (let times = 1 + below(3); times > 0; times--) bytes = step(bytes, one, below, header)
  return bytes
}

type Below = (limit: number) => number

/** Values at which code has broken: nothing, one, the largest, and those beside them. */
const edges = [0, 1, 2, 3, 4, 6, 7, 16, 17, 52, 53, 54, 127, 128, 254, 255]

function step(bytes: Buffer, one: () => Buffer, below: Below, header: number): Buffer {
  if (bytes.length < 2) return noise(400, below)
  const at = below(bytes.length)
  const inBody = bytes.length > header ? header + below(bytes.length - header) : at
  switch (below(9)) {
    case 0:
      bytes[inBody] = below(256)
      return bytes
    case 1:
      bytes[inBody] = edges[below(edges.length)]!
      return bytes
    case 2:
      bytes[at] = (bytes[at]! ^ (1 << below(8))) & 255
      return bytes
    case 3:
      bytes[Math.min(below(header), bytes.length - 1)] = edges[below(edges.length)]!
      return bytes
    case 4: // cut off
      return bytes.subarray(0, at)
    case 5: // a piece again, or a piece less
      return below(2) === 0
        ? Buffer.concat([bytes.subarray(0, inBody), bytes.subarray(inBody - below(20)), noise(below(4), below)])
        : Buffer.concat([bytes.subarray(0, inBody), bytes.subarray(inBody + below(40))])
    case 6: // the head of one and the body of another
      return Buffer.concat([bytes.subarray(0, header), one().subarray(header)])
    case 7: // an option of any code and length in front of the others
      return Buffer.concat([bytes.subarray(0, header), option(below), bytes.subarray(header)])
    default: // and behind them
      return insertBeforeEnd(bytes, option(below), header)
  }
}

function option(below: Below): Buffer {
  const codes = [12, 43, 50, 51, 52, 53, 54, 55, 57, 60, 61, 66, 67, 77, 82, 93, 94, 97, 118, 150, 175, 255, below(256)]
  const size = [0, 1, 2, 4, 6, 16, 17, 40, 255][below(9)]!
  const value = noise(below(20) === 0 ? below(size + 1) : size, below)
  return Buffer.concat([Buffer.of(codes[below(codes.length)]!, size), value])
}

function insertBeforeEnd(bytes: Buffer, piece: Buffer, header: number): Buffer {
  const end = bytes.lastIndexOf(255)
  return end < header
    ? Buffer.concat([bytes, piece])
    : Buffer.concat([bytes.subarray(0, end), piece, bytes.subarray(end)])
}

function noise(size: number, below: Below): Buffer {
  const bytes = Buffer.alloc(size)
  for (let i = 0; i < size; i++) bytes[i] = below(256)
  return bytes
}
