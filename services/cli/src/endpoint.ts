import { createHash } from 'node:crypto';
import type { ApiAddress, ApiClient } from '@nanosync/api';
import { apiClient } from '@nanosync/api';
import { PipelineError } from '@nanosync/core';
import type { ApiSettings, ClusterSettings } from '@nanosync/runtime';
import { readApiPem, resolveApiToken } from '@nanosync/runtime';
import { readApiFile } from './api-file.ts';
import type { CommonOptions } from './commands/common.ts';
import { serverSettings } from './commands/common.ts';
import type { CliContext } from './context.ts';
import type { DataDirectory } from './data-directory.ts';
import { dataDirectoryOf, isServed } from './data-directory.ts';

/** Where a cluster's planner listens unless the server file says otherwise. */
export const CLUSTER_LISTEN = { host: '127.0.0.1', port: 7667 } as const;

const START = 'Start one with: nanosync start';

/** A client of the server that the options name: `--api`, the server file's, or the one that has the data directory. */
export function apiOf(context: CliContext, options: CommonOptions): ApiClient {
  return apiClient(() => addressOf(context, options));
}

/** The same as an address; asks nobody. Throws PipelineError `prerequisite` where no server has the directory. */
export async function addressOf(context: CliContext, options: CommonOptions): Promise<ApiAddress> {
  const { cluster, api, dataDirectory } = serverSettings(options);
  const named = options.api ?? (options.config === undefined && options.dataDir === undefined ? context.env.NANOSYNC_API_URL : undefined);
  const given = context.env.NANOSYNC_API_TOKEN || undefined;
  if (given !== undefined) context.redactor.add(given);
  const settled = async () => ({ token: given ?? (await resolveApiToken(api, context)), ca: readApiPem(api, 'ca') });
  if (named !== undefined) return { url: checkedUrl(named), ...(await settled()), absentCure: 'Start the server, or correct the address.' };
  if (api.url !== undefined)
    return { url: api.url, ...(await settled()), absentCure: 'Start the server, or correct api.url in the server file.' };
  if (cluster !== null)
    return {
      url: urlOf(api),
      ...(await settled()),
      deployment: deploymentOf(cluster),
      absentCure: 'Start one with: nanosync service planner, or name another with --api.',
    };
  return ofDirectory(context, dataDirectoryOf(dataDirectory), (await settled()).ca);
}

/** The lock says whether the server lives, whatever has its port now. */
function ofDirectory(context: CliContext, directory: DataDirectory, ca: string | undefined): ApiAddress {
  const file = readApiFile(directory);
  if (!isServed(directory)) {
    const last = file === undefined ? '' : `; the last one, process ${file.pid}, is gone`;
    throw new PipelineError('prerequisite', `No server runs on ${directory.root}${last}.`, {
      hint: `${START} -f pipelines.yaml, or name another with --data-dir, --config or --api.`,
    });
  }
  if (file === undefined)
    throw new PipelineError('prerequisite', `The server on ${directory.root} does not answer commands yet.`, {
      hint: 'Try again in a moment.',
    });
  if (file.token !== null) context.redactor.add(file.token);
  return { url: file.url, token: file.token ?? undefined, ca, absentCure: START };
}

/** Says which engines a server file means, without their addresses; as they are written, references and all. */
export function deploymentOf(cluster: ClusterSettings | null): string | undefined {
  if (cluster === null) return undefined;
  const { kafka, redis } = cluster;
  const engines = JSON.stringify([kafka.brokers, kafka.topicPrefix, redis.url, redis.keyPrefix]);
  return createHash('sha256').update(engines).digest('hex').slice(0, 16);
}

/** What reaches a server from its own machine where the file names no other address. */
function urlOf({ listen, tls }: ApiSettings): string {
  const { host, port } = listen ?? CLUSTER_LISTEN;
  const reached = host === '0.0.0.0' ? '127.0.0.1' : host === '[::]' ? '[::1]' : host;
  return `${tls?.cert === undefined ? 'http' : 'https'}://${reached}:${port}`;
}

function checkedUrl(text: string): string {
  if (/^https?:\/\/[^\s/?#]+\/?$/.test(text)) return text;
  throw new PipelineError('config', `${JSON.stringify(text.slice(0, 200))} is no address of an API.`, {
    hint: 'Write it like http://127.0.0.1:7667.',
  });
}
