import { createServer, connect as openSocket } from 'node:net';
import type { Problem, TableId } from '@nanosync/core';
import type { PostgresServer } from '@nanosync/testkit';
import { startPostgres } from '@nanosync/testkit';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectTo } from './connection.ts';
import { discoverTables } from './discovery.ts';
import { checkPrerequisites } from './prerequisites.ts';
import { openPostgresSource } from './source.ts';
import { quiet, realClock } from './test-context.ts';

let server: PostgresServer;
let admin: Client;
beforeAll(async () => {
  server = await startPostgres();
  admin = await connectTo(server.dsn(), 'nanosync').open('admin');
});
afterAll(async () => {
  await admin.end();
  await server.stop();
});

const check = (tables: string[], dsn = server.dsn()): Promise<Problem[]> => checkPrerequisites(connectTo(dsn, 'nanosync'), 'shop', tables);

async function as(user: string, attributes: string): Promise<string> {
  await admin.query(`CREATE ROLE ${user} LOGIN PASSWORD '${user}' ${attributes}`);
  return server.dsn().replace('postgres:postgres@', `${user}:${user}@`);
}

async function problem(tables: string[], dsn?: string): Promise<Problem> {
  const problems = await check(tables, dsn);
  expect(problems.length).toBe(1);
  return problems[0] as Problem;
}

test('a sound server and table have no problem, and the check leaves nothing behind', async () => {
  await admin.query('CREATE TABLE public.good (id int PRIMARY KEY)');
  expect(await check(['public.good'])).toEqual([]);
  expect((await admin.query('SELECT FROM pg_publication UNION ALL SELECT FROM pg_replication_slots')).rowCount).toBe(0);
});

