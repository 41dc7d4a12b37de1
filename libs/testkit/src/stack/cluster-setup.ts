import { mkdtempSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import type { Service } from './service.ts';
import { removeStack, SERVICE_NAMES, type ServiceName, startNamed } from './stack.ts';

/** The services of one test run, which several of vitest's projects may use. */
interface SharedStack {
  readonly url: string;
  close(): Promise<void>;
}

/** vitest loads this file once for each project, all in one process. */
const shared = globalThis as { nanosyncStack?: { users: number; readonly stack: Promise<SharedStack> } };

/**
 * vitest's global set-up: offers the shared services to the tests. Each is started when the first test asks for it, so a run that
 * needs Redis alone waits for nothing else; all are stopped at the end.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  shared.nanosyncStack ??= { users: 0, stack: openShared() };
  const mine = shared.nanosyncStack;
  mine.users++;
  const stack = await mine.stack;
  project.provide('stackUrl', stack.url);
  return async () => {
    if (--mine.users > 0) return;
    delete shared.nanosyncStack;
    await stack.close();
  };
}

async function openShared(): Promise<SharedStack> {
  const directory = mkdtempSync(join(tmpdir(), 'nanosync-stack-'));
  const started = new Map<ServiceName, Promise<Service<unknown>>>();
  const start = (name: ServiceName) => {
    const known = started.get(name) ?? startNamed(name, { directory, forOnce: true, log: (line) => console.error(`stack: ${line}`) });
    started.set(name, known);
    return known;
  };
  const server = createServer((request, response) => {
    const name = SERVICE_NAMES.find((each) => request.url === `/${each}`);
    const answer = name === undefined ? Promise.reject(new Error(`there is no service ${request.url}`)) : start(name);
    answer.then(
      (service) => response.end(JSON.stringify({ address: service.address })),
      (error: Error) => response.end(JSON.stringify({ error: error.message })),
    );
  });
  const close = async () => {
    server.close();
    const outcomes = await Promise.allSettled(started.values());
    await Promise.all(outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value[Symbol.asyncDispose]() : undefined)));
    removeStack(directory);
  };
  return { url: await listening(server), close };
}

function listening(server: Server): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      if (address === null || typeof address === 'string') throw new Error('the stack has no address');
      resolve(`http://127.0.0.1:${address.port}`);
    });
  });
}

declare module 'vitest' {
  interface ProvidedContext {
    /** Where tests ask for shared services. */
    stackUrl: string;
  }
}
