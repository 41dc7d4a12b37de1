import { PipelineError } from '@nanosync/core';
import type { Client } from 'pg';
import { AbstractPlugin } from 'pg-logical-replication/dist/output-plugins/abstract.plugin.js';
import { destroy, quoteIdent, quoteLiteral } from './connection.ts';

/** What the plugin needs to know of the stream. */
export interface RawPgoutputOptions {
  readonly pipeline: string;
  readonly slot: string;
  readonly publication: string;
  readonly tables: readonly { readonly oid: number; readonly name: string }[];
}

/**
 * Our own plugin for the replication driver: it starts pgoutput and hands every message over as raw bytes, valid only during
 * the call. The driver's own decoder loses microseconds, time zones and digits.
 */
export class RawPgoutput extends AbstractPlugin<RawPgoutputOptions> {
  private readonly receive: (message: Buffer) => void;
  private client: Client | undefined;
  private closed = false;
  /** The server's `wal_sender_timeout`, 0 for none. */
  serverTimeoutMs = 0;

  constructor(options: RawPgoutputOptions, receive: (message: Buffer) => void) {
    super(options);
    this.receive = receive;
  }

  override get name(): string {
    return 'pgoutput';
  }

  /** The connection's socket, for back-pressure. */
  get socket(): { pause(): void; resume(): void } | undefined {
    return (this.client as unknown as { connection: { stream: { pause(): void; resume(): void } } } | undefined)?.connection.stream;
  }

  override async start(client: Client, slotName: string, lastLsn: string): Promise<unknown> {
    this.client = client;
    if (this.closed) this.close();
    await this.checkPublication(client);
    const options = [
      "proto_version '1'",
      `publication_names ${quoteLiteral(quoteIdent(this.options.publication))}`,
      // Ours are markers, and every message counts for the positions.
      "messages 'true'",
    ];
    return client.query(`START_REPLICATION SLOT ${quoteIdent(slotName)} LOGICAL ${lastLsn} (${options.join(', ')})`);
  }

  /** Drops the connection at once, also one that is still to come. */
  close(): void {
    this.closed = true;
    if (this.client !== undefined) destroy(this.client);
  }

  override parse(message: Buffer): undefined {
    this.receive(message);
  }

  /** Since PostgreSQL 18 a publication that is missing is skipped with a warning, and its changes with it. */
  private async checkPublication(client: Client): Promise<void> {
    const { pipeline, publication } = this.options;
    const sql = `SELECT (SELECT setting FROM pg_settings WHERE name = 'wal_sender_timeout') AS timeout,
      (SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate FROM pg_publication WHERE pubname = ${quoteLiteral(publication)}) AS whole,
      (SELECT json_agg(g.relid::int8) FROM pg_publication p, LATERAL pg_get_publication_tables(p.pubname) g
        WHERE p.pubname = ${quoteLiteral(publication)}) AS tables`;
    const { rows } = await client.query<{ timeout: string; whole: string | null; tables: string | null }>(sql);
    const [found] = rows;
    this.serverTimeoutMs = Number(found?.timeout ?? 0);
    const hint = `Run: nanosync pipeline resnapshot ${pipeline}`;
    if (found === undefined || found.whole === null)
      throw new PipelineError('gap', `The publication ${publication} does not exist any more.`, { hint });
    if (found.whole !== 't')
      throw new PipelineError('gap', `The publication ${publication} does not publish inserts, updates, deletes and truncates alike.`, {
        hint,
      });
    const published = new Set(JSON.parse(found.tables ?? '[]') as number[]);
    const missing = this.options.tables.find((table) => !published.has(table.oid));
    if (missing !== undefined)
      throw new PipelineError('gap', `The publication ${publication} does not publish the table ${missing.name} any more.`, { hint });
  }
}
