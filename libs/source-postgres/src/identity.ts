import { PipelineError } from '@nanosync/core';
import type { Connect } from './connection.ts';
import { withConnection } from './connection.ts';

/** Which history a server's log belongs to: another system or timeline means another log, whatever its positions. */
export interface ServerIdentity {
  readonly system: string;
  readonly timeline: string;
}

/** Asks over the replication protocol, which alone tells the current timeline; also proves that this user may use it. */
export async function identify(connect: Connect): Promise<ServerIdentity> {
  return withConnection(
    connect,
    'identify',
    async (client) => {
      const { rows } = await client.query<{ systemid?: string; timeline?: string }>('IDENTIFY_SYSTEM');
      const { systemid, timeline } = rows[0] ?? {};
      if (systemid === undefined || timeline === undefined) throw new PipelineError('defect', 'IDENTIFY_SYSTEM gave no answer');
      return { system: systemid, timeline: String(timeline) };
    },
    { replication: 'database' },
  );
}
