import type { Topics } from '@nanosync/core';
import { isKind, PipelineError, topicsOf } from '@nanosync/core';
import type { ClusterSettings } from '@nanosync/runtime';
import { resolveCluster } from '@nanosync/runtime';
import type { CommonOptions } from './commands/common.ts';
import { serverSettings } from './commands/common.ts';
import type { CliContext } from './context.ts';
import type { DataDirectory } from './data-directory.ts';
import { dataDirectoryOf } from './data-directory.ts';

/** Where a deployment keeps bus and state: a directory of one process, or engines that many processes share. */
export type Place =
  | { readonly kind: 'embedded'; readonly directory: DataDirectory }
  /** With its references filled in: never to be printed or stored. */
  | { readonly kind: 'cluster'; readonly cluster: ClusterSettings };

/** The place that the options name; touches nothing. */
export async function placeOf(context: CliContext, options: CommonOptions): Promise<Place> {
  const { cluster, dataDirectory } = serverSettings(options);
  if (cluster === null) return { kind: 'embedded', directory: dataDirectoryOf(dataDirectory) };
  return { kind: 'cluster', cluster: await resolveCluster(cluster, context) };
}

/** The topics of a place. */
export function topicsAt(place: Place): Topics {
  return place.kind === 'embedded' ? topicsOf() : topicsOf(place.cluster.kafka.topicPrefix);
}

/** An engine that does not answer when a command begins is something to be put right before it runs, not to be waited for. */
export async function answering<T>(opening: Promise<T>): Promise<T> {
  try {
    return await opening;
  } catch (error) {
    if (!isKind(error, 'unavailable')) throw error;
    throw new PipelineError('prerequisite', error.message, { cause: error, ...(error.hint === undefined ? {} : { hint: error.hint }) });
  }
}
