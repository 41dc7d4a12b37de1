import { checkService, type StackAddresses } from '@nanosync/testkit';
import pg from 'pg';
import type { StackCommand } from './options.ts';
import { isAlive } from './running-process.ts';
import { commandFor, printServices, say } from './say.ts';
import { type RecordedService, readRecord } from './stack-record.ts';

/** Asks each service; resolves to the exit status: 0 when all answer. */
export async function status({ directory }: StackCommand): Promise<number> {
  const record = readRecord(directory);
  if (record === undefined || !isAlive(record.keeper)) {
    say(`No stack is up. Start it with: ${commandFor('up', directory)}`);
    return 1;
  }
  if (record.services.length === 0) {
    say('The stack is starting.');
    return 1;
  }
  const answers = new Map(await Promise.all(record.services.map(async (service) => [service.name, await answerOf(service)] as const)));
  printServices(record.services, answers);
  const silent = record.services.filter((service) => answers.get(service.name) !== 'answers');
  if (silent.length === 0) return 0;
  say(
    `${silent.map((service) => service.name).join(', ')} did not answer: see the log. Begin again with: ${commandFor('down', directory)} && ${commandFor('up', directory)}`,
  );
  return 1;
}

async function answerOf({ name, address }: RecordedService): Promise<string> {
  try {
    await checkService(name, address);
    if (name === 'postgres') await selectOne((address as StackAddresses['postgres']).dsn);
    return 'answers';
  } catch (error) {
    return error instanceof Error ? error.message || error.name : String(error);
  }
}

async function selectOne(dsn: string): Promise<void> {
  const client = new pg.Client({ connectionString: dsn, connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('SELECT 1');
  } finally {
    await client.end().catch(() => undefined);
  }
}
