import { chmodSync, chownSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Certificates, PostgresServer } from '@nanosync/testkit';
import { makeCertificates, startPostgres } from '@nanosync/testkit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connectTo, withConnection } from './connection.ts';
import { openPostgresSource } from './source.ts';
import { quiet, realClock } from './test-context.ts';

const NOBODY = 65_534;
/** The certificates are for this name, so a user of it may log in by certificate. */
const CERTIFIED = '127.0.0.1';
const HBA = `hostssl all "${CERTIFIED}" 127.0.0.1/32 cert
hostssl all all 127.0.0.0/8 scram-sha-256
hostssl replication all 127.0.0.0/8 scram-sha-256
`;

let folder: string;
let files: Certificates;
let others: Certificates;
let server: PostgresServer;
let plain: PostgresServer;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'nanosync-tls-'));
  files = await makeCertificates(join(folder, 'ours'));
  others = await makeCertificates(join(folder, 'others'));
  // PostgreSQL wants its key for itself, and runs as nobody where we are root.
  const home = mkdtempSync(join(tmpdir(), 'nanosync-tls-pg-'));
  const own = (from: string, name: string) => {
    const to = join(home, name);
    copyFileSync(from, to);
    chmodSync(to, 0o600);
    if (process.getuid?.() === 0) chownSync(to, NOBODY, NOBODY);
    return to;
  };
  writeFileSync(join(folder, 'hba'), HBA);
  const settings = {
    listen_addresses: '127.0.0.1,127.0.0.2',
    ssl: 'on',
    ssl_cert_file: own(files.cert, 'cert.pem'),
    ssl_key_file: own(files.key, 'key.pem'),
    ssl_ca_file: own(files.ca, 'ca.pem'),
    hba_file: own(join(folder, 'hba'), 'hba.conf'),
  };
  server = await startPostgres({ settings, directory: home });
  plain = await startPostgres();
  await withConnection(connectTo(dsnWith({ sslmode: 'require' }), 'test'), 'setup', (client) =>
    client.query(`CREATE ROLE "${CERTIFIED}" LOGIN SUPERUSER; CREATE TABLE public.t (id int PRIMARY KEY)`),
  );
});
afterAll(async () => {
  await server.stop();
  await plain.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** The server's connection string with these parameters, and another host where one is named. */
function dsnWith(parameters: Readonly<Record<string, string>>, host = '127.0.0.1', from = server): string {
  return `${from.dsn().replace('127.0.0.1', host)}?${new URLSearchParams(parameters)}`;
}

/** Whether the connection is encrypted, or what it is refused with. */
async function encrypted(dsn: string): Promise<string> {
  const ask = 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()';
  return withConnection(connectTo(dsn, 'test'), 'ask', async (client) => (await client.query<{ ssl: string }>(ask)).rows[0]?.ssl ?? '');
}

it('encrypts, and believes the server that the mode says', async () => {
  const ca = files.ca;
  expect(await encrypted(dsnWith({ sslmode: 'require' }))).toBe('t');
  expect(await encrypted(dsnWith({ sslmode: 'verify-full', sslrootcert: ca }))).toBe('t');
  expect(await encrypted(dsnWith({ sslmode: 'verify-full', sslrootcert: readFileSync(ca, 'utf8') }))).toBe('t');
  expect(await encrypted(dsnWith({ sslmode: 'verify-ca', sslrootcert: ca }, '127.0.0.2'))).toBe('t');
  expect(await encrypted(dsnWith({ sslmode: 'disable' }, '127.0.0.1', plain))).toBe('f');
});

it('logs in by certificate', async () => {
  const dsn = `postgres://${CERTIFIED}@127.0.0.1:${server.port}/postgres?${new URLSearchParams({
    ...{ sslmode: 'verify-full', sslrootcert: files.ca, sslcert: files.cert, sslkey: files.key },
  })}`;
  expect(await encrypted(dsn)).toBe('t');
});

it('goes the same way for the change stream', async () => {
  const dsn = dsnWith({ sslmode: 'verify-full', sslrootcert: files.ca });
  await using source = await openPostgresSource({ dsn, applicationName: 'nanosync', log: quiet, clock: realClock });
  expect(await source.check('tls', ['public.t'])).toEqual([]);
});

it.each<[string, () => string, RegExp, RegExp]>([
  [
    'a server of another authority',
    () => dsnWith({ sslmode: 'verify-full', sslrootcert: others.ca }),
    /No authority that is trusted/,
    /sslrootcert/,
  ],
  ['another authority although only require', () => dsnWith({ sslmode: 'require', sslrootcert: others.ca }), /No authority/, /sslrootcert/],
  ['a server that the system does not know', () => dsnWith({ sslmode: 'verify-full' }), /No authority that is trusted/, /sslrootcert/],
  ['another name', () => dsnWith({ sslmode: 'verify-full', sslrootcert: files.ca }, '127.0.0.2'), /another host/, /verify-ca/],
  ['plain text', () => dsnWith({}), /refused the login/, /Set sslmode in the connection/],
  ['a server without TLS', () => dsnWith({ sslmode: 'require' }, '127.0.0.1', plain), /has no TLS/, /ssl = on/],
])('refuses %s in a sentence, with the cure', async (_, dsn, message, hint) => {
  const refusal = { kind: 'prerequisite', message: expect.stringMatching(message), hint: expect.stringMatching(hint) };
  await expect(encrypted(dsn())).rejects.toMatchObject(refusal);
});

it.each<[Readonly<Record<string, string>>, RegExp]>([
  [{ sslmode: 'prefer' }, /plain text without a word/],
  [{ sslmode: 'verify-ful' }, /"verify-ful" is no sslmode/],
  [{ sslmode: 'verify-ca' }, /needs sslrootcert/],
  [
    { sslmode: 'verify-full', sslrootcert: '/not/there.pem' },
    /sslrootcert of the connection cannot be read from \/not\/there\.pem \(ENOENT\)/,
  ],
  [{ sslrootcert: '/some/ca.pem' }, /used for nothing/],
  [{ sslmode: 'require', sslcert: '/some/cert.pem' }, /go together/],
  [{ ssl: 'true' }, /is not used in a connection/],
])('refuses %j before it connects', (parameters, message) => {
  expect(() => connectTo(dsnWith(parameters), 'test')).toThrow(message);
});
