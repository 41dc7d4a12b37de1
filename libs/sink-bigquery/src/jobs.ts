import { backoffMs } from '@nanosync/runtime';
import type { BigQueryApi } from './api.ts';
import { GoogleError } from './google-error.ts';

/** A job as BigQuery describes it, as far as we look. */
export interface Job {
  readonly id?: string;
  readonly jobReference: { readonly jobId: string; readonly location?: string };
  readonly configuration?: { readonly jobType?: string; readonly load?: unknown; readonly query?: unknown };
  readonly status: {
    readonly state: 'PENDING' | 'RUNNING' | 'DONE';
    readonly errorResult?: { readonly reason?: string; readonly message?: string };
  };
  readonly statistics?: { readonly query?: { readonly numDmlAffectedRows?: string } };
}

/** One value of a result row: BigQuery writes all of them as text. */
export type Value = string | null;
export type ResultRow = Readonly<Record<string, Value>>;

const PAGE_ROWS = 10_000;
/** How long BigQuery may hold a question whether a query has ended. */
const HOLD_MS = 10_000;
const FIRST_POLL_MS = 100;
const LAST_POLL_MS = 2000;
const SCRIPT_ATTEMPTS = 10;
const SCRIPT_BACKOFF = { firstMs: 400, maxMs: 8000 };

/** Runs jobs under our own ids, in the dataset's location. */
export class Jobs {
  readonly api: BigQueryApi;
  /** The dataset's location: a job is known only there. */
  readonly location: string | undefined;

  constructor(api: BigQueryApi, location: string | undefined) {
    this.api = api;
    this.location = location;
  }

  /** A fresh job id. */
  freshId(what: string): string {
    return `nanosync_${what}_${this.api.options.ids.next()}`;
  }

  /** The reference under which a job is inserted. */
  reference(id: string) {
    return {
      projectId: this.api.options.project,
      jobId: id,
      ...(this.location === undefined ? {} : { location: this.location }),
    };
  }

  /** A job by its id, or undefined when no job ever had it. */
  async get(id: string): Promise<Job | undefined> {
    try {
      return await this.api.call<Job>({ method: 'GET', path: `/jobs/${id}`, query: this.at() });
    } catch (error) {
      if (error instanceof GoogleError && error.isNotFound) return undefined;
      throw error;
    }
  }

  /** Inserts a job, or finds the one that has this id, and waits for its end, good or bad. */
  async settle(id: string, insert: () => Promise<Job>): Promise<Job> {
    let job: Job | undefined;
    try {
      job = await insert();
    } catch (error) {
      if (!(error instanceof GoogleError) || !error.isDuplicate) throw error;
      job = await this.get(id);
      if (job === undefined) throw error;
    }
    return this.ended(job);
  }

  /** Inserts a query job under this id, or finds the one that has it, and waits for its end, good or bad. */
  settleQuery(id: string, sql: string): Promise<Job> {
    const json = { jobReference: this.reference(id), configuration: { query: { query: sql, useLegacySql: false, useQueryCache: false } } };
    return this.settle(id, () => this.api.call<Job>({ method: 'POST', path: '/jobs', json }));
  }

  /** Waits until a job has ended, good or bad. */
  async ended(job: Job): Promise<Job> {
    const id = job.jobReference.jobId;
    let now = job;
    for (let wait = FIRST_POLL_MS; now.status.state !== 'DONE'; wait = Math.min(LAST_POLL_MS, wait * 2)) {
      if (now.configuration?.query !== undefined) await this.hold(id);
      else await this.api.pause(wait);
      const next = await this.get(id);
      if (next === undefined) throw new GoogleError(0, 'jobLost', `job ${id} is not known any more`);
      now = next;
    }
    return now;
  }

  /** Runs a query job under this id; a job that has it already is adopted. Throws what the job failed with. */
  async run(id: string, sql: string): Promise<Job> {
    const job = await this.settleQuery(id, sql);
    requireSuccess(job);
    return job;
  }

