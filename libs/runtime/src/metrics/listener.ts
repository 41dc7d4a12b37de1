import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describeError, PipelineError } from '@nanosync/core';

/** Where to listen; port 0 takes a free one. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** What an endpoint answers. */
export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** A small HTTP server for collectors and probes. */
export interface Listener extends AsyncDisposable {
  /** Where it listens: `http://127.0.0.1:9464`. */
  readonly url: string;
}

/** Nobody that asks for a page of text needs more at once. */
const MOST_CONNECTIONS = 64;
const REQUEST_MS = 10_000;

/**
 * Serves these paths by GET and HEAD, nothing else, without looking at anything that a request holds besides its path. Throws PipelineError
 * `config` where the address cannot be had.
 */
export async function listen({ host, port }: ListenAddress, routes: Readonly<Record<string, () => Promise<Answer>>>): Promise<Listener> {
  const server = createServer({ requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS, maxHeaderSize: 8192 }, (request, response) => {
    answer(request, response, routes).catch(() => response.destroy());
  });
  server.maxConnections = MOST_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const hint = 'Name another address under metrics.listen in the server file; port 0 takes a free one.';
      reject(new PipelineError('config', `Metrics cannot be served at ${host}:${port} (${error.code}).`, { hint, cause: error }));
    });
    server.listen(port, host, resolve);
  });
  server.on('error', () => undefined);
  const { address, family, port: taken } = server.address() as AddressInfo;
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${taken}`,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  routes: Readonly<Record<string, () => Promise<Answer>>>,
): Promise<void> {
  const path = request.url?.split('?', 1)[0] ?? '';
  const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
  const { status, type, body } = await chosen(request.method, route);
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body), connection: 'close' });
  response.end(request.method === 'HEAD' ? undefined : body);
}

async function chosen(method: string | undefined, route: (() => Promise<Answer>) | undefined): Promise<Answer> {
  if (route === undefined) return plain(404, 'not here');
  if (method !== 'GET' && method !== 'HEAD') return plain(405, 'only GET');
  try {
    return await route();
  } catch (error) {
    return plain(500, describeError(error));
  }
}

/** A line of text. */
export function plain(status: number, text: string): Answer {
  return { status, type: 'text/plain; charset=utf-8', body: `${text}\n` };
}

/** Reads `host:port`, `[::1]:port` or `:port` for all addresses; undefined when it is neither. */
export function parseListen(text: string): ListenAddress | undefined {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^\s:[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) return undefined;
  return { host: match[1] ?? (match[2] || '0.0.0.0'), port };
}
