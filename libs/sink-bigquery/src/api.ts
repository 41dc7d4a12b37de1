import { BigQuery } from '@google-cloud/bigquery';
import type { Clock, Ids, Log } from '@nanosync/core';
import { backoffMs } from '@nanosync/runtime';
import { PassThroughClient } from 'google-auth-library';
import { GoogleError } from './google-error.ts';

/** Where a BigQuery is and who we are there. */
export interface ApiOptions {
  readonly project: string;
  readonly dataset: string;
  /** Path of a service account's key file; without it and `credentials` the application default credentials are used. */
  readonly keyFile?: string | undefined;
  readonly credentials?: { readonly client_email: string; readonly private_key: string } | undefined;
  /** Another end point than Google's: an emulator, which is used without credentials. */
  readonly endpoint?: string | undefined;
  readonly log: Log;
  readonly clock: Clock;
  readonly ids: Ids;
}

/** One request; `path` begins behind the project. */
export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** A path behind `projects/<project>`, or an absolute address. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean>>;
  readonly json?: unknown;
  readonly media?: { readonly type: string; readonly bytes: Buffer; readonly headers?: Readonly<Record<string, string>> };
}

/** An answer with its headers. */
export interface ApiAnswer {
  readonly body: unknown;
  readonly headers: { get(name: string): string | null };
}

const ATTEMPTS = 6;
const BACKOFF = { firstMs: 200, maxMs: 8000 };
/** A request that says nothing for this long has failed; jobs are waited for by asking again, not by long requests. */
const TIMEOUT_MS = 120_000;

/**
 * BigQuery's REST interface with our own retries. Every request may be repeated after a lost answer: jobs have our ids, and what
 * exists already is answered with 409. The client's own retries are off, because they hide errors for a quarter of a minute.
 */
export class BigQueryApi implements Disposable {
  readonly options: ApiOptions;
  private readonly client: BigQuery;
  private readonly closing = new AbortController();

  constructor(options: ApiOptions) {
    this.options = options;
    this.client = new BigQuery({
      projectId: options.project,
      autoRetry: false,
      ...(options.endpoint === undefined ? {} : { apiEndpoint: options.endpoint, authClient: new PassThroughClient() }),
      ...(options.keyFile === undefined ? {} : { keyFilename: options.keyFile }),
      ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
    });
  }

  /** Path of the dataset's resources behind the project. */
  get datasetPath(): string {
    return `/datasets/${encodeURIComponent(this.options.dataset)}`;
  }

  /** Sends a request until it is answered; what passes is tried again a few times. Throws {@link GoogleError}. */
  async call<T>(request: ApiRequest): Promise<T> {
    return (await this.answer(request)).body as T;
  }

  /** The same, with headers. */
  async answer(request: ApiRequest): Promise<ApiAnswer> {
    const { clock, log } = this.options;
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.once(request);
      } catch (error) {
        if (!(error instanceof GoogleError) || !error.isPassing || attempt === ATTEMPTS || this.closing.signal.aborted) throw error;
        log.debug('asking BigQuery again', { attempt, status: error.status, reason: error.reason });
        await clock.sleep(backoffMs(attempt, BACKOFF), this.closing.signal);
      }
    }
  }

  /** Waits, unless the sink is being closed. */
  async pause(ms: number): Promise<void> {
    await this.options.clock.sleep(ms, this.closing.signal);
    if (this.closing.signal.aborted) throw new GoogleError(0, 'closed', 'the sink was closed');
  }

  /** Cuts waits short: a closed sink does not try again. */
  [Symbol.dispose](): void {
    this.closing.abort();
  }

  /** Sends a request once. */
  once({ method, path, query, json, media }: ApiRequest): Promise<ApiAnswer> {
    const { uri, qs } = this.addressOf(path, query);
    return new Promise((resolve, reject) => {
      this.client.request(
        {
          method,
          uri,
          qs,
          timeout: TIMEOUT_MS,
          ...(json === undefined ? {} : { json }),
          ...(media === undefined ? {} : { body: media.bytes, headers: { ...media.headers, 'Content-Type': media.type } }),
        } as Parameters<BigQuery['request']>[0],
        (error: Error | null, body: unknown, response?: unknown) => {
          if (error !== null) reject(asGoogleError(error));
          else resolve({ body, headers: headersOf(response) });
        },
      );
    });
  }

  /** The client puts what it adds behind a question mark of its own, so an address goes to it without the query that it has. */
  private addressOf(path: string, query: ApiRequest['query']) {
    if (!/^https?:/.test(path)) return { uri: path.startsWith('/upload') ? this.uploadAddress(path) : path, qs: query };
    const { origin, pathname, searchParams } = new URL(path);
    return { uri: origin + pathname, qs: { ...Object.fromEntries(searchParams), ...query } };
  }

  private uploadAddress(path: string): string {
    const { endpoint = 'https://bigquery.googleapis.com', project } = this.options;
    return `${endpoint.replace(/\/$/, '')}/upload/bigquery/v2/projects/${encodeURIComponent(project)}${path.slice('/upload'.length)}`;
  }
}

function headersOf(response: unknown): ApiAnswer['headers'] {
  const headers = (response as { readonly headers?: unknown } | undefined)?.headers;
  if (headers instanceof Headers) return headers;
  const plain = (headers ?? {}) as Readonly<Record<string, string>>;
  return { get: (name) => plain[name] ?? null };
}

function asGoogleError(error: Error): GoogleError {
  const { code, errors, response } = error as Error & {
    readonly code?: number | string;
    readonly errors?: readonly { readonly reason?: string; readonly message?: string }[];
    readonly response?: { readonly statusCode?: number; readonly body?: unknown };
  };
  const status = typeof code === 'number' ? code : (response?.statusCode ?? 0);
  const [first] = errors ?? [];
  return new GoogleError(status, first?.reason ?? '', first?.message ?? error.message, { cause: error });
}
