import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeError } from '@nanosync/core';
import { type KafkaAddress, removeStack, type SecuredKafka, type Service, startKafka } from '@nanosync/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KafkaBusOptions } from './options.ts';
import { readAll, sendTexts, textsOf } from './testing/read-all.ts';
import { openTestBus } from './testing/test-bus.ts';

let directory: string;
let kafka: Service<KafkaAddress>;
let secured: SecuredKafka;
let ca: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'nanosync-security-'));
  kafka = await startKafka({ directory, secured: true });
  secured = kafka.address.secured as SecuredKafka;
  ca = readFileSync(secured.ca, 'utf8');
});
afterAll(async () => {
  await kafka[Symbol.asyncDispose]();
  removeStack(directory);
});

const login = (mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512', password = secured.password) => ({
  mechanism,
  username: secured.username,
  password,
});

/** What a way in is like: name, listener, and settings. */
type Way = readonly [name: string, listener: 'sasl' | 'tls' | 'saslTls', settings: () => Partial<KafkaBusOptions>];

const WAYS: readonly Way[] = [
  ['SASL PLAIN', 'sasl', () => ({ sasl: login('plain') })],
  ['SASL SCRAM-SHA-256', 'sasl', () => ({ sasl: login('scram-sha-256') })],
  ['SASL SCRAM-SHA-512', 'sasl', () => ({ sasl: login('scram-sha-512') })],
  ['TLS', 'tls', () => ({ ssl: { ca } })],
  ['SASL PLAIN over TLS', 'saslTls', () => ({ sasl: login('plain'), ssl: { ca } })],
  ['SASL SCRAM-SHA-512 over TLS', 'saslTls', () => ({ sasl: login('scram-sha-512'), ssl: { ca } })],
];

describe.each(WAYS)('%s', (name, listener, settings) => {
  test('sends, reads and takes part in a group', async () => {
    await using bus = await openTestBus({ brokers: secured[listener], ...settings() });
    const topic = name.replaceAll(' ', '-');
    await bus.ensureTopic(topic, 1);
    await sendTexts(await bus.producer(), topic, 0, 'a', 'b');
    expect(textsOf(await readAll(bus, topic))).toEqual(['a', 'b']);
    await using member = await bus.group(topic, 'g');
    const delivery = await member.next(new AbortController().signal);
    await delivery?.done();
  });
});

const REFUSED: readonly (readonly [...Way, pattern: RegExp])[] = [
  ['a wrong password with PLAIN', 'sasl', () => ({ sasl: login('plain', 'wr0ng-one') }), /refuses the login/],
  ['a wrong password with SCRAM', 'sasl', () => ({ sasl: login('scram-sha-512', 'wr0ng-one') }), /refuses the login/],
  ['a certificate that nobody vouches for', 'tls', () => ({ ssl: {} }), /No secure connection.*authority/s],
  [
    'a name that the certificate lacks',
    'tls',
    () => ({ ssl: { ca, servername: 'other.example' } }),
    /No secure connection.*name in the certificate/s,
  ],
];

test.each(REFUSED)('%s is reported at once, with a cure and without the password', async (_, listener, settings, pattern) => {
  const began = performance.now();
  const failure: unknown = await openTestBus({ brokers: secured[listener], ...settings() }).catch((error) => error);
  expect(failure).toMatchObject({ kind: 'prerequisite' });
  expect(describeError(failure)).toMatch(pattern);
  expect(JSON.stringify([describeError(failure), failure])).not.toContain('wr0ng-one');
  expect(performance.now() - began).toBeLessThan(4000);
});

test('TLS to a listener that does not speak it is reported with a cure', async () => {
  const failure: unknown = await openTestBus({ brokers: secured.sasl, ssl: { ca }, patienceMs: 300 }).catch((error) => error);
  expect(failure).toMatchObject({ kind: 'unavailable', hint: expect.stringContaining('speaks TLS') });
});

test('a listener that speaks TLS, asked without, does not hang', async () => {
  const failure: unknown = await openTestBus({ brokers: secured.tls, patienceMs: 300 }).catch((error) => error);
  expect(failure).toMatchObject({ kind: expect.stringMatching(/unavailable|prerequisite/) });
});
