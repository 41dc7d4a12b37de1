import { describeError, PipelineError } from '@nanosync/core';
import { FakeClock } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { lost, parseAddress } from './cluster.ts';
import { answerError, hasMoved, isLost, pipelineError } from './errors.ts';
import { settingsOf } from './options.ts';
import { QUIET } from './testing/test-bus.ts';

const settings = settingsOf({
  brokers: ['k1:9092', 'k2:9092'],
  clientId: 'test',
  sasl: { mechanism: 'plain', username: 'nano', password: 's3cret' },
  log: QUIET,
  clock: new FakeClock(),
});
const explained = (error: unknown) => pipelineError(error, 'Could not try', settings);

test('codes of all ages have their name, and those of a moved leader are tried again', () => {
  for (const code of [3, 5, 6, 74, 75, 78, 100, 103]) expect(hasMoved(answerError(code, 'x'))).toBe(true);
  for (const code of [1, 10, 19, 29]) expect(hasMoved(answerError(code, 'x'))).toBe(false);
});

test.each([
  [answerError(10, 'x'), 'prerequisite', /max\.message\.bytes/],
  [answerError(29, 'x'), 'prerequisite', /TOPIC_AUTHORIZATION_FAILED/],
  [answerError(38, 'x'), 'prerequisite', /replication factor/],
  [answerError(19, 'x'), 'unavailable', /NOT_ENOUGH_REPLICAS/],
  [lost('gone'), 'unavailable', /k1:9092, k2:9092 does not answer.*gone/],
  [Object.assign(new Error('no'), { name: 'KafkaJSSASLAuthenticationError' }), 'prerequisite', /login of nano/],
  [Object.assign(new Error('self'), { name: 'KafkaJSConnectionError', code: 'DEPTH_ZERO_SELF_SIGNED_CERT' }), 'prerequisite', /authority/],
  [new TypeError('x is undefined'), 'defect', /x is undefined/],
] as const)('%s is explained', (error, kind, pattern) => {
  const failure = explained(error);
  expect(failure).toMatchObject({ kind, cause: error });
  expect(describeError(failure)).toMatch(pattern);
  expect(describeError(failure)).not.toContain('s3cret');
});

test('what is explained already stays as it is, and a certificate is nothing to wait for', () => {
  const own = new PipelineError('gap', 'Gone.');
  expect(explained(own)).toBe(own);
  expect(isLost(Object.assign(new Error('x'), { name: 'KafkaJSConnectionError', code: 'ERR_TLS_CERT_ALTNAME_INVALID' }))).toBe(false);
  expect(isLost(Object.assign(new Error('x'), { name: 'KafkaJSRequestTimeoutError' }))).toBe(true);
});

test('addresses are host and port', () => {
  expect(parseAddress('kafka-1.example:9092')).toEqual({ host: 'kafka-1.example', port: 9092 });
  expect(parseAddress('[::1]:9092')).toEqual({ host: '::1', port: 9092 });
  for (const wrong of ['kafka', 'kafka:', ':9092', 'kafka:99999']) expect(() => parseAddress(wrong)).toThrow(PipelineError);
});
