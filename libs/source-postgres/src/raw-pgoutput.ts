import type { Client } from 'pg';
import { AbstractPlugin } from 'pg-logical-replication/dist/output-plugins/abstract.plugin.js';
import { destroy, quoteIdent, quoteLiteral } from './connection.ts';

/** Who takes what the plugin gets, in the order of the stream. */
export interface RawReceiver {
  /** A message of pgoutput; the bytes are valid only during the call. */
  message(bytes: Buffer): void;
  /** The server says that it skips the publication, and its changes with it. */
  skipped(): void;
}

/**
 * Our own plugin for the replication driver: it starts pgoutput and hands every message over as raw bytes, valid only during
 * the call. The driver's own decoder loses microseconds, time zones and digits.
 *
 * Nothing else may run on this connection before: a query that looks at a table leaves its present columns in the walsender's
 * cache, and changes from before an ALTER TABLE are then described and decoded by the columns of after.
 */
export class RawPgoutput extends AbstractPlugin<{ readonly publication: string }> {
  private readonly receiver: RawReceiver;
  private client: Client | undefined;
  private closed = false;

  constructor(options: { readonly publication: string }, receiver: RawReceiver) {
    super(options);
    this.receiver = receiver;
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
    // Since PostgreSQL 18 changes of a publication that was dropped are skipped with no more than this.
    client.on('notice', (notice) => {
      if (notice.code === '55000') this.receiver.skipped();
    });
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
    this.receiver.message(message);
  }
}