const TABLES: [string, string, string, RegExp, RegExp][] = [
  ['missing', '', 'public.missing', /does not exist in database postgres/, /upper and lower case/],
  ['misnamed', '', 'orders', /does not name a table/, /schema\.table/],
  ['view', 'CREATE VIEW public.$ AS SELECT 1 AS id', 'public.$', /is a view/, /tables behind/],
  ['materialized view', 'CREATE MATERIALIZED VIEW public.$ AS SELECT 1 AS id', 'public.$', /is a materialized view/, /tables behind/],
  [
    'partitioned',
    'CREATE TABLE public.$ (id int PRIMARY KEY) PARTITION BY RANGE (id)',
    'public.$',
    /is a partitioned table/,
    /Take it out/,
  ],
  [
    'partition',
    'CREATE TABLE public.$_root (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE public.$ PARTITION OF public.$_root DEFAULT',
    'public.$',
    /is a partition of/,
    /Take it out/,
  ],
  [
    'child',
    'CREATE TABLE public.$_root (id int PRIMARY KEY); CREATE TABLE public.$ (PRIMARY KEY (id)) INHERITS (public.$_root)',
    'public.$',
    /inheritance/,
    /Take it out/,
  ],
  [
    'parent',
    'CREATE TABLE public.$ (id int PRIMARY KEY); CREATE TABLE public.$_child () INHERITS (public.$)',
    'public.$',
    /inheritance/,
    /Take it out/,
  ],
  ['unlogged', 'CREATE UNLOGGED TABLE public.$ (id int PRIMARY KEY)', 'public.$', /is unlogged/, /ALTER TABLE "public"\."\w+" SET LOGGED/],
  ['catalog', '', 'pg_catalog.pg_class', /belongs to PostgreSQL/, /your own/],
  ['keyless', 'CREATE TABLE public.$ (id int)', 'public.$', /no usable key/, /ADD PRIMARY KEY/],
  ['deferrable', 'CREATE TABLE public.$ (id int PRIMARY KEY DEFERRABLE)', 'public.$', /deferrable/, /REPLICA IDENTITY USING INDEX/],
  [
    'deferrable full',
    'CREATE TABLE public.$ (id int PRIMARY KEY DEFERRABLE); ALTER TABLE public.$ REPLICA IDENTITY FULL',
    'public.$',
    /deferrable/,
    /USING INDEX/,
  ],
  [
    'nothing',
    'CREATE TABLE public.$ (id int PRIMARY KEY); ALTER TABLE public.$ REPLICA IDENTITY NOTHING',
    'public.$',
    /NOTHING/,
    /REPLICA IDENTITY DEFAULT/,
  ],
  ['unique only', 'CREATE TABLE public.$ (id int NOT NULL UNIQUE)', 'public.$', /no usable key/, /PRIMARY KEY/],
  [
    'full nullable',
    'CREATE TABLE public.$ (id int UNIQUE); ALTER TABLE public.$ REPLICA IDENTITY FULL',
    'public.$',
    /no usable key/,
    /PRIMARY KEY/,
  ],
  [
    'full partial',
    'CREATE TABLE public.$ (id int NOT NULL); CREATE UNIQUE INDEX ON public.$ (id) WHERE id > 0; ALTER TABLE public.$ REPLICA IDENTITY FULL',
    'public.$',
    /no usable key/,
    /PRIMARY KEY/,
  ],
  [
    'full expression',
    'CREATE TABLE public.$ (id int NOT NULL); CREATE UNIQUE INDEX ON public.$ ((id + 1)); ALTER TABLE public.$ REPLICA IDENTITY FULL',
    'public.$',
    /no usable key/,
    /PRIMARY KEY/,
  ],
  [
    'index gone',
    'CREATE TABLE public.$ (id int PRIMARY KEY, e int NOT NULL); CREATE UNIQUE INDEX $_e ON public.$ (e); ALTER TABLE public.$ REPLICA IDENTITY USING INDEX $_e; DROP INDEX public.$_e',
    'public.$',
    /REPLICA IDENTITY of table public\.\w+ is missing/,
    /USING INDEX/,
  ],
  [
    'generated key',
    'CREATE TABLE public.$ (a int, id int GENERATED ALWAYS AS (a * 2) STORED PRIMARY KEY)',
    'public.$',
    /generated column/,
    /USING INDEX/,
  ],
  ['bus names', 'CREATE TABLE public.$ ("a b" int PRIMARY KEY, a_x20_b int)', 'public.$', /a_x20_b on the bus/, /Rename/],
];
test.each(TABLES)('%s: one sentence and the cure, from check and from discover', async (label, ddl, named, what, cure) => {
  const name = `t_${label.replaceAll(' ', '_')}`;
  for (const sql of ddl.split(';').filter((part) => part !== ''))
    await admin.query(`SET search_path = public; ${sql.replaceAll('$', name)}`);
  await admin.query('SET search_path = pg_catalog');
  const table = named.replace('$', name);
  expect(await problem([table])).toEqual({ what: expect.stringMatching(what), cure: expect.stringMatching(cure) });
  const discovering = discoverTables(admin, { database: 'postgres', user: 'postgres' }, [table]);
  await expect(discovering).rejects.toMatchObject({
    kind: 'config',
    message: expect.stringMatching(what),
    hint: expect.stringMatching(cure),
  });
});

const KEYS: [string, string, string[]][] = [
  ['primary key in index order', '(b int, a int, PRIMARY KEY (a, b))', ['a', 'b']],
  [
    'replica identity index',
    '(id int PRIMARY KEY, e text NOT NULL); CREATE UNIQUE INDEX $_e ON public.$ (e) INCLUDE (id); ALTER TABLE public.$ REPLICA IDENTITY USING INDEX $_e',
    ['e'],
  ],
  ['full with primary key', '(id int PRIMARY KEY, e int NOT NULL UNIQUE); ALTER TABLE public.$ REPLICA IDENTITY FULL', ['id']],
  [
    'full with unique index',
    '(id int, e int NOT NULL UNIQUE, f int NOT NULL, UNIQUE (f, e)); ALTER TABLE public.$ REPLICA IDENTITY FULL',
    ['e'],
  ],
];
test.each(KEYS)('the key is what the log identifies: %s', async (label, ddl, key) => {
  const name = `k_${label.replaceAll(' ', '_')}`;
  for (const sql of `CREATE TABLE public.$ ${ddl}`.split(';')) await admin.query(`SET search_path = public; ${sql.replaceAll('$', name)}`);
  await admin.query('SET search_path = pg_catalog');
  const [table] = await discoverTables(admin, { database: 'postgres', user: 'postgres' }, [`public.${name}`]);
  expect(table?.schema.key).toEqual(key);
});

