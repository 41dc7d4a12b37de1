import type { ApiParts, ServedApi } from '@nanosync/api';
import type { ServiceContext } from '@nanosync/core';
import { describeError, PipelineError } from '@nanosync/core';
import { readApiPem, resolveApiToken, resolveSecrets } from '@nanosync/runtime';
import { writeApiFile } from '../api-file.ts';
import type { CliContext } from '../context.ts';
import { CLUSTER_LISTEN, deploymentOf } from '../endpoint.ts';
import type { Place } from '../place.ts';
import type { CommonOptions } from './common.ts';
import { serverSettings } from './common.ts';

/** How often a planner that stands by looks whether the port that nobody chose is free, in milliseconds. */
const LOOK_EVERY_MS = 2000;
/** The port of an embedded server that was given none. */
const ANY_PORT = { host: '127.0.0.1', port: 0 };

/**
 * Serves the API of this process until disposed. A data directory's server has a token of its own, which commands on the same directory find
 * beside the data.
 */
export async function serveApi(
  context: CliContext,
  { place, options, ctx }: { readonly place: Place; readonly options: CommonOptions; readonly ctx: ServiceContext },
): Promise<ServedApi> {
  const { api, cluster, memoryLimitBytes } = serverSettings(options);
  const isEmbedded = place.kind === 'embedded';
  const token = (await resolveApiToken(api, context)) ?? (isEmbedded ? `${context.ids.next()}${context.ids.next()}` : undefined);
  if (token !== undefined) context.redactor.add(token);
  const [cert, key] = [readApiPem(api, 'cert'), readApiPem(api, 'key')];
  const { log } = ctx;
  const parts: ApiParts = {
    ctx,
    checkSink: async (connection, request) =>
      context.adapters.checkSink(await resolveSecrets(connection, context), request, { memoryLimitBytes, log }),
    listen: api.listen ?? (isEmbedded ? ANY_PORT : CLUSTER_LISTEN),
    token,
    tls: cert === undefined || key === undefined ? undefined : { cert, key },
    redact: context.redactor.redact,
    version: context.version,
    deployment: deploymentOf(cluster),
    clustered: !isEmbedded,
  };
  if (!isEmbedded) return await (api.listen === undefined ? servedOnceFree(context, parts) : context.adapters.openApi(parts));
  const served = await context.adapters.openApi(parts);
  const file = writeApiFile(place.directory, { url: api.url ?? (served.url as string), token: token ?? null, pid: context.pid });
  return {
    url: served.url,
    [Symbol.asyncDispose]: async () => {
      file[Symbol.dispose]();
      await served[Symbol.asyncDispose]();
    },
  };
}

/**
 * Serves the port that is taken where none was chosen, also later: of several planners on one machine the first has it, and when that ends
 * another takes it over. Where a port was chosen, that somebody else has it is an error.
 */
async function servedOnceFree(context: CliContext, parts: ApiParts): Promise<ServedApi> {
  const { clock, log } = parts.ctx;
  const first = await openUnlessTaken(context, parts);
  if (!(first instanceof PipelineError)) return first;
  log.warn('api waits for its port', { err: describeError(first) });
  const ending = new AbortController();
  const waiting = (async () => {
    while (!ending.signal.aborted) {
      await clock.sleep(LOOK_EVERY_MS, ending.signal);
      const served = ending.signal.aborted ? undefined : await openUnlessTaken(context, parts);
      if (served === undefined || served instanceof PipelineError) continue;
      log.info('api listens', { url: served.url });
      return served;
    }
    return undefined;
  })();
  waiting.catch((error: unknown) => log.warn('api does not listen', { err: describeError(error) }));
  return {
    url: undefined,
    [Symbol.asyncDispose]: async () => {
      ending.abort();
      const served = await waiting.catch(() => undefined);
      await served?.[Symbol.asyncDispose]();
    },
  };
}

async function openUnlessTaken(context: CliContext, parts: ApiParts): Promise<ServedApi | PipelineError> {
  try {
    return await context.adapters.openApi(parts);
  } catch (error) {
    const { cause } = error as { readonly cause?: NodeJS.ErrnoException };
    if (error instanceof PipelineError && cause?.code === 'EADDRINUSE') return error;
    throw error;
  }
}
