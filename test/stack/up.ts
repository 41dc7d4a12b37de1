import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isFree } from '@nanosync/testkit';
import type { KeeperNews } from './keeper.ts';
import { type StackCommand, USUAL_PORTS } from './options.ts';
import { isAlive } from './running-process.ts';
import { commandFor, printServices, say, shortPath } from './say.ts';
import { keeperLog, readRecord } from './stack-record.ts';
import { status } from './status.ts';

/** Starts the services in the background; resolves to the exit status. */
export async function up(command: StackCommand): Promise<number> {
  const known = readRecord(command.directory);
  if (known !== undefined && isAlive(known.keeper)) return alreadyUp(command);
  const taken = command.freePorts ? [] : await takenPorts(command);
  if (taken.length > 0) {
    say(`${taken.join(' ')} Stop what has it, or use any free ports: npm run stack -- up --free-ports`);
    return 1;
  }
  mkdirSync(command.directory, { recursive: true, mode: 0o700 });
  const failure = await startKeeper(command);
  if (failure !== undefined) {
    say(failure);
    return 1;
  }
  printServices(readRecord(command.directory)?.services ?? []);
  say(`Up. Data and logs are in ${shortPath(command.directory)}; stop it with: ${commandFor('down', command.directory)}`);
  return 0;
}

/** Nothing to do when all that is wanted answers; what does not is not repaired behind somebody's back. */
async function alreadyUp(command: StackCommand): Promise<number> {
  const running = readRecord(command.directory)?.services.map((service) => service.name) ?? [];
  if (running.length === 0) {
    say(`Another npm run stack -- up is starting the services. Wait for it, or end it with: ${commandFor('down', command.directory)}`);
    return 1;
  }
  const missing = command.services.filter((name) => !running.includes(name));
  if (missing.length > 0) {
    say(
      `A stack is up without ${missing.join(', ')}. Begin again with: ${commandFor('down', command.directory)} && ${commandFor('up', command.directory)}`,
    );
    return 1;
  }
  say('The stack is up already.');
  return status(command);
}

async function takenPorts({ services }: StackCommand): Promise<readonly string[]> {
  const looks = services.map(async (name) =>
    (await isFree(USUAL_PORTS[name])) ? [] : [`Port ${USUAL_PORTS[name]}, which is for ${name}, is taken.`],
  );
  return (await Promise.all(looks)).flat();
}

/** Resolves when all services have answered, or to why they have not. */
async function startKeeper(command: StackCommand): Promise<string | undefined> {
  const log = openSync(keeperLog(command.directory), 'a');
  const script = fileURLToPath(new URL('keeper.ts', import.meta.url));
  const child = spawn(process.execPath, [script, JSON.stringify(command)], {
    cwd: '/',
    detached: true,
    stdio: ['ignore', log, log, 'ipc'],
  });
  closeSync(log);
  const outcome = await new Promise<string | undefined>((resolve) => {
    child.on('message', (news: KeeperNews) => {
      if (news.kind === 'step') say(news.line);
      else resolve(news.kind === 'up' ? undefined : news.message);
    });
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) =>
      resolve(`The keeper of the services ended (${signal ?? code}); see ${shortPath(keeperLog(command.directory))}`),
    );
  });
  if (outcome !== undefined && child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  if (child.connected) child.disconnect();
  child.unref();
  return outcome;
}
