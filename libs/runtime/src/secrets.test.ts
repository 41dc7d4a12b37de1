import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConnectionDefinition } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import { afterAll, describe, expect, it } from 'vitest';
import { createRedactor, redactDsns } from './redact.ts';
import type { SecretStore } from './secret-store.ts';
import { environmentSecrets } from './secret-store.ts';
import { resolveSecrets } from './secrets.ts';

const directory = mkdtempSync(join(tmpdir(), 'nanosync-secrets-'));
writeFileSync(join(directory, 'db_password'), 'from/file\n');
afterAll(() => rmSync(directory, { recursive: true }));

const env = {
  PW: 'p@ss:w/rd',
  HOST: 'db.example:5432',
  EMPTY: '',
  ENCODED: 'p%40ss',
  only_env: 'from-env',
  URL: 'postgres://u:hunter2@h/d',
};

function connection(dsn: string | null, properties: Record<string, string> = {}): ConnectionDefinition {
  return { name: 'prod', type: 'postgres', dsn, properties };
}

async function resolvedDsn(dsn: string): Promise<string | null> {
  return (await resolveSecrets(connection(dsn), { env, directory })).dsn;
}

describe('resolving references', () => {
  it.each([
    ['${env:URL}', 'postgres://u:hunter2@h/d'],
    ['postgres://u:${env:PW}@${env:HOST}/d', 'postgres://u:p%40ss%3Aw%2Frd@db.example:5432/d'],
    ['postgres://u:${env:ENCODED}@h/d', 'postgres://u:p%40ss@h/d'],
    ['postgres://u:${secret:db_password}@h/d', 'postgres://u:from%2Ffile@h/d'],
    ['postgres://u:${secret:only_env}@h/d', 'postgres://u:from-env@h/d'],
    ['host=h password=${env:PW}', 'host=h password=p@ss:w/rd'],
  ])('fills in %s', async (dsn, resolved) => {
    expect(await resolvedDsn(dsn)).toBe(resolved);
  });

  it('leaves the definition as it was', async () => {
    const definition = connection(null, { host: '${env:HOST}', password: '${env:PW}' });
    expect((await resolveSecrets(definition, { env, directory })).properties).toEqual({ host: 'db.example:5432', password: 'p@ss:w/rd' });
    expect(definition.properties.password).toBe('${env:PW}');
  });

  it('names every reference that is not set, and the cure', async () => {
    await expect(resolvedDsn('postgres://u:${env:NOPE}@${env:EMPTY}/${secret:gone}')).rejects.toThrow(
      'connection prod needs ${env:NOPE} and ${env:EMPTY} and ${secret:gone}, which is not set.',
    );
    const hint = 'Put it into the file gone of the secrets folder or the environment variable gone.';
    await expect(resolvedDsn('${secret:gone}')).rejects.toMatchObject({ hint });
  });

  it('asks other stores where there are such, in their order, and tells the redactor of what they know', async () => {
    const redactor = createRedactor();
    const cloud: SecretStore = {
      place: (name) => `projects/p/secrets/${name}`,
      find: async (name) => (name === 'db_password' ? 'from-the-cloud' : undefined),
    };
    const sources = { env, redactor, stores: [cloud, environmentSecrets(env)] };
    const { dsn } = await resolveSecrets(connection('postgres://u:${secret:db_password}@h/${secret:only_env}'), sources);
    expect(dsn).toBe('postgres://u:from-the-cloud@h/from-env');
    expect(redactor.redact('it was from-the-cloud')).toBe('it was ***');
    await expect(resolveSecrets(connection('${secret:gone}'), sources)).rejects.toMatchObject({
      hint: 'Put it into projects/p/secrets/gone or the environment variable gone.',
    });
    const away: SecretStore = {
      ...cloud,
      find: () => Promise.reject(new PipelineError('unavailable', 'The secret manager does not answer.')),
    };
    await expect(resolveSecrets(connection('${secret:x}'), { env, stores: [away] })).rejects.toMatchObject({ kind: 'unavailable' });
  });

  it('takes the folder from the environment', async () => {
    const sources = { env: { NANOSYNC_SECRETS_DIR: directory } };
    expect((await resolveSecrets(connection('${secret:db_password}'), sources)).dsn).toBe('from/file');
  });
});

describe('redaction', () => {
  it.each([
    ['connect to postgres://app:hunter2@h:5432/db failed', 'connect to postgres://app:***@h:5432/db failed'],
    ['postgres://app:p@ss/w:rd@h/db', 'postgres://app:***@h/db'],
    ['host=h password=hunter2 dbname=x', 'host=h password=*** dbname=x'],
    ["password='a b' x", 'password=*** x'],
    ['postgres://h/db?password=hunter2&sslmode=x', 'postgres://h/db?password=***&sslmode=x'],
  ])('cleans %s', (text, clean) => {
    expect(redactDsns(text)).toBe(clean);
  });

  it('leaves alone what has no password', () => {
    for (const text of ['http://h/x@y', 'postgres://app@h:5432/db', 'password authentication failed for user "u"'])
      expect(redactDsns(text)).toBe(text);
  });

  it('knows what was resolved, in every form it may be printed in', async () => {
    const redactor = createRedactor();
    await resolveSecrets(connection('postgres://u:${env:PW}@${env:HOST}/d', { token: 't"k', host: 'h' }), { env, directory, redactor });
    const text = `p@ss:w/rd p%40ss%3Aw%2Frd ${JSON.stringify('t"k')} db.example:5432 h`;
    expect(redactor.redact(text)).toBe('*** *** "***" db.example:5432 h');
  });

  it('leaves a password that is also a name readable outside of connection strings', async () => {
    const redactor = createRedactor();
    await resolveSecrets(connection('postgres://postgres:postgres@h/d'), { env, directory, redactor });
    await resolveSecrets(connection('host=h user=app password=app'), { env, directory, redactor });
    expect(redactor.redact('postgres://postgres:postgres@h/d: no database app')).toBe('postgres://postgres:***@h/d: no database app');
  });

  it('hides the longer of two secrets whole, and is not fooled by an empty one', () => {
    const redactor = createRedactor();
    for (const secret of ['abc', '', 'abcdef']) redactor.add(secret);
    expect(redactor.redact('abcdef abc a')).toBe('*** *** a');
  });
});

it('takes no time for a long word, and finds a password behind one', () => {
  const word = 'x'.repeat(1_000_000);
  expect(createRedactor().redact(`${word}://u:hunter2@h`)).toBe(`${word}://u:***@h`);
});