test('a user is made a member of an owner that is no superuser', async () => {
  const dsn = await as('member', 'REPLICATION');
  await admin.query(`CREATE ROLE shop_owner; CREATE TABLE public.owned (id int PRIMARY KEY)`);
  await admin.query(
    'ALTER TABLE public.owned OWNER TO shop_owner; GRANT SELECT ON public.owned TO member; GRANT CREATE ON DATABASE postgres TO member',
  );
  expect((await check(['public.owned'], dsn)).map(({ cure }) => cure)).toEqual(['Run: GRANT "shop_owner" TO "member";']);
});

test('a user without rights is told each one that is missing', async () => {
  const dsn = await as('poor', '');
  await admin.query('CREATE TABLE public.secret (id int PRIMARY KEY)');
  const whats = (await check(['public.secret'], dsn)).map(({ what, cure }) => `${what} ${cure}`);
  expect(whats).toEqual([
    expect.stringMatching(/no REPLICATION right .* ALTER ROLE "poor" REPLICATION;/),
    expect.stringMatching(/may not create a publication .* GRANT CREATE ON DATABASE "postgres" TO "poor";/),
    expect.stringMatching(/may not read table public\.secret\. .*GRANT SELECT ON "public"\."secret" TO "poor";/),
    expect.stringMatching(
      /does not own table public\.secret, .* superuser.* CREATE ROLE "nanosync_tables"; ALTER TABLE "public"\."secret" OWNER TO "nanosync_tables"; GRANT "nanosync_tables" TO "poor";/,
    ),
  ]);
});

test('row security without BYPASSRLS is a problem, with it or as owner it is none', async () => {
  await admin.query('CREATE ROLE tenants; CREATE TABLE public.rls (id int PRIMARY KEY); ALTER TABLE public.rls OWNER TO tenants');
  await admin.query(
    'ALTER TABLE public.rls ENABLE ROW LEVEL SECURITY; ALTER TABLE public.rls FORCE ROW LEVEL SECURITY; GRANT CREATE ON DATABASE postgres TO tenants',
  );
  const hidden = await as('hidden', 'REPLICATION IN ROLE tenants');
  expect(await problem(['public.rls'], hidden)).toMatchObject({
    what: expect.stringContaining('Row security'),
    cure: 'Run: ALTER ROLE "hidden" BYPASSRLS;',
  });
  expect(await check(['public.rls'], await as('seeing', 'REPLICATION BYPASSRLS IN ROLE tenants'))).toEqual([]);
});

test('a transaction-read-only user is a problem', async () => {
  const dsn = await as('readonly', 'SUPERUSER');
  await admin.query('ALTER ROLE readonly SET default_transaction_read_only = on');
  expect(await problem(['public.good'], dsn)).toMatchObject({
    what: expect.stringContaining('read-only'),
    cure: expect.stringContaining('RESET'),
  });
});

test('a publication of another owner is named', async () => {
  await admin.query('CREATE PUBLICATION nanosync_pub_shop');
  const dsn = await as('rich', 'REPLICATION');
  await admin.query(
    'GRANT CREATE ON DATABASE postgres TO rich; CREATE TABLE public.rich (id int PRIMARY KEY); ALTER TABLE public.rich OWNER TO rich',
  );
  expect(await problem(['public.rich'], dsn)).toMatchObject({ what: expect.stringContaining('belongs to another user') });
  await admin.query('DROP PUBLICATION nanosync_pub_shop');
  expect(await check(['public.rich'], dsn)).toEqual([]);
});