  /**
   * Runs a script that must succeed once in all, whoever tries it and whenever: its id is made of `what` and the number of tries that failed
   * for good before, which BigQuery itself remembers. Returns the job that succeeded, by now or earlier.
   */
  async once(what: string, sql: string): Promise<Job> {
    const id = (tries: number) => `nanosync_${what}_${tries}`;
    let tries = await this.countUsed(id);
    if (tries > 0) {
      const last = await this.get(id(tries - 1));
      if (last !== undefined && (await this.ended(last)).status.errorResult === undefined) return last;
    }
    for (let passing = 0; ; tries++) {
      const job = await this.settleQuery(id(tries), sql);
      try {
        requireSuccess(job);
        return job;
      } catch (error) {
        if (!(error instanceof GoogleError && (error.isConflict || error.isPassing)) || ++passing === SCRIPT_ATTEMPTS) throw error;
        await this.api.pause(backoffMs(passing, SCRIPT_BACKOFF));
      }
    }
  }

  /** How many of the ids 0, 1, 2, ... have been used: they are used in turn, so few questions tell. */
  private async countUsed(id: (tries: number) => string): Promise<number> {
    let [used, unused] = [0, 1];
    while ((await this.get(id(unused - 1))) !== undefined) [used, unused] = [unused, unused * 2];
    while (unused - used > 1) {
      const middle = Math.floor((used + unused) / 2);
      if ((await this.get(id(middle - 1))) === undefined) unused = middle;
      else used = middle;
    }
    return used;
  }

  /**
   * Runs a statement or script that changes something, with a fresh id for each try. A failed job has changed nothing: conflicts with other
   * transactions and failures that pass are tried again as a whole. Returns the rows changed, for a single statement.
   */
  async change(what: string, sql: string): Promise<number> {
    for (let attempt = 1; ; attempt++) {
      try {
        const job = await this.run(this.freshId(what), sql);
        return Number(job.statistics?.query?.numDmlAffectedRows ?? 0);
      } catch (error) {
        // Without an answer the job may have run: the caller looks at what is there before it tries again.
        const mayRepeat = error instanceof GoogleError && error.status === 200 && (error.isConflict || error.isPassing);
        if (!mayRepeat || attempt === SCRIPT_ATTEMPTS) throw error;
        await this.api.pause(backoffMs(attempt, SCRIPT_BACKOFF));
      }
    }
  }

  /** The rows of a query. */
  async query(sql: string): Promise<ResultRow[]> {
    const rows: ResultRow[] = [];
    for await (const page of this.pages(sql)) rows.push(...page);
    return rows;
  }

  /** The rows of a query, a page at a time; all pages are of the moment at which the query ran. */
  async *pages(sql: string): AsyncGenerator<ResultRow[]> {
    const job = await this.run(this.freshId('read'), sql);
    let pageToken: string | undefined;
    do {
      const page: ResultPage = await this.api.call<ResultPage>({
        method: 'GET',
        path: `/queries/${job.jobReference.jobId}`,
        query: { ...this.at(), maxResults: PAGE_ROWS, ...(pageToken === undefined ? {} : { pageToken }) },
      });
      const names = page.schema?.fields.map((field) => field.name) ?? [];
      yield (page.rows ?? []).map(({ f }) => Object.fromEntries(names.map((name, index) => [name, f[index]?.v ?? null])));
      pageToken = page.pageToken;
    } while (pageToken !== undefined);
  }

  private at(): Record<string, string> {
    return this.location === undefined ? {} : { location: this.location };
  }

  /** Asks for a query's results so that the answer comes when it has ended; errors are read from the job itself. */
  private async hold(id: string): Promise<void> {
    try {
      await this.api.call({ method: 'GET', path: `/queries/${id}`, query: { ...this.at(), maxResults: 0, timeoutMs: HOLD_MS } });
    } catch (error) {
      if (!(error instanceof GoogleError) || error.isPassing) throw error;
    }
  }
}

interface ResultPage {
  readonly schema?: { readonly fields: readonly { readonly name: string }[] };
  readonly rows?: readonly { readonly f: readonly { readonly v: Value }[] }[];
  readonly pageToken?: string;
}

/** Throws what a job failed with. */
export function requireSuccess(job: Job): void {
  const { errorResult } = job.status;
  if (errorResult === undefined) return;
  const { jobId, location } = job.jobReference;
  const name = location === undefined ? jobId : `${location}.${jobId}`;
  throw new GoogleError(200, errorResult.reason ?? '', errorResult.message ?? 'a job failed', { job: name });
}
