import { existsSync } from 'node:fs';
import type { DuckDBConnection } from '@duckdb/node-api';
import { DuckDBInstance } from '@duckdb/node-api';
import type { Log } from '@nanosync/core';
import { describeError, PipelineError } from '@nanosync/core';
import { checkPlace, fileIdOf, identityOf, openError, removeSpill } from './duckdb-place.ts';
import { checkVersion, prepareMeta } from './meta.ts';
import { int, META, name, query } from './sql.ts';

/** Errors whose text repeats cell values, which no log may have; the text stays in the cause. */
const TELLS_VALUES =
  /^(Constraint Error|Conversion Error|Invalid Input Error|Out of Range Error|Parser Error|TransactionContext Error|INTERNAL Error)/;

/** How a file is opened; the first to open it in a process decides. */
export interface FileOptions {
  readonly path: string;
  /** DuckDB's `memory_limit`, such as `512MB`; beyond it DuckDB spills to a folder beside the file. */
  readonly memoryLimit?: string | undefined;
  readonly threads?: number | undefined;
  readonly log: Log;
}

/** What a step gets: the connection, and the name under which this file is known to it. */
export interface Session {
  readonly connection: DuckDBConnection;
  readonly catalog: string;
  /** `"catalog"."_nanosync"`, to put before a table's name. A file and a schema may have the same name, so nothing goes unqualified. */
  readonly meta: string;
}

/**
 * WAL bytes after which a commit makes a checkpoint. At the default of 16 MB the tail of a table that is being loaded is rewritten
 * too often; far above, the WAL takes memory and long to replay after a crash.
 */
const CHECKPOINT_THRESHOLD = '64MB';
const DEFAULT_MEMORY_LIMIT = '512MB';

/**
 * Open files of this process. The lock on a file is the operating system's and does not keep out a second instance of the same
 * process, which would destroy the file: so there is one instance a file, shared and counted.
 */
const openFiles = new Map<string, Promise<DuckdbFile>>();

/** A DuckDB file with one connection; steps run one after the other, each in a transaction of its own. */
export class DuckdbFile {
  private readonly key: string;
  private readonly options: FileOptions;
  private users = 0;
  private instance: DuckDBInstance | undefined;
  private session: Session | undefined;
  /** Our tables are there. */
  private known = false;
  /** They are today's. */
  private prepared = false;
  /** Which file is open, however it is called by now. */
  private opened: string | undefined;
  private tail: Promise<unknown> = Promise.resolve();
  private closing: Promise<void> | undefined;

  private constructor(key: string, options: FileOptions) {
    this.key = key;
    this.options = options;
  }

  /**
   * Opens the file, or shares the one that is open. A file that does not exist is made by the first step that needs it: a
   * pipeline that turns out to be impossible leaves nothing behind. Each call needs a `release`.
   */
  static async acquire(options: FileOptions): Promise<DuckdbFile> {
    const key = identityOf(options.path);
    for (;;) {
      const known = openFiles.get(key);
      if (known === undefined) break;
      const file = await known;
      if (file.closing === undefined) {
        file.users++;
        return file;
      }
      await file.closing;
    }
    const file = new DuckdbFile(key, options);
    const opening = (existsSync(key) ? file.open() : Promise.resolve(checkPlace(options.path))).then(() => file);
    openFiles.set(key, opening);
    file.users++;
    try {
      return await opening;
    } catch (error) {
      openFiles.delete(key);
      throw error;
    }
  }

  /** Runs a step in a transaction: all of it or nothing. `work` must do nothing else that lasts. */
  async transaction<T>(work: (session: Session) => Promise<T>): Promise<T> {
    return this.step(async (session) => {
      await session.connection.run('BEGIN TRANSACTION');
      try {
        const result = await work(session);
        await session.connection.run('COMMIT');
        return result;
      } catch (error) {
        await session.connection.run('ROLLBACK').catch(() => undefined); // A failed COMMIT has ended the transaction already.
        throw error;
      }
    });
  }

  /** Runs a step that may begin our own tables, one after the other with all others of this file. */
  async step<T>(work: (session: Session) => Promise<T>): Promise<T> {
    return this.enqueue(async () => {
      const session = this.session ?? (await this.open());
      if (!this.prepared) await prepareMeta(session, this.options.path);
      this.known = true;
      this.prepared = true;
      return work(session);
    });
  }

  /** Runs a step that changes nothing, not even by opening: `known` says whether our tables are there. */
  async look<T>(work: (session: Session, known: boolean) => Promise<T>, otherwise: T): Promise<T> {
    return this.enqueue(async () => {
      if (this.session === undefined && !existsSync(this.key)) return otherwise;
      const session = this.session ?? (await this.open());
      return work(session, this.known);
    });
  }