test('wal_level, slots and senders that do not suffice are named with their settings', async () => {
  await using replica = await startPostgres({ settings: { wal_level: 'replica', max_replication_slots: '1' } });
  const client = await connectTo(replica.dsn(), 'nanosync').open('x');
  await client.query("CREATE TABLE public.t (id int PRIMARY KEY); SELECT pg_create_physical_replication_slot('standby')");
  await client.end();
  const problems = (await check(['public.t'], replica.dsn())).map(({ what, cure }) => `${what} ${cure}`);
  expect(problems).toEqual([
    expect.stringMatching(/wal_level at .* is replica, not logical\. Run: ALTER SYSTEM SET wal_level = logical;/),
    expect.stringMatching(/no free replication slot \(max_replication_slots is 1\)\. .*pg_drop_replication_slot\('standby'\)/),
  ]);
  // Two pipelines of one file do not find the one slot that is free for each of them alone.
  await using few = await startPostgres({ settings: { max_replication_slots: '2', max_wal_senders: '2' } });
  const other = await connectTo(few.dsn(), 'nanosync').open('x');
  await other.query("CREATE TABLE public.t (id int PRIMARY KEY); SELECT pg_create_physical_replication_slot('standby')");
  await other.end();
  await using source = await openPostgresSource({ dsn: few.dsn(), applicationName: 'nanosync', log: quiet, clock: realClock });
  expect(await source.check('a', ['public.t'])).toEqual([]);
  expect(await source.check('a', ['public.t'], { beside: ['b', 'c'] })).toEqual([
    {
      what: expect.stringMatching(/has 1 free replication slots .* 3 are needed for this pipeline and b, c together/),
      cure: expect.stringContaining('to 4'),
    },
    {
      what: expect.stringMatching(/no free replication connection for this pipeline and b, c/),
      cure: expect.stringContaining('max_wal_senders to 3'),
    },
  ]);
  // A slot that one of them has already is none that it still needs.
  await source.anchor('b', 'b0', ['public.t' as TableId]);
  expect(await source.check('b', ['public.t'], { beside: [] })).toEqual([]);
  await using senders = await startPostgres({ settings: { max_wal_senders: '0' } });
  const one = await connectTo(senders.dsn(), 'nanosync').open('x');
  await one.query('CREATE TABLE public.t (id int PRIMARY KEY)');
  await one.end();
  expect(await problem(['public.t'], senders.dsn())).toMatchObject({ what: expect.stringContaining('max_wal_senders is 0') });
});

/** A pooler as far as it matters: it greets with a process id of its own (K is BackendKeyData). */
function fakePooler(target: PostgresServer): Promise<{ port: number; close: () => void }> {
  const proxy = createServer((socket) => {
    const upstream = openSocket(target.port, target.host);
    upstream.on('data', (chunk: Buffer) => {
      const at = chunk.indexOf(Buffer.from([0x4b, 0, 0, 0, 12]));
      if (at >= 0) chunk.writeUInt32BE(4242, at + 5);
      socket.write(chunk);
    });
    socket.on('data', (chunk) => upstream.write(chunk));
    for (const [one, two] of [
      [socket, upstream],
      [upstream, socket],
    ] as const)
      one.on('close', () => two.destroy()).on('error', () => two.destroy());
  });
  return new Promise((resolve) => {
    proxy.listen(0, '127.0.0.1', () => resolve({ port: (proxy.address() as { port: number }).port, close: () => proxy.close() }));
  });
}

test('a pooler instead of the server is named, whether it refuses our settings or makes up a process', async () => {
  const pooler = await fakePooler(server);
  const problems = await check(['public.good'], server.dsn().replace(`:${server.port}/`, `:${pooler.port}/`));
  expect(problems.map(({ what }) => what)).toEqual([expect.stringContaining('A connection pooler answers at')]);
  pooler.close();
  const text = 'unsupported startup parameter: options';
  const refusing = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      const fields = Buffer.from(`SFATAL\0C08P01\0M${text}\0\0`);
      const head = Buffer.from([0x45, 0, 0, 0, fields.length + 4]);
      socket.end(Buffer.concat([head, fields]));
    });
  });
  await new Promise<void>((resolve) => refusing.listen(0, '127.0.0.1', () => resolve()));
  const { port } = refusing.address() as { port: number };
  await expect(check(['public.good'], `postgres://u:p@127.0.0.1:${port}/d`)).rejects.toMatchObject({
    kind: 'prerequisite',
    message: expect.stringContaining('A connection pooler answers'),
  });
  refusing.close();
});
