import { PipelineError } from '@nanosync/core';
import type { ApiOptions } from './api.ts';
import { BigQueryApi } from './api.ts';
import type { Field } from './column-types.ts';
import { GoogleError, noDataset } from './google-error.ts';
import { Jobs } from './jobs.ts';
import { META, text } from './sql.ts';

/**
 * The version of the tables that are ours and of what stands in them; a dataset with a newer one is refused, an older one upgraded. The events `merged`, `aside` and
 * `kept` came with 2: who does not know them would show or drop other rows.
 */
const META_VERSION = 2;
const META_TABLE = `${META}_meta`;
const VERSION_LABEL = 'nanosync_version';

/**
 * What the sink keeps about itself, in the dataset it is about, beside the tables of each generation and each loader. Rows of `generations`,
 * `staged` and `rejected_rows` are only added and, when an epoch is gone, deleted: transactions that add rows do not disturb one another.
 *
 * - `generations`: what happened to an epoch. `built`: its physical table is there. `merged`: its rows were written over those of another one. `gone`: discarded, or dropped by a switch; it
 *   outweighs `built`, and stays as a reminder to ignore what still arrives. `dropped`: its tables are gone too.
 *   `without`: it was built without these partitions (`id`), as its copy was stopped. `kept`: its pipeline let it go, and users see it until another generation takes its name.
 *   Of no epoch: `aside`, a table that somebody else made is to be called `physical`; `begun`, a generation has its rows.
 * - `staged`: what is durable in the staging tables: runs of batches (`rows`), and end markers (`end`).
 * - `rejected_rows`: rows of batches that a BigQuery type cannot hold, left out of the generation.
 * - `names`: which generation has a name that users see. The views follow it.
 */
const TABLES: Readonly<Record<string, string>> = {
  generations:
    'pipeline STRING, tbl STRING, epoch STRING, event STRING, id STRING, anchor STRING, physical STRING, row_schema STRING, l0 STRING, ' +
    'topic_id STRING, rows_built INT64, quarantined INT64',
  staged:
    'pipeline STRING, tbl STRING, epoch STRING, kind STRING, part INT64, attempt STRING, first_batch INT64, last_batch INT64, ' +
    'row_count INT64, quarantined INT64, staging STRING, load_id STRING, row_schema STRING, step INT64, place INT64',
  rejected_rows: 'pipeline STRING, tbl STRING, epoch STRING, part INT64, attempt STRING, column_name STRING, reason STRING, payload STRING',
  names: 'name STRING, pipeline STRING, tbl STRING, epoch STRING, id STRING',
};

/** A dataset as the REST interface describes it, as far as we look. */
interface DatasetResource {
  readonly location: string;
  readonly defaultTableExpirationMs?: string;
}

/** A table as the REST interface describes it, as far as we look. */
export interface TableResource {
  readonly type: 'TABLE' | 'VIEW' | (string & {});
  readonly creationTime: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly schema?: { readonly fields?: readonly { readonly name: string; readonly type: string; readonly mode?: string }[] };
}

/** How a table is created. */
export interface TableSettings {
  readonly description?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly clustering?: readonly string[];
  readonly primaryKey?: readonly string[] | undefined;
  readonly expiresInMs?: number;
}

/** A dataset: its API, its jobs and its tables. */
export class Warehouse implements Disposable {
  readonly api: BigQueryApi;
  /** Statements say the range of the keys that they are about. */
  readonly bounded: boolean;
  private readonly wantedLocation: string | undefined;
  private found: Promise<Jobs> | undefined;
  private prepared: Promise<void> | undefined;
  private tail: Promise<unknown> = Promise.resolve();
  /** Our tables were seen. */
  private seen = false;

  constructor(options: ApiOptions & { readonly location?: string | undefined; readonly keyRanges?: boolean | undefined }) {
    this.api = new BigQueryApi(options);
    this.bounded = options.keyRanges ?? options.endpoint === undefined;
    this.wantedLocation = options.location;
  }

  /** Runs jobs where the dataset is. Throws `prerequisite` when there is none. */
  jobs(): Promise<Jobs> {
    this.found ??= this.location().then((location) => new Jobs(this.api, location));
    this.found.catch(() => {
      this.found = undefined;
    });
    return this.found;
  }

  /** The dataset's location; refuses a dataset that would delete our tables by itself. */
  private async location(): Promise<string> {
    const { project, dataset } = this.api.options;
    try {
      const found = await this.api.call<DatasetResource>({ method: 'GET', path: this.api.datasetPath });
      const { location, defaultTableExpirationMs: expires } = found;
      if (expires !== undefined)
        throw new PipelineError('prerequisite', `the dataset ${dataset} deletes its tables after ${Number(expires) / 86_400_000} days.`, {
          hint: `Let it keep them: bq update --default_table_expiration 0 ${project}:${dataset}`,
        });
      if (this.wantedLocation !== undefined && this.wantedLocation.toLowerCase() !== location.toLowerCase())
        throw new PipelineError('config', `the dataset ${dataset} is in ${location}, not in ${this.wantedLocation}.`, {
          hint: `Leave location out of the connection, or set it to ${location}.`,
        });
      return location;
    } catch (error) {
      throw error instanceof GoogleError && error.isNotFound ? noDataset(this.api.options, error) : error;
    }
  }

