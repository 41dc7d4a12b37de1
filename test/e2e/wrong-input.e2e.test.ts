import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { freePort, type PostgresServer, startPostgres } from '@nanosync/testkit';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../demo/connect.ts';
import { startFakePooler } from './fake-pooler.ts';
import { nanosync } from './nanosync-process.ts';

const SECRET = 'pl4nted-s3cret';
let root: string;
let server: PostgresServer;
let admin: pg.Client;

const SCHEMA = `
  CREATE ROLE sync LOGIN REPLICATION PASSWORD '${SECRET}'; GRANT CREATE ON DATABASE postgres TO sync; GRANT CREATE ON SCHEMA public TO sync;
  CREATE ROLE plain LOGIN PASSWORD '${SECRET}'; GRANT CREATE ON DATABASE postgres TO plain; GRANT sync TO plain;
  SET ROLE sync;
  CREATE TABLE public.good (id int PRIMARY KEY, note text);
  CREATE TABLE public.keyless (id int);
  CREATE TABLE public.nothing (id int PRIMARY KEY); ALTER TABLE public.nothing REPLICA IDENTITY NOTHING;
  CREATE TABLE public.twins (id int PRIMARY KEY, "Note" text, note text);
  RESET ROLE;
  CREATE TABLE public.foreign_table (id int PRIMARY KEY);`;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'nanosync-wrong-'));
  server = await startPostgres();
  admin = await connect(server.dsn());
  await admin.query(SCHEMA);
});

afterAll(async () => {
  await admin.end();
  await server.stop();
  rmSync(root, { recursive: true, force: true });
});

interface Input {
  readonly dsn?: string;
  readonly path?: string;
  readonly tables?: string;
  readonly type?: string;
  readonly more?: string;
}

/** A pipelines file as in the README, with one thing changed. */
function pipelines({ dsn, path, tables = 'public.good', type = 'duckdb', more = '' }: Input, home: string): string {
  return `connections:
  - { name: prod, type: postgres, dsn: ${JSON.stringify(dsn ?? dsnOf('sync'))} }
  - { name: warehouse, type: ${type}, properties: { path: ${JSON.stringify(path ?? join(home, 'w.duckdb'))} } }
pipelines:
  - name: shop
    source: { connection: prod, tables: [${tables}] }
    sink: { connection: warehouse }
${more}`;
}

function dsnOf(user: string, place = `127.0.0.1:${server.port}`, database = '/postgres'): string {
  return `postgres://${user}:${SECRET}@${place}${database}`;
}

/** Expects that `start` (or these commands) refuse a file with exactly these sentences, and that nothing was created. */
async function refused(text: string | undefined, sentences: readonly RegExp[], commands = ['start']): Promise<void> {
  const home = mkdtempSync(join(root, 'case-'));
  const file = join(home, 'pipelines.yaml');
  if (text !== undefined) writeFileSync(file, text.replaceAll('HOME', home));
  const before = readdirSync(home);
  // None of them makes anything, so they can run side by side.
  const run = async (command: string) => ({
    command,
    ...(await nanosync([command, '-f', file, ...(command === 'validate' ? [] : ['--data-dir', join(home, 'data')])])),
  });
  for (const { status, out, err } of await Promise.all(commands.map(run))) {
    expect({ status, out }, err).toEqual({ status: 2, out: '' });
    const lines = err.trimEnd().split('\n');
    expect(lines, err).toEqual(sentences.map((sentence) => expect.stringMatching(sentence)));
    expect(err).not.toContain(SECRET);
  }
  expect(readdirSync(home)).toEqual(before);
  await expectNothingAt(admin);
}

/** No slot and no publication of ours. */
async function expectNothingAt(client: pg.Client): Promise<void> {
  const { rows } = await client.query(
    `SELECT slot_name::text FROM pg_replication_slots WHERE slot_name LIKE 'nanosync%' UNION ALL SELECT pubname::text FROM pg_publication`,
  );
  expect(rows).toEqual([]);
}

const refusedInput = (input: Input, ...sentences: readonly RegExp[]) => refused(pipelines(input, 'HOME'), sentences);

