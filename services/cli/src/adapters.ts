import { runCapture } from '@nanosync/cdc-capture';
import type { Clock, Ids } from '@nanosync/core';
import { runPlanner } from '@nanosync/planner';
import { runSinkWriter } from '@nanosync/sink-writer';
import { runSnapshotWorker } from '@nanosync/snapshot-worker';
import { openPostgresSource } from '@nanosync/source-postgres';
import { openBus, openState } from './composition/engines.ts';
import { checkSink, openSink } from './composition/sinks.ts';
import { postgresDsn, requireType } from './connections.ts';
import type { Adapters } from './context.ts';

/** The name under which our connections show up at the source. */
const APPLICATION_NAME = 'nanosync';

/** What stands behind the ports in a real process. */
export function realAdapters(clock: Clock, ids: Ids): Adapters {
  return {
    openState: (place, options) => openState(clock, place, options),
    openBus: (place, log) => openBus(clock, place, log),
    openSource: async (connection, log) => {
      requireType(connection, ['postgres'], 'source');
      return openPostgresSource({
        dsn: postgresDsn(connection),
        hashKey: connection.properties.hash_key,
        applicationName: APPLICATION_NAME,
        log,
        clock,
      });
    },
    openSink: (connection, options) => openSink(connection, options, { clock, ids }),
    checkSink: (connection, request, options) => checkSink(connection, request, options, { clock, ids }),
    // Loaded by what serves it: no command needs a web server.
    openApi: async (parts) => (await import('@nanosync/planner/api')).openApi(parts),
    services: (workerSlots) => [
      { name: 'planner', run: runPlanner },
      { name: 'cdc-capture', run: runCapture },
      { name: 'sink-writer', run: runSinkWriter },
      { name: 'snapshot-worker', run: (ctx) => runSnapshotWorker(ctx, workerSlots) },
    ],
  };
}
