import { isKind } from '@nanosync/core';
import type { PostgresServer } from '@nanosync/testkit';
import { freePort, startPostgres } from '@nanosync/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectTo, queryJson, quoteIdent, quoteLiteral, withConnection } from './connection.ts';

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server.stop());

test('every connection prints values alike, also one that speaks the replication protocol', async () => {
  const connect = connectTo(server.dsn(), 'nanosync');
  const names = ['datestyle', 'intervalstyle', 'extra_float_digits', 'bytea_output', 'timezone', 'search_path', 'row_security'];
  const sql = `SELECT json_agg(current_setting(n) ORDER BY n) FROM unnest('{${names}}'::text[]) n`;
  const plain = await withConnection(connect, 'test', (client) => queryJson(client, sql));
  expect(plain).toEqual(['hex', 'ISO, MDY', '1', 'postgres', 'off', 'pg_catalog', 'UTC']);
  const replication = await withConnection(
    connect,
    'test',
    async (client) => {
      const { rows } = await client.query(sql);
      return JSON.parse(rows[0].json_agg);
    },
    { replication: 'database' },
  );
  expect(replication).toEqual(plain);
});

test('our settings win over those of the connection string', async () => {
  const connect = connectTo(`${server.dsn()}?options=-c%20timezone%3DAsia%2FTokyo&application_name=other`, 'nanosync');
  await withConnection(connect, 'test', async (client) => {
    const { rows } = await client.query("SELECT current_setting('timezone') z, current_setting('application_name') a");
    expect(rows).toEqual([{ z: 'UTC', a: 'nanosync test' }]);
  });
});

test('a refused connection is one sentence that names the place and never the password', async () => {
  const unused = await freePort();
  const cases: [string, string, RegExp][] = [
    [
      server.dsn().replace('postgres:postgres@', 'postgres:hunter2@'),
      'prerequisite',
      /127\.0\.0\.1:\d+\/postgres as postgres refused the password/,
    ],
    [server.dsn('nowhere'), 'prerequisite', /does not exist: 127\.0\.0\.1:\d+\/nowhere/],
    [`postgres://postgres:hunter2@127.0.0.1:${unused}/postgres`, 'unavailable', /does not answer \(ECONNREFUSED\)/],
    ['postgres://postgres:hunter2@no-such-host.invalid/postgres', 'unavailable', /no-such-host\.invalid:5432/],
  ];
  for (const [dsn, kind, message] of cases) {
    const error = await connectTo(dsn, 'nanosync')
      .open('test')
      .then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
    expect(isKind(error, kind as 'prerequisite') && error.message).toMatch(message);
    expect(String(error) + (isKind(error, kind as 'prerequisite') ? error.hint : '')).not.toContain('hunter2');
  }
});

test('a connection string that is none is refused without being repeated', () => {
  for (const dsn of ['host=x password=hunter2', 'postgres://u:hunter2@[::/x', 'mysql://u:hunter2@h/d'])
    expect(() => connectTo(dsn, 'nanosync')).toThrow(
      expect.objectContaining({ kind: 'config', message: expect.not.stringContaining('hunter2') }),
    );
});

test('identifiers and literals are quoted so that the server reads them back', async () => {
  const text = `a"b'c\\d`;
  await withConnection(connectTo(server.dsn(), 'nanosync'), 'test', async (client) => {
    const { rows } = await client.query(`SELECT ${quoteLiteral(text)} AS ${quoteIdent(text)}`);
    expect(rows).toEqual([{ [text]: text }]);
  });
});
