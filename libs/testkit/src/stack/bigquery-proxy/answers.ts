import { errorBody, type ServiceError } from './errors.ts';
import type { JobResource } from './job-memory.ts';
import { type JobName, jobText, type ParsedRequest } from './request-kind.ts';
import type { Answer } from './upstream.ts';

/** An answer in JSON. */
export function jsonAnswer(status: number, value: unknown): Answer {
  return { status, headers: { 'content-type': 'application/json; charset=UTF-8' }, body: Buffer.from(JSON.stringify(value)) };
}

/** An error as the real service sends it. */
export function errorAnswer(error: ServiceError): Answer {
  return jsonAnswer(error.status, errorBody(error));
}

/** A job that has begun and not ended, as the API shows it. */
export function runningJob(job: JobName, request: ParsedRequest): JobResource {
  return { ...jobParts(job, request), status: { state: 'RUNNING' } };
}

/** A job that has ended with an error, as the API shows it. */
export function failedJob(job: JobName, request: ParsedRequest, { reason, message }: ServiceError): JobResource {
  const errorResult = { reason, message };
  return { ...jobParts(job, request), status: { state: 'DONE', errorResult, errors: [errorResult] } };
}

/** What `jobs.getQueryResults` says of a job: not yet, or its error; undefined when there are results to fetch. */
export function resultsInstead(job: JobName, resource: JobResource): Answer | undefined {
  const status = resource.status as { readonly state?: string; readonly errorResult?: { reason: string; message: string } } | undefined;
  if (status?.state !== 'DONE') return jsonAnswer(200, { ...resultParts(job), jobComplete: false });
  return status.errorResult === undefined ? undefined : errorAnswer({ status: 400, ...status.errorResult });
}

/** The results of a statement that has none; undefined for one that has. */
export function emptyResults(job: JobName, resource: JobResource): Answer | undefined {
  const { query } = (resource.statistics ?? {}) as {
    readonly query?: { readonly statementType?: string; readonly numDmlAffectedRows?: string };
  };
  if (query?.statementType === undefined || query.statementType === 'SELECT') return undefined;
  const { numDmlAffectedRows = '0' } = query;
  return jsonAnswer(200, { ...resultParts(job), jobComplete: true, totalRows: '0', numDmlAffectedRows });
}

/** A job resource under the name that its maker gave it. */
export function renamedJob(job: JobName, resource: JobResource): JobResource {
  return { ...resource, id: jobText(job), jobReference: referenceOf(job) };
}

function resultParts(job: JobName): JobResource {
  return { kind: 'bigquery#getQueryResultsResponse', jobReference: referenceOf(job) };
}

function jobParts(job: JobName, request: ParsedRequest): JobResource {
  const configuration = request.json?.configuration ?? {};
  return { kind: 'bigquery#job', id: jobText(job), jobReference: referenceOf(job), configuration, statistics: {} };
}

function referenceOf({ project: projectId, location, jobId }: JobName): JobResource {
  return { projectId, location, jobId };
}
