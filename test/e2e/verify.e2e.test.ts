import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type PostgresServer, startPostgres } from '@nanosync/testkit';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { duckdbWarehouse } from '../compare/duckdb-end.ts';
import { connectSource } from '../compare/source-table.ts';
import { tamper } from '../compare/tamper.ts';
import { type NanosyncProcess, nanosync, startNanosync } from './nanosync-process.ts';

/** A million with NANOSYNC_VERIFY_ROWS=1000000: then it takes minutes. */
const ROWS = Number(process.env.NANOSYNC_VERIFY_ROWS ?? 30_000);
const PATIENCE = { timeout: 60_000 + ROWS };

let root: string;
let server: PostgresServer;
let client: pg.Client;
let running: NanosyncProcess | undefined;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'nanosync-verify-'));
  server = await startPostgres();
  client = await connectSource(server.dsn());
  await client.query(
    `CREATE TABLE public.items (id bigint PRIMARY KEY, description text, amount numeric(12,2), at timestamptz, doc jsonb, uid uuid);
     INSERT INTO public.items SELECT i, concat('description of ', i, repeat('.', 120)), i * 1.25, now() + i * interval '1 second',
       jsonb_build_object('i', i), md5(i::text)::uuid FROM generate_series(1, ${ROWS}) i;
     CREATE TABLE public.few AS SELECT id, description FROM public.items WHERE id <= 30;
     ALTER TABLE public.few ADD PRIMARY KEY (id);
     CREATE TABLE public.hot (id int PRIMARY KEY, flag bool);
     INSERT INTO public.hot SELECT i, true FROM generate_series(1, 5) i;
     CREATE TABLE public.awkward (ratio float8, day date, clock time, stamp timestamp, raw bytea, any_number numeric, tag inet, PRIMARY KEY (ratio, day));
     INSERT INTO public.awkward VALUES ('NaN', 'infinity', '24:00', '-infinity', '\\x00ff', 'NaN', '10.0.0.1'),
       ('-0', '0044-03-15 BC', '00:00', '4713-01-01 BC', '', '1.10', NULL), ('5e-324', '-infinity', NULL, 'infinity', NULL, '-Infinity', '::1');
     ANALYZE`,
  );
  writeFileSync(
    join(root, 'p.yaml'),
    `connections:
  - { name: prod, type: postgres, dsn: ${JSON.stringify(server.dsn())} }
  - { name: warehouse, type: duckdb, properties: { path: ${JSON.stringify(join(root, 'shop.duckdb'))} } }
pipelines:
  - name: shop
    source: { connection: prod, tables: [public.items, public.few, public.hot, public.awkward] }
    sink: { connection: warehouse }
`,
  );
}, PATIENCE.timeout);

afterAll(async () => {
  running?.child.kill('SIGKILL');
  await client?.end();
  await server?.stop();
  rmSync(root, { recursive: true, force: true });
});

const dataDir = () => ['--data-dir', join(root, 'data')];
const warehouse = () => duckdbWarehouse(join(root, 'shop.duckdb'));

/** Starts the server and waits until all tables are live. */
async function start(): Promise<void> {
  running = startNanosync(['start', '-f', join(root, 'p.yaml'), ...dataDir()]);
  await running.until(/is running|nanosync/i);
  await vi.waitFor(
    async () => {
      const { out } = await nanosync(['status', '--json', ...dataDir()]);
      const { pipelines } = JSON.parse(out) as { pipelines: readonly { tables: readonly { state: string }[] }[] };
      const states = pipelines.flatMap(({ tables }) => tables.map(({ state }) => state));
      expect(states).toEqual(['live', 'live', 'live', 'live']);
    },
    { timeout: PATIENCE.timeout, interval: 500 },
  );
}

async function stop(): Promise<void> {
  running?.child.kill('SIGTERM');
  await running?.ended;
}

interface Line {
  readonly kind: string;
  readonly table?: string;
  readonly outcome?: string;
  readonly how?: string;
  readonly key?: Readonly<Record<string, unknown>>;
  readonly columns?: readonly string[];
  readonly counts?: Readonly<Record<string, number>>;
  readonly seconds?: number;
}

/** Compares, with the server's most memory meanwhile beside what it had before. */
async function verify(...args: readonly string[]) {
  const before = residentMb();
  let peak = before;
  const timer = setInterval(() => {
    peak = Math.max(peak, residentMb());
  }, 100);
  try {
    const ended = await startNanosync(['verify', 'shop', ...args, ...dataDir()]).ended;
    return { ...ended, memory: { before, peak } };
  } finally {
    clearInterval(timer);
  }
}

