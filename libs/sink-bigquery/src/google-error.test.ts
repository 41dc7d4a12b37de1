import { PipelineError } from '@nanosync/core';
import { FakeClock } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { openBigQuerySink } from './bigquery-sink.ts';
import { explain, GoogleError, noDataset, raisedBy } from './google-error.ts';
import { requireSuccess } from './jobs.ts';

const PLACE = { project: 'p', dataset: 'd' };
const told = (error: unknown) => explain(error, PLACE) as PipelineError;

test.each([
  [403, 'quotaExceeded', 'Quota exceeded: x', 'unavailable', 'flush_interval'],
  [403, 'rateLimitExceeded', 'Exceeded rate limits', 'unavailable', 'tried again'],
  [200, 'invalidQuery', 'Could not serialize access to table p:d.t due to concurrent update', 'unavailable', 'tried again'],
  [200, 'invalidQuery', 'Transaction is aborted due to concurrent update against table', 'unavailable', 'tried again'],
  [200, 'resourcesExceeded', 'Resources exceeded', 'unavailable', 'See why'],
  [403, 'billingNotEnabled', 'Billing has not been enabled', 'prerequisite', 'billing account'],
  [200, 'tableUnavailable', '', 'unavailable', 'tried again'],
  [503, 'backendError', '', 'unavailable', 'tried again'],
  [0, '', 'connect ECONNREFUSED', 'unavailable', 'tried again'],
  [401, '', 'Invalid Credentials', 'prerequisite', 'key file'],
  [
    403,
    'accessDenied',
    'Access Denied: Dataset p:d',
    'prerequisite',
    'roles/bigquery.dataEditor on dataset d and roles/bigquery.jobUser on project p',
  ],
  [404, 'notFound', 'Not found: Dataset p:d', 'prerequisite', 'bq mk --dataset p:d'],
  [404, 'notFound', 'Not found: Table p:d.t', 'unavailable', 'made again'],
] as const)('%i %s (%s) is %s, with what to do', (status, reason, message, kind, cure) => {
  const error = told(new GoogleError(status, reason, message));
  expect(error).toBeInstanceOf(PipelineError);
  expect(error.kind).toBe(kind);
  expect(error.hint).toContain(cure);
});

test('what BigQuery says of a refused value is not repeated: the job where it stands is named', () => {
  const job = {
    jobReference: { jobId: 'nanosync_apply_1', location: 'EU' },
    status: { state: 'DONE' as const, errorResult: { reason: 'invalidQuery', message: 'Bad int64 value: secret' } },
  };
  let error: unknown;
  try {
    requireSuccess(job);
  } catch (thrown) {
    error = told(thrown);
  }
  expect(error).toMatchObject({
    kind: 'defect',
    message: 'BigQuery refused a step in p:d (invalidQuery).',
    hint: 'Its own words, which may repeat values: bq show -j p:EU.nanosync_apply_1',
  });
});

test('what our own scripts raise is told apart from what BigQuery says, and other errors pass', () => {
  expect(raisedBy(new GoogleError(200, 'invalidQuery', 'Query error: nanosync: name moved. at [2:8]'))).toBe('name moved');
  expect(raisedBy(new GoogleError(200, 'invalidQuery', 'Syntax error'))).toBeUndefined();
  const other = new Error('x');
  expect(explain(other, PLACE)).toBe(other);
});

test('a sink gathers for ten seconds unless told otherwise, and not at all for 0', async () => {
  const parts = { ...PLACE, endpoint: 'http://127.0.0.1:1', clock: new FakeClock(), ids: { next: () => '' }, log: undefined as never };
  await using usual = await openBigQuerySink(parts);
  expect(usual.pace).toMatchObject({ applyWaitMs: 10_000, stageWaitMs: 60_000, stageBytes: 64_000_000, lookEveryMs: 5000 });
  await using eager = await openBigQuerySink({ ...parts, flushIntervalMs: 0 });
  expect(eager.pace).toMatchObject({ applyWaitMs: 0, stageWaitMs: 0, lookEveryMs: 500 });
});

test('a dataset that is not there is made by a command of its place', () => {
  const place = { project: 'p', dataset: 'd' };
  expect(noDataset(place).hint).toBe('Make it: bq mk --dataset p:d');
  expect(noDataset({ ...place, endpoint: 'http://localhost:9' }).hint).toContain('http://localhost:9/bigquery/v2/projects/p/datasets');
});