describe('the file', () => {
  it.for<[string, string | undefined, RegExp[]]>([
    ['is missing', undefined, [/pipelines\.yaml does not exist\. Check the path\./]],
    ['is empty', '', [/:1: is empty/]],
    ['is no YAML', 'pipelines: [', [/:1: is not valid YAML: /]],
    ['has tabs', 'connections:\n\t- name: prod\n', [/:2: is not valid YAML: Tabs are not allowed/]],
    ['is something else', 'just words', [/:1: must be a section/]],
    [
      'has a password where a key belongs',
      `connections:\n  - { name: a, type: postgres, "dsn:postgres://u:${SECRET}@h/d": 1 }\npipelines: []\n`,
      [/:2: .*\*\*\*@h/, /neither dsn/, /no pipeline/],
    ],
    ['breaks off within a password', `connections:\n  - { name: a, dsn: "postgres://u:${SECRET}@h`, [/is not valid YAML/]],
    ['breaks off after a password', `connections:\n  dsn: a: postgres://u:${SECRET}@h\n]`, [/is not valid YAML/]],
  ])('%s', async ([, text, sentences]) => refused(text, sentences, ['validate']));

  it('has keys, names and values that do not exist', async () => {
    await refusedInput(
      { more: '    snapshott: { concurrency: 4 }' },
      /:8: pipelines\[0\]\.snapshott is not a known key; did you mean snapshot\?/,
    );
    await refusedInput({ type: 'redshift' }, /:3: connections\[1\]\.type "redshift" is not a known type; known are postgres .* duckdb/);
    await refusedInput({ more: '    replication_type: mirror' }, /:8: .*replication_type "mirror" is not known; known are cdc_backfill/);
    await refusedInput({ tables: 'public.good, public.good' }, /:6: .*"public\.good" is listed twice; keep one/);
    await refusedInput({ tables: 'good' }, /:6: .*"good" names no schema; did you mean public\.good\?/);
    await refusedInput({ tables: '' }, /:6: .*tables .*at least/);
  });
});

describe('the connection to the source', () => {
  it('has no password, a wrong one, or nobody behind it', async () => {
    await refusedInput(
      { dsn: dsnOf('sync').replace(SECRET, '${env:NANOSYNC_UNSET}') },
      /source prod: .*\$\{env:NANOSYNC_UNSET\}, which is not set\. Set the environment variable NANOSYNC_UNSET\./,
    );
    await refusedInput(
      { dsn: dsnOf('sync').replace(SECRET, 'wrong') },
      /source prod: PostgreSQL at 127\.0\.0\.1:\d+\/postgres as sync refused the password\. Correct/,
    );
    await refusedInput(
      { dsn: dsnOf('sync', `127.0.0.1:${await freePort()}`) },
      /source prod: .*does not answer \(ECONNREFUSED\)\. Check host, port/,
    );
    await refusedInput(
      { dsn: dsnOf('sync', 'no-such-host.invalid') },
      /source prod: The host is unknown: no-such-host\.invalid.*\. Correct/,
    );
    await refusedInput(
      { dsn: dsnOf('sync', undefined, '/nowhere') },
      /source prod: The database does not exist: .*\/nowhere as sync\. Correct/,
    );
    await refusedInput({ dsn: dsnOf('sync', undefined, '') }, /source prod: The database does not exist: .*\/sync as sync\. Correct/);
    await refusedInput(
      { dsn: dsnOf('sync').replace('postgres:', 'mysql:') },
      /source prod: The connection string does not begin with postgres:\/\/\. Write/,
    );
  });

  it('reaches a pooler instead of the server', async () => {
    await using pooler = await startFakePooler(server);
    await refusedInput(
      { dsn: dsnOf('sync', `127.0.0.1:${pooler.port}`) },
      /source prod: A connection pooler answers at .*, not PostgreSQL\. Connect to/,
    );
  });
});

