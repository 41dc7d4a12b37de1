import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createRedactor } from '../redact.ts';
import { DEFAULT_API_SETTINGS, readApiPem, resolveApiToken } from './api-settings.ts';
import { parseServerSettings } from './server-file.ts';

it('are those of a file, with its references, and paths beside it', () => {
  const text = `api:
  listen: "0.0.0.0:7667"
  url: https://nanosync.example:443/
  token: "\${env:TOKEN}"
  tls: { cert: c.pem, key: /k.pem, ca: ca.pem }
`;
  expect(parseServerSettings(text, '/etc/n/server.yaml').api).toEqual({
    listen: { host: '0.0.0.0', port: 7667 },
    url: 'https://nanosync.example:443',
    token: '${env:TOKEN}',
    tls: { cert: '/etc/n/c.pem', key: '/k.pem', ca: '/etc/n/ca.pem' },
  });
  expect(parseServerSettings('keep: 1h\n', 's.yaml').api).toEqual(DEFAULT_API_SETTINGS);
  expect(parseServerSettings('api: { listen: "[::1]:0" }\n', 's.yaml').api.listen).toEqual({ host: '[::1]', port: 0 });
});

it.each([
  ['api:\n  lisen: "127.0.0.1:1"\n', 's.yaml:2: api.lisen is not a known key; did you mean listen?'],
  ['api:\n  listen: 7667\n', 's.yaml:2: api.listen must be text'],
  ['api:\n  listen: "localhost"\n', 's.yaml:2: api.listen "localhost" is no address to listen on; write it like 127.0.0.1:7667'],
  ['api:\n  token: short\n', 's.yaml:2: api.token is too short; give at least 16 random characters'],
  ['api:\n  token: "${TOKEN}"\n', 's.yaml:2: api.token has a ${...} that is no reference'],
  ['api:\n  url: nanosync:7667\n', 's.yaml:2: api.url is no address; write it like https://host:port'],
  ['api:\n  tls: { cert: c.pem }\n', 's.yaml:2: api.tls has one of cert and key; give both'],
])('refuse with the line: %j', (text, sentence) => {
  expect(() => parseServerSettings(text, 's.yaml')).toThrow(sentence);
});

it('fill the token in when it is used, and tell the redactor', async () => {
  const redactor = createRedactor();
  const env = { TOKEN: 'a-long-enough-token', SHORT: 'short' };
  const settings = { ...DEFAULT_API_SETTINGS, token: '${env:TOKEN}' };
  expect(await resolveApiToken(settings, { env, redactor })).toBe('a-long-enough-token');
  expect(redactor.redact('it is a-long-enough-token')).toBe('it is ***');
  await expect(resolveApiToken({ ...settings, token: '${env:SHORT}' }, { env, redactor })).rejects.toThrow('api.token is too short.');
  await expect(resolveApiToken({ ...settings, token: '${env:NONE}' }, { env, redactor })).rejects.toThrow(
    'api needs ${env:NONE}, which is not set',
  );
  expect(await resolveApiToken(DEFAULT_API_SETTINGS, { env })).toBeUndefined();
});

it('read certificates, or say which cannot be read', () => {
  const folder = mkdtempSync(join(tmpdir(), 'nanosync-settings-'));
  try {
    writeFileSync(join(folder, 'ca.pem'), 'PEM');
    const tls = { cert: undefined, key: join(folder, 'key.pem'), ca: join(folder, 'ca.pem') };
    const settings = { ...DEFAULT_API_SETTINGS, tls };
    expect([readApiPem(settings, 'ca'), readApiPem(settings, 'cert')]).toEqual(['PEM', undefined]);
    expect(() => readApiPem(settings, 'key')).toThrow(/api\.tls\.key names .*key\.pem, which cannot be read \(ENOENT\)/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
