import { PipelineError } from '@nanosync/core';

/** A failure as BigQuery tells it, of a request or of a job. Its text may repeat cell values: it is kept as a cause and never logged. */
export class GoogleError extends Error {
  override readonly name = 'GoogleError';
  /** HTTP status; 0 when there was no answer, 200 for a job that failed. */
  readonly status: number;
  /** Google's one-word reason such as `quotaExceeded`; empty when there is none. */
  readonly reason: string;
  /** The job that failed, where it was one. */
  readonly job: string | undefined;

  constructor(status: number, reason: string, message: string, more: { readonly cause?: unknown; readonly job?: string | undefined } = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.status = status;
    this.reason = reason;
    this.job = more.job;
  }

  /** The same request may succeed in a moment. */
  get isPassing(): boolean {
    if (this.status === 0 || this.status === 429 || this.status >= 500) return true;
    if (/too many dml statements outstanding/i.test(this.message)) return true;
    return PASSING.has(this.reason);
  }

  /** Another transaction touched the same table; everything was rolled back and the whole step may be tried again. */
  get isConflict(): boolean {
    return /could not serialize access|due to concurrent update|transaction is aborted/i.test(this.message);
  }

  /** There is something of this name (or job id) already. */
  get isDuplicate(): boolean {
    return this.status === 409 || this.reason === 'duplicate';
  }

  get isNotFound(): boolean {
    return this.status === 404 || this.reason === 'notFound';
  }
}

/** Reasons that pass by themselves: https://cloud.google.com/bigquery/docs/error-messages. */
const PASSING = new Set([
  'rateLimitExceeded',
  'jobRateLimitExceeded',
  'backendError',
  'jobBackendError',
  'internalError',
  'jobInternalError',
  'tableUnavailable',
  'timeout',
]);

/** Marks the errors that our own scripts raise; BigQuery writes the place in the script behind. */
const RAISED = /nanosync: ([a-z ]+)\./;

/** What one of our own scripts says it stopped for, or undefined when BigQuery failed by itself. */
export function raisedBy(error: unknown): string | undefined {
  return error instanceof GoogleError ? RAISED.exec(error.message)?.[1] : undefined;
}

/** What a user is told about a failure of BigQuery, with the cure. Other errors pass as they are. */
export function explain(error: unknown, place: { readonly project: string; readonly dataset: string }): unknown {
  if (!(error instanceof GoogleError)) return error;
  const where = `${place.project}:${place.dataset}`;
  const says = error.message.slice(0, 300);
  if (error.reason === 'quotaExceeded')
    return new PipelineError('unavailable', `BigQuery refuses work because a quota is used up: ${says}`, {
      hint: 'Wait, or raise flush_interval of the connection so that fewer jobs run; the quotas are on https://cloud.google.com/bigquery/quotas.',
      cause: error,
    });
  if (error.isConflict)
    return new PipelineError('unavailable', `BigQuery rolled a transaction back because of another one on the same table in ${where}.`, {
      hint: 'It is tried again. If it stays, see whether something else writes into tables of nanosync.',
      cause: error,
    });
  if (error.isPassing)
    return new PipelineError(
      'unavailable',
      error.status === 0 ? `BigQuery does not answer: ${says}` : `BigQuery cannot work at the moment (${error.reason || error.status}).`,
      { hint: 'It is tried again.', cause: error },
    );
  if (error.status === 401 || error.reason === 'authError')
    return new PipelineError('prerequisite', `BigQuery does not accept the credentials for ${where}.`, {
      hint: 'Give the connection a key file of a service account, or set up application default credentials.',
      cause: error,
    });
  if (error.reason === 'billingNotEnabled')
    return new PipelineError('prerequisite', `project ${place.project} may not change tables, because it has no billing: ${says}`, {
      hint: 'Link a billing account to it: the free sandbox does not allow what nanosync needs.',
      cause: error,
    });
  if (error.reason === 'resourcesExceeded' || error.reason === 'stopped')
    return new PipelineError('unavailable', `BigQuery gave up a job of nanosync (${error.reason}).`, {
      hint: `It is tried again. See why: ${showJob(place, error)}`,
      cause: error,
    });
  if (error.status === 403 || error.reason === 'accessDenied')
    return new PipelineError('prerequisite', `the account may not do what is needed in ${where}: ${says}`, {
      hint: `Grant it roles/bigquery.dataEditor on dataset ${place.dataset} and roles/bigquery.jobUser on project ${place.project}.`,
      cause: error,
    });
  if (error.isNotFound && /not found: dataset/i.test(error.message)) return noDataset(place, error);
  if (error.isNotFound)
    return new PipelineError('unavailable', `something that nanosync made in ${where} is not there any more: ${says}`, {
      hint: 'What can be made again is made with the next step.',
      cause: error,
    });
  return new PipelineError('defect', `BigQuery refused a step in ${where} (${error.reason || error.status}).`, {
    hint: `Its own words, which may repeat values: ${showJob(place, error)}`,
    cause: error,
  });
}

function showJob({ project }: { readonly project: string }, { job }: GoogleError): string {
  return job === undefined ? 'the cause of this error' : `bq show -j ${project}:${job}`;
}

/** The dataset does not exist. */
export function noDataset(
  place: { readonly project: string; readonly dataset: string; readonly endpoint?: string | undefined },
  cause?: unknown,
): PipelineError {
  const { project, dataset, endpoint } = place;
  const body = JSON.stringify({ datasetReference: { projectId: project, datasetId: dataset } });
  return new PipelineError('prerequisite', `the dataset ${project}:${dataset} does not exist.`, {
    hint:
      endpoint === undefined
        ? `Make it: bq mk --dataset ${project}:${dataset}`
        : `Make it: curl -H 'content-type: application/json' -d '${body}' ${endpoint}/bigquery/v2/projects/${project}/datasets`,
    cause,
  });
}
