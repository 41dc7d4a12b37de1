import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Service, type ServiceName, type StackAddresses, startNamed } from '@nanosync/testkit';
import { type StackCommand, USUAL_PORTS } from './options.ts';
import { identify, type RunningProcess } from './running-process.ts';
import { commandFor } from './say.ts';
import { serverFile } from './server-file.ts';
import { claimRecord, type RecordedService, removeRecord, writeRecord } from './stack-record.ts';

/** What the keeper tells the `up` that started it. */
export type KeeperNews =
  | { readonly kind: 'step'; readonly line: string }
  | { readonly kind: 'up' }
  | { readonly kind: 'failed'; readonly message: string };

/** The process in the background that keeps the services: they are its children, and end with it, however it ends. */
class Keeper {
  readonly #command: StackCommand;
  readonly #self: RunningProcess;
  readonly #running: Service<StackAddresses[ServiceName]>[] = [];
  #ending: Promise<void> | undefined;

  constructor(command: StackCommand) {
    this.#command = command;
    const self = identify(process.pid);
    if (self === undefined) throw new Error('this system does not say when a process began');
    this.#self = self;
  }

  async begin(): Promise<void> {
    const { directory, services } = this.#command;
    for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(name, () => this.end());
    // Whoever ran `up` pressed Ctrl-C before all were there.
    process.once('disconnect', () => this.end());
    if (!claimRecord(directory, this.#self)) {
      await tell({
        kind: 'failed',
        message: `Another npm run stack -- up has ${directory}. Wait for it, or end it with: ${commandFor('down', directory)}`,
      });
      process.exit(1);
    }
    const outcomes = await Promise.allSettled(services.map((name) => this.#start(name)));
    if (this.#ending !== undefined) return;
    const failed = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [(outcome.reason as Error).message] : []));
    if (failed.length === 0) return this.#allUp();
    await tell({ kind: 'failed', message: [...new Set(failed)].join('\n\n') });
    await this.end();
  }

  /** Stops the services and ends this process. */
  end(): Promise<void> {
    this.#ending ??= (async () => {
      await Promise.all(this.#running.map((service) => service[Symbol.asyncDispose]()));
      removeRecord(this.#command.directory);
      process.exit(0);
    })();
    return this.#ending;
  }

  async #start(name: ServiceName): Promise<void> {
    const { directory, freePorts } = this.#command;
    const began = Date.now();
    const log = (line: string) => void tell({ kind: 'step', line });
    const service: Service<StackAddresses[ServiceName]> = await startNamed(name, {
      directory,
      log,
      ...(freePorts ? {} : { port: USUAL_PORTS[name] }),
    });
    this.#running.push(service);
    if (this.#ending !== undefined) await service[Symbol.asyncDispose]();
    log(`${name} answers after ${((Date.now() - began) / 1000).toFixed(1)} s`);
  }

  async #allUp(): Promise<void> {
    const { directory } = this.#command;
    const inOrder = this.#command.services.flatMap((name) => this.#running.filter((service) => service.name === name));
    const services = inOrder.map(({ name, address, logFile }) => ({ name, address, logFile })) as readonly RecordedService[];
    const text = serverFile(services);
    if (text !== undefined) writeFileSync(join(directory, 'server.yaml'), text);
    writeRecord(directory, { keeper: this.#self, services });
    process.removeAllListeners('disconnect');
    await tell({ kind: 'up' });
    if (process.connected) process.disconnect();
    setInterval(() => {}, 1 << 30); // Stays, whatever becomes of the services.
  }
}

/** Resolves when the news is on its way, or nobody listens. */
function tell(news: KeeperNews): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected && process.send !== undefined) process.send(news, () => resolve());
    else resolve();
  });
}

const keeper = new Keeper(JSON.parse(process.argv[2] as string) as StackCommand);
keeper.begin().catch(async (error: Error) => {
  await tell({ kind: 'failed', message: error.message });
  await keeper.end();
});
