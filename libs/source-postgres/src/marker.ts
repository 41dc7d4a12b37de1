import type { Marker } from '@nanosync/core';
import { splitTableId, tableIdOf } from '@nanosync/core';
import type { Connect } from './connection.ts';
import { withConnection } from './connection.ts';

/** The prefix of our messages in the source's log. Messages of other prefixes are other people's. */
export const MARKER_PREFIX = 'nanosync';

/**
 * Commits a marker into the source's log; when this returns its place in the stream is fixed. A call that got no answer may have
 * written it: readers take a marker that comes twice as one. It waits for this server's disk and for no standby, because a
 * marker that hangs on a standby that is away would stop the pipeline and protect nothing.
 */
export async function mark(connect: Connect, marker: Marker): Promise<void> {
  await withConnection(connect, 'marker', (client) =>
    client.query("SELECT set_config('synchronous_commit', 'local', true), pg_logical_emit_message(true, $1, $2::text)", [
      MARKER_PREFIX,
      JSON.stringify(marker),
    ]),
  );
}

/** The marker that a message of our prefix holds; undefined when it is not for this pipeline or not one of ours at all. */
export function parseMarker(content: Uint8Array, pipeline: string): Marker | undefined {
  let value: Partial<Record<'kind' | 'pipeline' | 'table' | 'epoch', unknown>> | null;
  try {
    value = JSON.parse(Buffer.from(content).toString('utf8'));
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || value.pipeline !== pipeline) return undefined;
  if (value.kind === 'watermark') return { kind: 'watermark', pipeline };
  if (value.kind !== 'generation' && value.kind !== 'consistency') return undefined;
  if (typeof value.table !== 'string' || typeof value.epoch !== 'string') return undefined;
  try {
    const { schema, name } = splitTableId(value.table);
    return { kind: value.kind, pipeline, table: tableIdOf(schema, name), epoch: value.epoch };
  } catch {
    return undefined;
  }
}
