/** What a request is for. `insert` makes a job, with or without an upload; `upload` carries bytes of a resumable one. */
export type RequestKind = 'insert' | 'startUpload' | 'upload' | 'query' | 'job' | 'results' | 'other';

/** A job as its maker named it. */
export interface JobName {
  readonly project: string;
  readonly location: string;
  readonly jobId: string;
}

/** A request as the proxy understands it. */
export interface ParsedRequest {
  readonly kind: RequestKind;
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** The job it makes or asks for; absent where the service chooses the id. */
  readonly job?: JobName;
  /** For `query`: the id under which a repeated request is the same one. */
  readonly requestId?: string;
  /** The JSON of the request: a job's configuration, or a query. */
  readonly json?: Readonly<Record<string, unknown>>;
}

/** Where a job is when nobody says so. */
const LOCATION = 'US';

/** Text that is the same for the same job, and different for another. */
export function jobKey({ project, location, jobId }: JobName): string {
  return `${project}:${location.toLowerCase()}.${jobId}`;
}

/** A job's name as the service prints it. */
export function jobText({ project, location, jobId }: JobName): string {
  return `${project}:${location}.${jobId}`;
}

/** Understands a request of the BigQuery API. */
export function parseRequest(method: string, path: string, contentType: string, body: Buffer): ParsedRequest {
  const url = new URL(path, 'http://proxy');
  const found = /^(\/upload)?(?:\/bigquery\/v2)?\/projects\/([^/]+)\/(jobs|queries)(?:\/([^/]+))?$/.exec(url.pathname);
  const base = { method, path };
  if (found === null) return { ...base, kind: 'other' };
  const [, uploading, project = '', noun, id] = found;
  const location = url.searchParams.get('location') ?? LOCATION;
  if (method === 'GET' && id !== undefined) {
    const job = { project, location, jobId: decodeURIComponent(id) };
    return { ...base, kind: noun === 'jobs' ? 'job' : 'results', job };
  }
  if (method === 'PUT' && uploading !== undefined) return { ...base, kind: 'upload' };
  if (method !== 'POST' || id !== undefined) return { ...base, kind: 'other' };
  const json = parseJson(firstPart(contentType, body));
  if (noun === 'queries') return { ...base, kind: 'query', json, ...named('requestId', json.requestId) };
  const kind = url.searchParams.get('uploadType') === 'resumable' ? 'startUpload' : 'insert';
  const reference = json.jobReference as { readonly jobId?: string; readonly location?: string } | undefined;
  if (reference?.jobId === undefined) return { ...base, kind, json };
  return { ...base, kind, json, job: { project, location: reference.location ?? LOCATION, jobId: reference.jobId } };
}

function named(name: 'requestId', value: unknown): { readonly requestId?: string } {
  return typeof value === 'string' && value !== '' ? { [name]: value } : {};
}

/** The JSON part of a multipart upload; any other body as it is. */
function firstPart(contentType: string, body: Buffer): Buffer {
  const boundary = /^multipart\/related;.*boundary=("?)([^";]+)\1/i.exec(contentType)?.[2];
  if (boundary === undefined) return body;
  const start = body.indexOf('\r\n\r\n');
  const end = body.indexOf(`\r\n--${boundary}`, start);
  return start < 0 || end < 0 ? body.subarray(0, 0) : body.subarray(start + 4, end);
}

function parseJson(body: Buffer): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(body.toString()) as Readonly<Record<string, unknown>>;
  } catch {
    return {}; // Not for us to judge: the emulator will say what is wrong with it.
  }
}