  /**
   * A connection of its own for reading, beside the steps and never waited for by them; undefined where there is no file or it has none of our tables. Who asks closes
   * it, and keeps the file acquired until then. What it reads in one statement is of one moment; a statement that lasts keeps the file from being checkpointed.
   */
  async reader(): Promise<Session | undefined> {
    return this.look(async (session, known) => {
      if (!known || this.instance === undefined) return undefined;
      const connection = await this.instance.connect();
      await connection.run("SET TimeZone = 'UTC'");
      return { ...session, connection };
    }, undefined);
  }

  /** The error of a statement outside the steps, as one of a step is told. */
  explain(error: unknown): unknown {
    return this.translate(error);
  }

  private async enqueue<T>(work: () => Promise<T>): Promise<T> {
    if (this.closing !== undefined) throw new PipelineError('defect', `${this.options.path} is used after it was closed.`);
    const result = this.tail.then(async () => {
      try {
        this.checkStillThere();
        return await work();
      } catch (error) {
        throw this.translate(error);
      }
    });
    this.tail = result.catch(() => undefined);
    return result;
  }

  /**
   * A file that was deleted or replaced stays open under no name, and what is written into it is lost: such a file is let go, and
   * the next step opens what is there then. While its folder is away, so may be the file, and it is kept.
   */
  private checkStillThere(): void {
    if (this.session === undefined || fileIdOf(this.key) === this.opened) return;
    const { path } = this.options;
    checkPlace(path);
    this.close();
    throw new PipelineError('unavailable', `${path} was deleted or replaced while it was open.`, {
      hint: 'What is there now is opened with the next step.',
    });
  }

  /** Gives the file back; the last one writes everything into the file itself and closes it. */
  async release(): Promise<void> {
    if (--this.users > 0) return;
    this.closing = this.tail.then(async () => {
      try {
        await this.session?.connection.run('CHECKPOINT').catch((error: unknown) => {
          this.options.log.warn('checkpoint failed', { err: describeError(error) }); // The WAL beside the file has everything.
        });
      } finally {
        this.close();
        openFiles.delete(this.key);
      }
    });
    await this.closing;
  }

  private async open(): Promise<Session> {
    const { path, memoryLimit, threads } = this.options;
    checkPlace(path);
    try {
      this.instance = await DuckDBInstance.create(this.key, {
        memory_limit: memoryLimit ?? DEFAULT_MEMORY_LIMIT,
        checkpoint_threshold: CHECKPOINT_THRESHOLD,
        preserve_insertion_order: 'false',
        autoinstall_known_extensions: 'false',
        autoload_known_extensions: 'false',
        ...(threads === undefined ? {} : { threads: int(threads) }),
      });
      const connection = await this.instance.connect();
      await connection.run("SET TimeZone = 'UTC'");
      const catalog = String((await query(connection, 'SELECT current_database() AS catalog'))[0]?.catalog);
      this.session = { connection, catalog, meta: `${name(catalog)}.${name(META)}` };
      const { version, isToday } = await checkVersion(this.session, path);
      this.known = version > 0;
      this.prepared = isToday;
      removeSpill(this.key);
      this.opened = fileIdOf(this.key);
      return this.session;
    } catch (error) {
      this.close();
      throw error instanceof PipelineError ? error : openError(path, error);
    }
  }

  private close(): void {
    this.session?.connection.closeSync();
    this.instance?.closeSync();
    this.session = undefined;
    this.instance = undefined;
    this.known = false;
    this.prepared = false;
  }

  private translate(error: unknown): unknown {
    if (error instanceof PipelineError || !(error instanceof Error)) return error;
    const { path } = this.options;
    if (/^FATAL|invalidated/.test(error.message)) {
      // The instance refuses everything from now on; the next step opens the file anew, from its WAL.
      this.close();
      return new PipelineError('unavailable', `DuckDB gave up on ${path}.`, {
        hint: 'It is opened again with the next step.',
        cause: error,
      });
    }
    if (/^Out of Memory/i.test(error.message))
      return new PipelineError('unavailable', `DuckDB ran out of its memory limit on ${path}.`, {
        hint: `Raise memory_limit of the sink's connection (now ${this.options.memoryLimit ?? DEFAULT_MEMORY_LIMIT}).`,
        cause: error,
      });
    if (/^IO Error|No space left/i.test(error.message))
      return new PipelineError('unavailable', `DuckDB could not write ${path}.`, {
        hint: 'See that the disk has room and is writable.',
        cause: error,
      });
    const kind = TELLS_VALUES.exec(error.message)?.[1];
    return kind === undefined ? error : new Error(`DuckDB refused a step on ${path} (${kind}).`, { cause: error });
  }
}
