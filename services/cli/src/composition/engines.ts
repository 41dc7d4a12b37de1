import { openEmbeddedBus } from '@nanosync/bus';
import type { Bus, Clock, Log, Registry, State } from '@nanosync/core';
import { isKind } from '@nanosync/core';
import type { ClusterSettings } from '@nanosync/runtime';
import { openEmbeddedState } from '@nanosync/state';
import type { StateOptions } from '../context.ts';
import type { Place } from '../place.ts';

/** Loaded by what is clustered: an embedded process, and a command that only asks the API, start in three quarters of the time without them. */
const clustered = {
  bus: () => import('@nanosync/bus/kafka'),
  state: () => import('@nanosync/state/redis'),
};

/** The name under which our connections show up at the brokers. */
const CLIENT_ID = 'nanosync';
const UNLIKELY_ID = 2_147_483_647;

/** Opens the state store of a place. */
export async function openState(clock: Clock, place: Place, { forgetLeases, log }: StateOptions = {}): Promise<State> {
  if (place.kind === 'embedded')
    return openEmbeddedState({ directory: place.directory.state, clock, ...(forgetLeases === undefined ? {} : { forgetLeases }) });
  const { url, username, password, keyPrefix, tls } = place.cluster.redis;
  const { openRedisState } = await clustered.state();
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

async function openClusterBus(
  clock: Clock,
  { kafka, registry }: ClusterSettings,
  log: Log,
): Promise<{ readonly bus: Bus; readonly registry: Registry }> {
  const { openKafkaBus, openSchemaRegistry } = await clustered.bus();
  const { url, username, password, tls } = registry;
  const schemas = openSchemaRegistry({ url, username, password, ca: tls?.ca });
  const bus = await openKafkaBus({
    ...{ brokers: kafka.brokers, clientId: CLIENT_ID, replicationFactor: kafka.replicationFactor, log, clock },
    ...{ maxMessageBytes: kafka.maxMessageBytes, ssl: kafka.tls ?? undefined, sasl: kafka.sasl ?? undefined },
  });
  try {
    await requireAnswer(schemas);
    return { bus, registry: schemas };
  } catch (error) {
    await bus[Symbol.asyncDispose]();
    throw error;
  }
}

/** Any answer will do: the registry says that it has no schema of this id, or gives it. */
async function requireAnswer(registry: Registry): Promise<void> {
  try {
    await registry.schema(UNLIKELY_ID);
  } catch (error) {
    if (!isKind(error, 'gap')) throw error;
  }
}
