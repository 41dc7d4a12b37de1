/** Castagnoli's polynomial, reflected; node:zlib has only the other CRC-32. */
const POLYNOMIAL = 0x82f63b78;
const TABLES = tables();

/** The CRC-32C of these bytes, eight bytes a step. */
export function crc32c(bytes: Uint8Array): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = TABLES;
  let crc = -1;
  let at = 0;
  for (const end = bytes.length - 7; at < end; at += 8) {
    const low = crc ^ (byte(bytes, at) | (byte(bytes, at + 1) << 8) | (byte(bytes, at + 2) << 16) | (byte(bytes, at + 3) << 24));
    crc =
      entry(t7, low & 0xff) ^
      entry(t6, (low >>> 8) & 0xff) ^
      entry(t5, (low >>> 16) & 0xff) ^
      entry(t4, low >>> 24) ^
      entry(t3, byte(bytes, at + 4)) ^
      entry(t2, byte(bytes, at + 5)) ^
      entry(t1, byte(bytes, at + 6)) ^
      entry(t0, byte(bytes, at + 7));
  }
  for (; at < bytes.length; at++) crc = entry(t0, (crc ^ byte(bytes, at)) & 0xff) ^ (crc >>> 8);
  return ~crc >>> 0;
}

type Tables = readonly [Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array];

function byte(bytes: Uint8Array, at: number): number {
  return bytes[at] as number;
}

function entry(table: Int32Array, at: number): number {
  return table[at] as number;
}

function tables(): Tables {
  const first = Int32Array.from({ length: 256 }, (_, value) => {
    let crc = value;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    return crc;
  });
  const all = [first];
  for (let step = 1; step < 8; step++) {
    const before = all[step - 1] as Int32Array;
    all.push(Int32Array.from(before, (crc) => entry(first, crc & 0xff) ^ (crc >>> 8)));
  }
  return all as unknown as Tables;
}