describe('the source', () => {
  it('has not the table, the key or the right', async () => {
    await refusedInput({ tables: 'public.missing' }, /Table public\.missing does not exist in database postgres\. Correct the name/);
    await refusedInput(
      { tables: 'public.keyless' },
      /Table public\.keyless has no usable key\. Run: ALTER TABLE "public"\."keyless" ADD PRIMARY KEY/,
    );
    await refusedInput(
      { tables: 'public.nothing' },
      /public\.nothing has REPLICA IDENTITY NOTHING.*Run: ALTER TABLE .* REPLICA IDENTITY DEFAULT;/,
    );
    await refusedInput({ dsn: dsnOf('plain') }, /User plain has no REPLICATION right at .*\. Run: ALTER ROLE "plain" REPLICATION;/);
    await refusedInput(
      { tables: 'public.foreign_table' },
      /may not read table public\.foreign_table\. Run: GRANT USAGE ON SCHEMA "public" TO "sync"; GRANT SELECT/,
      /does not own table public\.foreign_table.*OWNER TO "nanosync_tables"; GRANT "nanosync_tables" TO "sync";/,
    );
  });

  it('has columns that the sink cannot tell apart', async () => {
    await refusedInput({ tables: 'public.twins' }, /columns Note and note of public\.twins have one name in DuckDB.*Rename/);
  });

  it('is not set up for logical replication, or has no free slot', async () => {
    await using replica = await startPostgres({ settings: { wal_level: 'replica', max_replication_slots: '1' } });
    const client = await connect(replica.dsn());
    await client.query(SCHEMA);
    const dsn = dsnOf('sync', `127.0.0.1:${replica.port}`);
    await refusedInput({ dsn }, /wal_level at .* is replica, not logical\. Run: ALTER SYSTEM SET wal_level = logical; then restart/);
    await client.query("SELECT pg_create_physical_replication_slot('standby')");
    await refusedInput(
      { dsn },
      /wal_level/,
      /has no free replication slot \(max_replication_slots is 1\)\. Raise .*pg_drop_replication_slot\('standby'\)/,
    );
    await expectNothingAt(client);
    await client.end();
  });
});

describe('the sink', () => {
  it('is away, taken, or no DuckDB file', async () => {
    const busy = join(root, 'busy.duckdb');
    const instance = await DuckDBInstance.create(busy);
    await refusedInput(
      { path: busy },
      new RegExp(`sink warehouse: ${busy} is open in another process \\(pid ${process.pid}\\)\\. .*end the other`),
    );
    instance.closeSync();
    writeFileSync(join(root, 'words.txt'), 'These are words.');
    await refusedInput({ path: join(root, 'words.txt') }, /sink warehouse: .*words\.txt exists and is not a DuckDB file\. Choose another/);
    await refusedInput(
      { path: join(root, 'no/such/w.duckdb') },
      /sink warehouse: the folder .*no\/such of the DuckDB file does not exist\. Make it: mkdir -p/,
    );
    await refusedInput({ path: root }, /sink warehouse: .* is not a file\. Give the path of a DuckDB file/);
  });

  it.skipIf(process.getuid?.() === 0)('may not be written', async () => {
    const folder = join(root, 'closed');
    mkdirSync(folder, { mode: 0o500 });
    await refusedInput(
      { path: join(folder, 'w.duckdb') },
      /sink warehouse: the folder .*closed of the DuckDB file cannot be written by this user/,
    );
  });
});

describe('the data directory', () => {
  it('cannot be one', async () => {
    const home = mkdtempSync(join(root, 'case-'));
    const file = join(home, 'pipelines.yaml');
    writeFileSync(file, pipelines({}, home));
    const { status, err } = await nanosync(['start', '-f', file, '--data-dir', join(file, 'data')]);
    expect({ status, err }).toEqual({
      status: 2,
      err: expect.stringMatching(/cannot be used as data directory \(ENOTDIR\)\. Name a folder.*\n$/),
    });
    expect(readdirSync(home)).toEqual(['pipelines.yaml']);
    await expectNothingAt(admin);
  });

  it('has no server, for the commands that need one', async () => {
    const data = join(root, 'not-there');
    for (const command of [['status'], ['pipeline', 'resnapshot', 'shop']]) {
      const { status, err } = await nanosync([...command, '--data-dir', data]);
      expect({ status, err }).toEqual({
        status: 2,
        err: expect.stringMatching(/No server runs on .*not-there\. Start one with: nanosync start/),
      });
    }
    expect(existsSync(data)).toBe(false);
  });
});
