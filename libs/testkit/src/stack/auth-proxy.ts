import { readFileSync } from 'node:fs';
import { createServer as createHttp, type RequestListener } from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo } from 'node:net';
import { openUpstream, readAll } from './bigquery-proxy/upstream.ts';
import type { Certificates } from './certificates.ts';

/** An HTTP service that asks for a password. */
export interface AuthProxy extends AsyncDisposable {
  readonly url: string;
}

/** Settings of {@link startAuthProxy}. */
export interface AuthProxyOptions {
  /** The service behind it, which asks for none. */
  readonly upstream: string;
  readonly username: string;
  readonly password: string;
  /** Speaks TLS with these. */
  readonly tls?: Certificates;
}

/** Puts basic authentication, and TLS when wanted, in front of a service such as the schema registry. */
export async function startAuthProxy({ upstream, username, password, tls }: AuthProxyOptions): Promise<AuthProxy> {
  const { origin, pathname } = new URL(upstream);
  const server = openUpstream(origin);
  const expected = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  const listener: RequestListener = async (request, response) => {
    const { method = 'GET', url: path = '/', headers } = request;
    const body = await readAll(request);
    if (headers.authorization !== expected) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="nanosync"' }).end('{"error_code":401,"message":"Unauthorized"}');
      return;
    }
    try {
      const answer = await server.send({ method, path, headers, body });
      response.writeHead(answer.status, { ...answer.headers, 'content-length': answer.body.length }).end(answer.body);
    } catch {
      response.destroy();
    }
  };
  const http =
    tls === undefined ? createHttp(listener) : createHttps({ key: readFileSync(tls.key), cert: readFileSync(tls.cert) }, listener);
  await new Promise<void>((resolve, reject) => {
    http.once('error', reject).listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${(http.address() as AddressInfo).port}${pathname}`,
    [Symbol.asyncDispose]: async () => {
      http.closeAllConnections();
      await new Promise<void>((resolve) => http.close(() => resolve()));
      server.close();
    },
  };
}
