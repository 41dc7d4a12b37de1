import { openEmbeddedBus, openEmbeddedBusForReading } from '@nanosync/bus';
import type { Bus, Clock, Log, Registry, State } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import type { ClusterSettings } from '@nanosync/runtime';
import { openEmbeddedState, openRedisState } from '@nanosync/state';
import type { StateOptions } from '../context.ts';
import type { Place } from '../place.ts';

/** Opens the state store of a place. */
export function openState(clock: Clock, place: Place, { forgetLeases, log }: StateOptions = {}): Promise<State> {
  if (place.kind === 'embedded')
    return openEmbeddedState({ directory: place.directory.state, clock, ...(forgetLeases === undefined ? {} : { forgetLeases }) });
  const { url, username, password, keyPrefix, tls } = place.cluster.redis;
  return openRedisState({
    ...{ url, keyPrefix },
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === null ? {} : { tls }),
    ...(log === undefined ? {} : { log }),
  });
}

/** Opens the bus and the schema registry of a place. */
export function openBus(clock: Clock, place: Place, log: Log): Promise<{ readonly bus: Bus; readonly registry: Registry }> {
  if (place.kind === 'embedded') return openEmbeddedBus({ directory: place.directory.bus, clock });
  return openClusterBus(clock, place.cluster, log);
}

/** The same for a look beside running services: of an embedded one without its lock, and without a file made. */
export function openBusForReading(clock: Clock, place: Place, log: Log): Promise<{ readonly bus: Bus; readonly registry: Registry }> {
  if (place.kind === 'embedded') return openEmbeddedBusForReading({ directory: place.directory.bus, clock });
  return openClusterBus(clock, place.cluster, log);
}

async function openClusterBus(
  _clock: Clock,
  _cluster: ClusterSettings,
  _log: Log,
): Promise<{ readonly bus: Bus; readonly registry: Registry }> {
  throw new PipelineError('config', 'Kafka is not there yet.');
}