  /** A table as SQL takes it. */
  table(name: string): string {
    return `\`${this.api.options.project}.${this.api.options.dataset}.${name}\``;
  }

  /** One of our own tables as SQL takes it. */
  meta(name: 'generations' | 'staged' | 'rejected_rows' | 'names'): string {
    return this.table(`${META}_${name}`);
  }

  /** True when our tables are there; refuses those of a newer nanosync. Changes nothing. */
  async isPrepared(): Promise<boolean> {
    return this.seen || (await this.version()) > 0;
  }

  /** The version of our tables, 0 where there are none. */
  private async version(): Promise<number> {
    const known = await this.describe(META_TABLE);
    if (known === undefined) return 0;
    const version = Number(known.labels?.[VERSION_LABEL] ?? 1);
    if (version > META_VERSION)
      throw new PipelineError(
        'newer-version',
        `the dataset ${this.api.options.dataset} was written by a newer nanosync (version ${version}, this one knows ${META_VERSION}).`,
        { hint: 'Use that nanosync, or another dataset.' },
      );
    this.seen = true;
    return version;
  }

  /** Forgets what was found: something of ours is not there any more. */
  forget(): void {
    this.prepared = undefined;
    this.found = undefined;
    this.seen = false;
  }

  /** Makes our tables. Several processes may do so at the same time; the one that carries the version comes last. */
  prepare(): Promise<void> {
    this.prepared ??= this.makeMeta();
    this.prepared.catch(() => {
      this.prepared = undefined;
    });
    return this.prepared;
  }

  private async makeMeta(): Promise<void> {
    await this.jobs();
    const version = await this.version();
    if (version === META_VERSION) return;
    const labels = { [VERSION_LABEL]: String(META_VERSION) };
    if (version > 0) {
      await this.api.call({ method: 'PATCH', path: this.path(META_TABLE), json: { labels } });
      return;
    }
    await Promise.all(Object.entries(TABLES).map(([name, columns]) => this.create(`${META}_${name}`, fieldsOf(columns))));
    await this.create(META_TABLE, fieldsOf('version INT64'), { labels });
  }

  /** Runs steps of this process that change shared rows one after the other: BigQuery would cancel all but one of those that meet. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    const result = this.tail.then(work);
    this.tail = result.catch(() => undefined);
    return result;
  }

  /** A table or view, or undefined when there is none of this name. */
  async describe(name: string): Promise<TableResource | undefined> {
    try {
      return await this.api.call<TableResource>({ method: 'GET', path: this.path(name) });
    } catch (error) {
      if (error instanceof GoogleError && error.isNotFound) return undefined;
      throw error;
    }
  }

  /** The query of a view, or undefined when there is no view of this name. */
  async viewDefinition(name: string): Promise<string | undefined> {
    const { project, dataset } = this.api.options;
    const jobs = await this.jobs();
    const [row] = await jobs.query(
      `SELECT view_definition FROM \`${project}.${dataset}\`.INFORMATION_SCHEMA.VIEWS WHERE table_name = ${text(name)}`,
    );
    return row?.view_definition ?? undefined;
  }

  /** Creates a table unless it exists. */
  async create(name: string, fields: readonly Field[], settings: TableSettings = {}): Promise<void> {
    const { project, dataset, clock } = this.api.options;
    const { description, labels, clustering = [], primaryKey, expiresInMs } = settings;
    const json = {
      tableReference: { projectId: project, datasetId: dataset, tableId: name },
      schema: { fields },
      defaultCollation: '', // A dataset may let new tables ignore case, and keys would be mixed up.
      ...(description === undefined ? {} : { description }),
      ...(labels === undefined ? {} : { labels }),
      ...(clustering.length === 0 ? {} : { clustering: { fields: clustering } }),
      ...(primaryKey === undefined ? {} : { tableConstraints: { primaryKey: { columns: primaryKey } } }),
      ...(expiresInMs === undefined ? {} : { expirationTime: String(clock.nowMs() + expiresInMs) }),
    };
    try {
      await this.api.call({ method: 'POST', path: `${this.api.datasetPath}/tables`, json });
    } catch (error) {
      if (!(error instanceof GoogleError) || !error.isDuplicate) throw error;
    }
  }

  /** Drops a table if it exists. */
  async drop(name: string): Promise<void> {
    try {
      await this.api.call({ method: 'DELETE', path: this.path(name) });
    } catch (error) {
      if (!(error instanceof GoogleError) || !error.isNotFound) throw error;
    }
  }

  [Symbol.dispose](): void {
    this.api[Symbol.dispose]();
  }

  private path(name: string): string {
    return `${this.api.datasetPath}/tables/${encodeURIComponent(name)}`;
  }
}

/** Fields of a column list such as `a STRING, b INT64`. */
export function fieldsOf(columns: string): readonly Field[] {
  return columns.split(', ').map((column) => {
    const [name = '', type = ''] = column.split(' ');
    return { name, type };
  });
}
