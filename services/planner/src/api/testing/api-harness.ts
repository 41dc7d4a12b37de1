import type { ApiClient, ApiParts, ServedApi } from '@nanosync/api';
import { apiClient } from '@nanosync/api';
import type { Log, PipelineDefinition, ServiceContext, Sink, Source } from '@nanosync/core';
import { newPipeline, stateKeys, topicsOf } from '@nanosync/core';
import { createLog, createRedactor, randomIds, systemClock } from '@nanosync/runtime';
import { memoryBusStore, openMemoryBus, openMemoryState } from '@nanosync/testkit';
import { openApi } from '../server.ts';

export const TOKEN = 'a-token-of-a-test-0123456789';

/** A definition whose secrets stand in it as they are. */
export const DEFINITION: PipelineDefinition = {
  name: 'shop',
  replicationType: 'cdc_backfill',
  source: {
    connection: { name: 'c', type: 'postgres', dsn: 'postgres://app:planted-dsn-password@db/shop', properties: {} },
    tables: ['public.orders'],
  },
  sink: { connection: { name: 'w', type: 'bigquery', dsn: null, properties: { project: 'p', dataset: 'd', credentials: 'planted-key' } } },
  snapshot: { concurrency: 1, targetRowsPerPartition: 10, maxRowsPerSecond: null },
};

/** A server of the API over ports in memory, with its log. */
export interface ApiHarness extends AsyncDisposable {
  readonly ctx: ServiceContext;
  readonly url: string;
  readonly log: readonly string[];
  readonly client: ApiClient;
  /** A client that differs. */
  as(token: string | undefined, ca?: string): ApiClient;
  store(definition: PipelineDefinition): Promise<void>;
}

/** Starts one; `change` is what a test wants otherwise. */
export async function startApi(
  change: Partial<Omit<ApiParts, 'ctx'>> & { readonly source?: Partial<Source>; readonly sink?: Partial<Sink> } = {},
): Promise<ApiHarness> {
  const clock = systemClock();
  const ids = randomIds();
  const lines: string[] = [];
  const redactor = createRedactor();
  for (const secret of ['planted-secret', TOKEN]) redactor.add(secret);
  const log: Log = createLog({ format: 'json', level: 'debug', redact: redactor.redact, write: (line) => lines.push(line) });
  const state = openMemoryState({ clock });
  const { bus, registry } = await openMemoryBus({ clock, ids, store: memoryBusStore() });
  const source = {
    check: async () => [],
    discover: async () => [],
    [Symbol.asyncDispose]: async () => {},
    ...change.source,
  } as unknown as Source;
  const stop = new AbortController();
  const ctx: ServiceContext = {
    ...{ state, bus, registry, topics: topicsOf(), log, clock, ids, failpoint: () => {}, signal: stop.signal },
    ...{ tasksBusPartitions: 1, changesBusPartitions: 1, keepMs: 0 },
    openSource: async () => source,
    openSink: async () => {
      if (change.sink === undefined) throw new Error('no handler but that of verify opens a sink');
      return { [Symbol.asyncDispose]: async () => {}, ...change.sink } as unknown as Sink;
    },
  };
  const served: ServedApi = await openApi({
    ...{ ctx, checkSink: async () => [], listen: { host: '127.0.0.1', port: 0 }, token: TOKEN, tls: undefined },
    ...{ redact: redactor.redact, version: '9.9.9', deployment: undefined, clustered: false },
    ...change,
  });
  const url = served.url as string;
  const as = (token: string | undefined, ca?: string) => apiClient({ url, token, ca, absentCure: 'Start it.' });
  return {
    ...{ ctx, url, log: lines, client: as(TOKEN), as },
    store: async (definition) => {
      await state.put(stateKeys.pipeline(definition.name), newPipeline(definition, 0), 0);
    },
    [Symbol.asyncDispose]: () => served[Symbol.asyncDispose](),
  };
}
