import { Digests, rowHash } from './digests.ts';
import type { ComparedTable, VerifyLimits, VerifyListener, VerifyPorts } from './ports.ts';
import type { RowTaker } from './read-sides.ts';
import { pacer, readSink, readSource } from './read-sides.ts';
import type { RowBytes } from './row-form.ts';
import { RowForm } from './row-form.ts';

/** What a comparison of a table is made of. */
export interface PassParts {
  readonly ports: VerifyPorts;
  readonly limits: VerifyLimits;
  readonly table: ComparedTable;
  readonly listener: VerifyListener;
}

/** What the first pass found. */
export interface FirstPass {
  readonly digests: Digests;
  readonly sourceRows: number;
  readonly sinkRows: number;
  readonly unsendable: number;
}

/** Progress is told after so many rows. */
const TELL_ROWS = 50_000;

/** Reads both sides side by side, whole, and folds them. */
export async function firstPass(parts: PassParts): Promise<FirstPass> {
  const digests = new Digests(parts.table.estimatedRows);
  const { rows, refused } = await readBoth(parts, 'reading', (side, { key, bytes }) => digests.add(side, key, bytes));
  return { digests, sourceRows: rows[0], sinkRows: rows[1], unsendable: refused };
}

/** What the second passes found. */
export interface Candidates {
  readonly keys: readonly string[];
  /** Keys that seem to differ beyond those. */
  readonly beyond: number;
  readonly notExamined: number;
}

/**
 * Reads both sides again and keeps, of buckets that differ, the rows whose partner did not come yet: those that remain are candidates. As many
 * buckets a pass as there is room for, and another pass while buckets are left and not too much was found.
 */
export async function candidatesOf(parts: PassParts, { digests }: FirstPass): Promise<Candidates> {
  const { limits } = parts;
  const keys: string[] = [];
  let beyond = 0;
  const left = digests.differing();
  let next = left.next();
  while (next.done !== true && beyond === 0) {
    const chosen = new Uint8Array(Math.ceil(digests.buckets / 8));
    for (let rows = 0; next.done !== true && (rows === 0 || rows + next.value.rows <= limits.rowsAtOnce); next = left.next()) {
      const { bucket } = next.value;
      chosen[bucket >> 3] = (chosen[bucket >> 3] as number) | (1 << (bucket & 7));
      rows += Math.max(1, next.value.rows);
    }
    for (const key of await unpaired(parts, digests, chosen))
      if (keys.length < limits.candidates) keys.push(key);
      else beyond++;
  }
  let notExamined = 0;
  for (; next.done !== true; next = left.next()) notExamined++;
  return { keys, beyond, notExamined };
}

/** The keys of the chosen buckets that do not have one row on each side, equal to the other. */
async function unpaired(parts: PassParts, digests: Digests, chosen: Uint8Array): Promise<Iterable<string>> {
  const waiting: readonly [Map<string, string>, Map<string, string>] = [new Map(), new Map()];
  const odd = new Set<string>();
  await readBoth(parts, 'looking-again', (side, { key, bytes }) => {
    const bucket = digests.bucketOf(key);
    if (((chosen[bucket >> 3] as number) & (1 << (bucket & 7))) === 0) return;
    const hash = rowHash(bytes).toString('latin1');
    const [own, other] = [waiting[side], waiting[side === 0 ? 1 : 0]];
    const partner = other.get(key);
    if (partner === hash && !own.has(key)) other.delete(key);
    else if (partner !== undefined || own.has(key)) odd.add(key);
    else own.set(key, hash);
  });
  for (const side of waiting) for (const key of side.keys()) odd.add(key);
  return odd;
}

type Take = (side: 0 | 1, row: RowBytes) => void;

/** Reads both sides at the same time, so that little changes between one's row and the other's. */
async function readBoth(parts: PassParts, step: 'reading' | 'looking-again', take: Take) {
  const { ports, limits, table, listener } = parts;
  const ending = new AbortController();
  const both = { ...ports, signal: AbortSignal.any([ports.signal, ending.signal]) };
  const rows: [number, number] = [0, 0];
  let refused = 0;
  let told = 0;
  const taker = (side: 0 | 1): RowTaker => {
    const pause = pacer(ports.clock, limits.rowsPerSecond, both.signal);
    return {
      take: (row) => {
        rows[side]++;
        take(side, row);
      },
      pause: async (more) => {
        const done = rows[0] + rows[1];
        if (done - told >= TELL_ROWS) {
          told = done;
          listener.progress({ step, done, of: table.estimatedRows * 2 });
        }
        await pause(more);
      },
      refused: () => refused++,
    };
  };
  listener.progress({ step, done: 0, of: table.estimatedRows * 2 });
  let failed: { readonly reason: unknown } | undefined;
  const broken = (reason: unknown) => {
    failed ??= { reason };
    ending.abort();
  };
  await Promise.all([
    readSource(both, table, new RowForm(table.schema), taker(0)).catch(broken),
    readSink(both, table, new RowForm(table.schema), taker(1)).catch(broken),
  ]);
  if (failed !== undefined) throw failed.reason;
  listener.progress({ step, done: rows[0] + rows[1], of: rows[0] + rows[1] });
  return { rows, refused };
}
