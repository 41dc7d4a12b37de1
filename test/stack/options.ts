import { resolve } from 'node:path';
import { SERVICE_NAMES, type ServiceName } from '@nanosync/testkit';

/** What `npm run stack` was asked to do. */
export interface StackCommand {
  readonly verb: 'up' | 'status' | 'down' | 'install' | 'help';
  /** Where data, logs and the record of what runs are. */
  readonly directory: string;
  readonly services: readonly ServiceName[];
  /** Any free ports instead of the usual ones. */
  readonly freePorts: boolean;
  /** `down`: the data goes too. */
  readonly clean: boolean;
}

/** A command line that cannot be understood; the message says why. */
export class StackUsageError extends Error {
  override readonly name = 'StackUsageError';
}

/** The usual ports: beside the services' own, so that a Redis or PostgreSQL of the system is not in the way. */
export const USUAL_PORTS: Readonly<Record<ServiceName, number>> = {
  kafka: 19092,
  registry: 18081,
  redis: 16379,
  bigquery: 19050,
  postgres: 15432,
};

/** Where a stack is when nobody says so. */
export const DEFAULT_DIRECTORY = '.nanosync-stack';

/** What `--help` prints. */
export const HELP = `npm run stack -- up | status | down | install [flags]: ${SERVICE_NAMES.join(', ')} on this machine, without a container engine.

  up      starts the services in the background and waits until each has answered
  status  asks each service; exit status 0 when all answer
  down    stops what up started
  install downloads what up would download

  --services a,b     up: only these
  --free-ports       up: any free ports instead of ${Object.values(USUAL_PORTS).join(', ')}
  --directory DIR    data, logs and the record of what runs; default ./.nanosync-stack
  --clean            down: removes the data too

For example:
  npm run stack -- up
  npx nanosync service planner --config .nanosync-stack/server.yaml
  npm run stack -- down --clean

The first up downloads Kafka, the registry, the BigQuery emulator and, where there is none, Redis (160 MB) into ~/.cache/nanosync, or NANOSYNC_CACHE.`;

/** Reads the command line. */
export function readStackCommand(args: readonly string[]): StackCommand {
  const options = { directory: resolve(DEFAULT_DIRECTORY), services: SERVICE_NAMES, freePorts: false, clean: false };
  const words: string[] = [];
  const rest = args.flatMap((arg) =>
    /^--\w[\w-]*=/.test(arg) ? [arg.slice(0, arg.indexOf('=')), arg.slice(arg.indexOf('=') + 1)] : [arg],
  );
  const valueAfter = (flag: string) => {
    const value = rest.shift();
    if (value === undefined || value.startsWith('--')) throw new StackUsageError(`${flag} needs a value. --help shows how.`);
    return value;
  };
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === '--help' || arg === '-h') return { verb: 'help', ...options };
    else if (arg === '--directory') options.directory = resolve(valueAfter(arg));
    else if (arg === '--services') options.services = servicesIn(valueAfter(arg));
    else if (arg === '--free-ports') options.freePorts = true;
    else if (arg === '--clean') options.clean = true;
    else if (arg.startsWith('-')) throw new StackUsageError(`There is no flag ${arg}. --help shows what there is.`);
    else words.push(arg);
  }
  const [verb, ...more] = words;
  if (more.length > 0 || (verb !== 'up' && verb !== 'status' && verb !== 'down' && verb !== 'install'))
    throw new StackUsageError(`Say up, status, down or install${verb === undefined ? '' : `, not ${words.join(' ')}`}. --help shows more.`);
  return { verb, ...options };
}

function servicesIn(list: string): readonly ServiceName[] {
  return list.split(',').map((word) => {
    const name = SERVICE_NAMES.find((each) => each === word.trim());
    if (name === undefined) throw new StackUsageError(`There is no service ${word}; there are ${SERVICE_NAMES.join(', ')}.`);
    return name;
  });
}
