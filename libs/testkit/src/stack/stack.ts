import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { type BigQueryAddress, type BigQueryService, startBigQuery } from './bigquery.ts';
import { type KafkaAddress, startKafka } from './kafka.ts';
import { type PostgresAddress, postgresDataFolder, startPostgresService } from './postgres.ts';
import { type RedisAddress, startRedis } from './redis.ts';
import { type RegistryAddress, startRegistry } from './registry.ts';
import type { Service, ServiceOptions } from './service.ts';

/** The address of each service, by the service's name. */
export interface StackAddresses {
  readonly kafka: KafkaAddress;
  readonly registry: RegistryAddress;
  readonly redis: RedisAddress;
  readonly bigquery: BigQueryAddress;
  readonly postgres: PostgresAddress;
}

/** Each service, by its name. */
export type StackServices = { readonly [K in keyof StackAddresses]: K extends 'bigquery' ? BigQueryService : Service<StackAddresses[K]> };

/** A service that the stack can start. */
export type ServiceName = keyof StackAddresses;

/** A running stack: each service by its name. */
export type Stack<Name extends ServiceName> = Pick<StackServices, Name> & {
  /** Stops every service for good. */
  stop(): Promise<void>;
} & AsyncDisposable;

/** Settings of {@link startStack}. */
export interface StackOptions<Name extends ServiceName> {
  /** Each service has a folder of its name in it. */
  readonly directory: string;
  readonly services: readonly Name[];
  readonly log?: (line: string) => void;
}

const STARTERS: { readonly [K in ServiceName]: (options: ServiceOptions) => Promise<StackServices[K]> } = {
  kafka: startKafka,
  registry: startRegistry,
  redis: startRedis,
  bigquery: startBigQuery,
  postgres: startPostgresService,
};

/** Every service's name. */
export const SERVICE_NAMES = Object.keys(STARTERS) as readonly ServiceName[];

/** Starts one service by its name, in the folder of that name. */
export function startNamed<Name extends ServiceName>(name: Name, options: ServiceOptions): Promise<StackServices[Name]> {
  return STARTERS[name]({ ...options, directory: join(options.directory, name) });
}

/** Starts services beside each other; when one cannot be started the others are stopped. */
export async function startStack<Name extends ServiceName>({ services, ...options }: StackOptions<Name>): Promise<Stack<Name>> {
  const outcomes = await Promise.allSettled(services.map((name) => startNamed(name, options)));
  const running = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  const stop = async () => {
    await Promise.all(running.map((service) => service[Symbol.asyncDispose]()));
  };
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed !== undefined) {
    await stop();
    throw failed.reason;
  }
  const named = Object.fromEntries(running.map((service) => [service.name, service])) as unknown as Pick<StackServices, Name>;
  return { ...named, stop, [Symbol.asyncDispose]: stop };
}

/** Removes all files of a stack that is not running. */
export function removeStack(directory: string): void {
  for (const folder of [directory, postgresDataFolder(join(directory, 'postgres'))]) rmSync(folder, { recursive: true, force: true });
}
