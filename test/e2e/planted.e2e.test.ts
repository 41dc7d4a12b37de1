import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type PostgresServer, startPostgres } from '@nanosync/testkit';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { connectSource } from '../compare/source-table.ts';
import { type NanosyncProcess, nanosync, startNanosync } from './nanosync-process.ts';

/** What must be nowhere but in the source, on the bus and in the warehouse; the password in none of them. */
const PASSWORD = 'planted-password-91c/@:';
const CELL = 'planted-cell-4d7';
const KEY = 'planted-key-e02';
const COMMENT = 'planted-comment-b88';
const HIDDEN = ['planted-password', encodeURIComponent(PASSWORD), CELL, KEY, COMMENT];

let root: string;
let server: PostgresServer;
let client: pg.Client;
let running: NanosyncProcess | undefined;
/** Everything that came out of nanosync, by where. */
const heard: { readonly from: string; readonly text: string }[] = [];

const at = (name: string) => join(root, name);
const env = { PGPASSWORD: PASSWORD };

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'nanosync-planted-'));
  server = await startPostgres();
  client = await connectSource(server.dsn());
  await client.query(
    `CREATE ROLE sync LOGIN REPLICATION PASSWORD '${PASSWORD}'; GRANT ALL ON DATABASE postgres TO sync; GRANT ALL ON SCHEMA public TO sync`,
  );
  await client.query(`SET ROLE sync;
    CREATE TABLE public.people (key text PRIMARY KEY, note text, price numeric(10,2), body text);
    COMMENT ON TABLE public.people IS '${COMMENT}'; COMMENT ON COLUMN public.people.note IS '${COMMENT}';
    INSERT INTO public.people SELECT '${KEY}-' || g, '${CELL}-' || g, g, repeat('${CELL}', 300) FROM generate_series(1, 3000) g;
    INSERT INTO public.people VALUES ('${KEY}-nan', '${CELL}', 'NaN', '${CELL}');
    RESET ROLE`);
  writeFileSync(at('server.yaml'), `data_directory: ${JSON.stringify(at('data'))}\nmetrics: { listen: "127.0.0.1:0" }\n`);
  writePipelines('p.yaml', 'w.duckdb');
  writePipelines('nowhere.yaml', 'no/such/folder/w.duckdb');
});

afterAll(async () => {
  running?.child.kill('SIGKILL');
  await client.end();
  await server.stop();
  rmSync(root, { recursive: true, force: true });
});

function writePipelines(file: string, warehouse: string): void {
  writeFileSync(
    at(file),
    `connections:
  - { name: prod, type: postgres, dsn: "postgres://sync:\${env:PGPASSWORD}@127.0.0.1:${server.port}/postgres" }
  - { name: warehouse, type: duckdb, properties: { path: ${JSON.stringify(at(warehouse))} } }
pipelines:
  - name: people
    source: { connection: prod, tables: [public.people] }
    sink: { connection: warehouse }
    snapshot: { concurrency: 2, target_rows_per_partition: 500 }
`,
  );
}

async function run(...args: readonly string[]): Promise<string> {
  const { out, err } = await nanosync(['--debug', ...args], env);
  heard.push({ from: args.join(' '), text: out + err });
  return out;
}

function start(format: 'human' | 'json'): NanosyncProcess {
  const options = ['-f', at('p.yaml'), '--config', at('server.yaml'), '--log-format', format, '--health-file', at('health')];
  const started = startNanosync(['--debug', 'start', ...options], env);
  void started.ended.then(({ out, err }) => heard.push({ from: `start, ${format}`, text: out + err }));
  running = started;
  return started;
}

interface StatusJson {
  readonly pipelines: readonly {
    readonly phase: string;
    readonly lag: { readonly seconds: number } | null;
    readonly waitingChanges: number;
    readonly quarantined: number;
  }[];
}

async function until(what: string, isSo: (pipeline: StatusJson['pipelines'][0]) => boolean): Promise<void> {
  const look = async () => {
    const { pipelines } = JSON.parse(await run('status', '--json', '--config', at('server.yaml'))) as StatusJson;
    expect(pipelines[0] !== undefined && isSo(pipelines[0]), what).toBe(true);
  };
  await vi.waitFor(look, { timeout: 60_000, interval: 300 });
}

/** Everything that a person or a program can be shown of a pipeline now. */
async function lookAround(process: NanosyncProcess): Promise<void> {
  const url = /(http:\/\/127\.0\.0\.1:\d+)\/metrics/.exec(process.out())?.[1];
  for (const path of ['/metrics', '/healthz', '/readyz']) heard.push({ from: path, text: await (await fetch(`${url}${path}`)).text() });
  heard.push({ from: 'health file', text: readFileSync(at('health'), 'utf8') });
  await run('status', '--config', at('server.yaml'));
}

test('nothing that is planted in passwords, cells, keys or comments comes out in logs, errors, status, metrics, records or the health file', async () => {
  await run('validate', '-f', at('p.yaml'), '--connect');
  await run('validate', '-f', at('nowhere.yaml'), '--connect');
  const wrong = await nanosync(['--debug', 'validate', '-f', at('p.yaml'), '--connect'], { PGPASSWORD: `${PASSWORD}!` });
  heard.push({ from: 'wrong password', text: wrong.out + wrong.err });

  const first = start('human');
  await until('live, with what it knows of its lag', ({ phase, lag }) => phase === 'streaming' && lag !== null);
  await client.query(`UPDATE people SET key = '${KEY}-changed' WHERE key = '${KEY}-1'; UPDATE people SET note = '${CELL}-new' WHERE price = 2;
    DELETE FROM people WHERE price = 3; INSERT INTO people VALUES ('${KEY}-nan-2', '${CELL}', 'NaN', '${CELL}')`);
  await until('both rows in quarantine', ({ quarantined, waitingChanges }) => quarantined >= 2 && waitingChanges === 0);
  await lookAround(first);
  first.child.kill('SIGKILL');
  await first.ended;

  const second = start('json');
  await until('live again', ({ phase, lag }) => phase === 'streaming' && lag !== null);
  await client.query(`ALTER TABLE people ADD COLUMN more text DEFAULT '${CELL}'; UPDATE people SET more = '${CELL}-more' WHERE price = 4`);
  await until('failed', ({ phase }) => phase === 'failed');
  await lookAround(second);
  second.child.kill('SIGINT');
  await second.ended;

  for (const from of ['start, human', 'start, json', '/metrics', 'wrong password'])
    expect(heard.some((one) => one.from === from)).toBe(true);
  expect(heard.find(({ from }) => from === '/metrics')?.text).toContain('nanosync_quarantined{pipeline="people",table="public.people"} 2');
  for (const { from, text } of heard) for (const hidden of HIDDEN) expect(text.includes(hidden), `${hidden} in ${from}`).toBe(false);
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  for (const file of files) {
    const bytes = readFileSync(join(file.parentPath, file.name));
    expect(bytes.includes('planted-password'), file.name).toBe(false);
    if (file.parentPath === at('data/state'))
      for (const hidden of HIDDEN) expect(bytes.includes(hidden), `${hidden} in ${file.name}`).toBe(false);
  }
  expect(files.map(({ name }) => name)).toContain('state.db');
});
