import type { Row } from '@nanosync/core';
import { AvroReader, ChangeCodec, readCell, readRowOrigin, rowOrigin, UNCHANGED } from '@nanosync/core';
import { expect, test } from 'vitest';
import { randomOf } from '../../shared/random.ts';
import type { Model } from './test-support.ts';
import { fill, LARGE, modelOf, ORDERS, planned, row, streaming } from './test-support.ts';
import type { ModelTransaction } from './transaction.ts';

const IDS = 14;
const STEPS = 240;

/** Writers with up to four transactions at once, whose commits become visible late. */
function* writers({ db }: Model, random: () => number): Generator<void> {
  const pick = (below: number) => Math.floor(random() * below);
  const someRow = () => row(1 + pick(IDS), `v${pick(1000)}`, random() < 0.5 ? LARGE : `body ${pick(9)} ${LARGE}`);
  let open: ModelTransaction[] = [];
  const advance = (transaction: ModelTransaction) => {
    const chance = random();
    if (transaction.state === 'committing') transaction.becomeVisible();
    else if (chance < 0.1) transaction.rollback();
    else if (chance < 0.2 && transaction.state === 'open') transaction.prepare();
    else transaction.commit();
  };
  for (let step = 0; step < STEPS; step++, yield) {
    open = open.filter(({ state }) => state !== 'over');
    const [transaction] = open.length < 4 && random() < 0.4 ? [db.begin()] : open.splice(pick(open.length), 1);
    if (transaction === undefined) continue;
    open.push(transaction);
    if (transaction.state === 'committing' && random() < 0.7) continue;
    if (transaction.state !== 'open' || random() < 0.35) {
      advance(transaction);
      continue;
    }
    const chance = random();
    const key = row(1 + pick(IDS));
    const before = db.row(ORDERS, key) ?? someRow();
    if (chance < 0.35) transaction.insert(ORDERS, someRow());
    else if (chance < 0.6) transaction.update(ORDERS, key, [key[0] ?? null, `v${pick(1000)}`, before[2] ?? null]);
    else if (chance < 0.8) transaction.update(ORDERS, key, [BigInt(1 + pick(IDS)), `v${pick(1000)}`, before[2] ?? null]);
    else if (chance < 0.97) transaction.delete(ORDERS, key);
    else transaction.truncate(ORDERS);
    if (random() < 0.1) db.vacuum(ORDERS);
  }
  for (const transaction of open) while (transaction.state !== 'over') advance(transaction);
}

/** The handoff as its documentation says, on one table, while writers write; true when the copy equals the source. */
async function handsOver(seed: number, { fence, complete }: { readonly fence: boolean; readonly complete: boolean }): Promise<boolean> {
  const model = modelOf(seed);
  const { db, source, clock } = model;
  fill(db, 8, LARGE);
  const writing = writers(model, randomOf(seed + 1000));
  let done = false;
  const copying = copy(model, fence).then((copied) => {
    done = true;
    return copied;
  });
  while (!done || writing.next().done !== true) {
    writing.next();
    await clock.advance(7);
  }
  const { rows, anchor } = await copying;
  const stream = await streaming(model, anchor, { complete: () => complete });
  const codec = new ChangeCodec((await planned(model)).schema);
  const key = (of: Row) => codec.key(of).toString('latin1');
  for (const event of await stream.read(3_000)) {
    if (event.kind === 'truncate') rows.clear();
    if (event.kind !== 'change') continue;
    if (event.before !== null) rows.delete(key(event.before));
    if (event.after === null || event.rowless) continue;
    const base = rows.get(key(event.after));
    rows.set(
      key(event.after),
      event.after.map((cell, place) => (cell === UNCHANGED ? (base?.[place] ?? null) : cell)),
    );
  }
  await source[Symbol.asyncDispose]();
  const copied = [...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, found]) => found);
  return JSON.stringify(copied, text) === JSON.stringify(db.rowsOf(ORDERS), text);

  function text(_: string, value: unknown): unknown {
    return typeof value === 'bigint' ? String(value) : value;
  }
}

async function copy({ source, clock }: Model, fence: boolean) {
  await clock.sleep(100);
  const anchor = await source.anchor('p', 'a', [ORDERS]);
  if (fence) await source.fence({ signal: new AbortController().signal, onWait: () => {} });
  const rows = new Map<string, Row>();
  for (;;) {
    const [table] = await source.discover([ORDERS]);
    if (table === undefined) throw new Error('the table is gone');
    const codec = new ChangeCodec(table.schema);
    rows.clear();
    try {
      for (const range of await source.partition(table, { targetRows: 3, whole: false }))
        for await (const output of source.readRange(table, range, {
          targetBytes: 1,
          origin: rowOrigin(0, 'a'),
          signal: new AbortController().signal,
        })) {
          if (output.kind !== 'block') continue;
          const reader = new AvroReader(output.block.block);
          for (let at = 0; at < output.block.rows; at++) {
            readRowOrigin(reader);
            const found = table.schema.columns.map((column) => readCell(reader, column.type));
            rows.set(codec.key(found).toString('latin1'), found);
          }
        }
      return { rows, anchor };
    } catch (error) {
      if ((error as { kind?: string }).kind !== 'table-changed') throw error;
    }
  }
}

test('copy, then changes from L0 by key, is the source, whatever the writers do', async () => {
  for (let seed = 1; seed <= 400; seed++) expect(await handsOver(seed, { fence: true, complete: true }), `seed ${seed}`).toBe(true);
});

for (const [what, without] of [
  ['the fence', { fence: false, complete: true }],
  ['completion', { fence: true, complete: false }],
] as const)
  test(`the model shows what goes wrong without ${what}`, async () => {
    let seed = 1;
    while (seed <= 300 && (await handsOver(seed, without))) seed++;
    expect(seed).toBeLessThanOrEqual(300);
  });
