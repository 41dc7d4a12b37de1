import { Agent, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';

/** A whole request, or a whole answer's headers and body. */
export interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** An answer. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** The server behind the proxy. */
export interface Upstream {
  /** Passes a request on; rejects when the connection breaks. */
  send(exchange: Exchange): Promise<Answer>;
  close(): void;
}

/** Headers that belong to one connection. */
const OF_THE_CONNECTION = new Set(['connection', 'keep-alive', 'transfer-encoding', 'content-length', 'expect', 'upgrade']);

/** Talks to the server at `origin`. */
export function openUpstream(origin: string): Upstream {
  const { hostname, port } = new URL(origin);
  const agent = new Agent({ keepAlive: true });
  return {
    send: ({ method, path, headers, body }) =>
      new Promise((resolve, reject) => {
        const length = method === 'GET' || method === 'DELETE' ? {} : { 'content-length': body.length };
        const sent = request({ agent, hostname, port, method, path, headers: { ...passedOn(headers), ...length } }, (reply) => {
          readAll(reply).then((got) => resolve({ status: reply.statusCode ?? 502, headers: passedOn(reply.headers), body: got }), reject);
        });
        sent.once('error', reject);
        sent.end(body);
      }),
    close: () => agent.destroy(),
  };
}

/** The whole body of a message. */
export async function readAll(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function passedOn(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !OF_THE_CONNECTION.has(name)));
}