function residentMb(): number {
  try {
    return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${running?.child.pid}/status`, 'utf8'))?.[1]) / 1024;
  } catch {
    return 0;
  }
}

const linesOf = (out: string) =>
  out
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);

/** Writes without pause until it is stopped: rows that come, change and go, and a few that only switch between two values. */
function workload() {
  const stopping = new AbortController();
  let writes = 0;
  const working = (async () => {
    await using writer = await connectWriter();
    for (; !stopping.signal.aborted; writes++) {
      // The middle of the table is left alone: there a cell is spoiled.
      const id = 1 + ((writes * 7919) % Math.floor(ROWS / 4));
      await writer.client.query(`UPDATE public.items SET amount = amount + 1, at = now() WHERE id = ${id}`);
      await writer.client.query(`UPDATE public.hot SET flag = NOT flag WHERE id = ${1 + (writes % 3)}`);
      await writer.client.query(`INSERT INTO public.hot VALUES (${10 + (writes % 2)}, true) ON CONFLICT DO NOTHING`);
      await writer.client.query(`DELETE FROM public.hot WHERE id = ${10 + ((writes + 1) % 2)}`);
    }
  })();
  return {
    end: async () => {
      stopping.abort();
      await working;
      return writes;
    },
  };
}

async function connectWriter() {
  const writer = await connectSource(server.dsn());
  return { client: writer, [Symbol.asyncDispose]: () => writer.end() };
}

test('while rows are written, equal sides are never said to differ', PATIENCE, async () => {
  await start();
  const writing = workload();
  const { status, out, err, memory } = await verify('--json');
  const writes = await writing.end();
  const lines = linesOf(out);
  expect(lines.filter((line) => line.kind === 'difference' && !/changing|held/.test(line.how ?? ''))).toEqual([]);
  const tables = lines.filter((line) => line.kind === 'table');
  expect(tables.map(({ table, outcome }) => [table, outcome])).toEqual([
    ['public.items', 'equal'],
    ['public.few', 'equal'],
    ['public.hot', expect.stringMatching(/^(?:equal|undecided)$/)],
    ['public.awkward', 'equal'],
  ]);
  expect(status, out + err).toBe(lines.at(-1)?.outcome === 'equal' ? 0 : 2);
  expect(writes).toBeGreaterThan(50);
  report('equal', lines, memory);
});

test('a cell that was flipped is named, and no value is shown that nobody asked for', PATIENCE, async () => {
  await stop();
  const said = await tamper(warehouse(), 'public.items', 'cell');
  const others = [await tamper(warehouse(), 'public.few', 'drop'), await tamper(warehouse(), 'public.few', 'cell')];
  await start();
  const writing = workload();
  const { status, out, memory } = await verify('--table', 'items', '--json');
  await writing.end();
  const lines = linesOf(out);
  const differences = lines.filter((line) => line.kind === 'difference' && line.how !== 'changing');
  expect(differences).toMatchObject([{ how: 'different', columns: ['description'] }]);
  expect(`public.items (id=${differences[0]?.key?.id}): differs in description`).toBe(said);
  expect(lines.at(-1)).toMatchObject({ kind: 'end', outcome: 'different' });
  expect(status).toBe(1);
  expect(out).not.toContain('description of');
  report('flipped', lines, memory);

  const text = await verify('--table', 'public.few');
  expect(text.status).toBe(1);
  for (const other of others) expect(text.out).toContain(other);
  const shown = await verify('--table', 'few', '--values');
  expect(shown.out).toMatch(/ {2}description: \.+" at the source, \.+x\.+" at the sink/);
  expect(running?.out()).not.toContain('description of');
});

test('a sink that is paused is said to be, at once, and compared as it is', PATIENCE, async () => {
  expect((await nanosync(['pipeline', 'pause', 'shop', '--sink', ...dataDir()])).status).toBe(0);
  const { status, err } = await verify('--table', 'hot');
  expect(status).toBe(2);
  expect(err).toContain('shop has its sink paused');
  const asIs = await verify('--table', 'awkward', '--as-is');
  expect(asIs.out).toContain('public.awkward: equal');
  expect(asIs.status).toBe(0);
  expect((await verify('--table', 'nothing')).err).toContain('No table of shop is called nothing.');
  await stop();
});

function report(what: string, lines: readonly Line[], memory: { readonly before: number; readonly peak: number }): void {
  if (process.env.NANOSYNC_VERIFY_ROWS === undefined) return;
  const seconds = lines
    .filter(({ kind }) => kind === 'table')
    .map(({ table, seconds, outcome, counts }) => ({ table, outcome, seconds, counts }));
  console.log(what, JSON.stringify({ seconds, memory }));
}
