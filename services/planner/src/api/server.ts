import { Readable } from 'node:stream';
import rateLimit from '@fastify/rate-limit';
import type { ApiParts, CallName, Route, RouteName, ServedApi, StreamName } from '@nanosync/api';
import { API_ERRORS, ApiFault, DEPLOYMENT_HEADER, isLoopback, ROUTES } from '@nanosync/api';
import { describeError, PipelineError } from '@nanosync/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import fastify from 'fastify';
import { bodyOf, invalid } from './faults.ts';
import { guard } from './guard.ts';
import { HANDLERS, STREAM_HANDLERS } from './handlers.ts';

/** The largest request body: thousands of tables. */
const BODY_BYTES = 4 * 1_048_576;
/** How long a request may take to arrive, and to be answered. Checking sources and sinks takes its time. */
const ARRIVE_MS = 30_000;
const ANSWER_MS = 120_000;
/** More than a screen that is refreshed every second asks for, for each address. */
const REQUESTS_A_MINUTE = 1200;
/** Answers of lines (`tap`, `logs`, `verify`) that are open at the same time: each holds a reader of the bus, or both ends of a pipeline. */
const STREAMS = 64;
/** How long requests that run may take to end when the server ends. */
const END_MS = 3000;

/** Listens and answers until it is disposed. Throws PipelineError `config` where it must not or cannot listen. */
export async function openApi(parts: ApiParts): Promise<ServedApi> {
  const { listen, token, ctx } = parts;
  if (token === undefined && !isLoopback(listen.host))
    throw new PipelineError('config', `The API would listen on ${listen.host}, beyond this machine, without a token.`, {
      hint: 'Set api.token in the server file, such as "${secret:NANOSYNC_TOKEN}", or listen on 127.0.0.1.',
    });
  const ending = new AbortController();
  const app = serverOrRefusal(parts, ending.signal);
  await app.register(rateLimit, { max: parts.requestsAMinute ?? REQUESTS_A_MINUTE, timeWindow: 60_000 });
  const check = guard(parts);
  // After the limit, which counts those who guess tokens, and before the body is read.
  app.addHook('preParsing', async ({ headers: { host, origin, authorization, [DEPLOYMENT_HEADER]: deployment } }) =>
    check({ host, origin, authorization, deployment: deployment?.toString() }),
  );
  const streams = new Set<FastifyReply>();
  for (const [name, route] of Object.entries<Route>(ROUTES))
    addRoute(app, parts, { name: name as RouteName, route, streams, signal: ending.signal });
  try {
    await app.listen({ host: bare(listen.host), port: listen.port });
  } catch (error) {
    await app.close();
    throw cannotListen(parts, error);
  }
  const address = app.server.address();
  const port = typeof address === 'object' && address !== null ? address.port : listen.port;
  return {
    url: `${parts.tls === undefined ? 'http' : 'https'}://${urlHost(listen.host)}:${port}`,
    [Symbol.asyncDispose]: async () => {
      ending.abort(); // Lines that are followed end here.
      const over = new AbortController();
      const cut = ctx.clock.sleep(END_MS, over.signal).then(() => app.server.closeAllConnections());
      await app.close();
      over.abort();
      await cut;
    },
  };
}

function serverOrRefusal(parts: ApiParts, signal: AbortSignal): FastifyInstance {
  try {
    return serverOf(parts, signal);
  } catch (error) {
    if (parts.tls === undefined) throw error;
    const hint = 'Give both in PEM form.';
    throw new PipelineError('config', 'api.tls.cert and api.tls.key are no certificate with its key.', { hint, cause: error });
  }
}

function serverOf(parts: ApiParts, signal: AbortSignal): FastifyInstance {
  const options = {
    logger: false,
    bodyLimit: BODY_BYTES,
    requestTimeout: ARRIVE_MS,
    forceCloseConnections: 'idle' as const,
    exposeHeadRoutes: false,
    return503OnClosing: false,
    frameworkErrors: (_error: Error, _request: unknown, reply: FastifyReply) => answerError(parts, reply, { statusCode: 400 }),
    clientErrorHandler: (_error: Error, socket: { end(text: string): void }) =>
      socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n'),
  };
  const app = (parts.tls === undefined ? fastify(options) : fastify({ ...options, https: parts.tls })) as unknown as FastifyInstance;
  // JSON alone: what a page can send without being asked first is not read.
  app.removeContentTypeParser('text/plain');
  app.setErrorHandler((error, request, reply) => {
    if (!(error instanceof PipelineError) && bodyOf(error).code === 'defect')
      parts.ctx.log.error('api request failed', { route: request.routeOptions.url, err: describeError(error) });
    return answerError(parts, reply, error);
  });
  app.setNotFoundHandler((_request, reply) =>
    answerError(parts, reply, new ApiFault('not-found', 'There is no such route.', 'See /v1/openapi.json.')),
  );
  app.addHook('onRequest', async () => {
    if (signal.aborted) throw new ApiFault('ending', 'The server is ending.', 'Ask again once it runs.');
  });
  return app;
}

interface AddedRoute {
  readonly name: RouteName;
  readonly route: Route;
  /** The answers of lines that are open. */
  readonly streams: Set<FastifyReply>;
  readonly signal: AbortSignal;
}

function addRoute(app: FastifyInstance, parts: ApiParts, { name, route, streams, signal }: AddedRoute): void {
  const url = route.path.replace(/\{(\w+)\}/g, ':$1');
  if (route.lines === true)
    app.route({
      method: route.method,
      url,
      handler: (request, reply) => answerLines(parts, { name: name as StreamName, request, reply, streams, signal }),
    });
  else
    app.route({
      method: route.method,
      url,
      handlerTimeout: ANSWER_MS,
      handler: async (request, reply) => {
        const handle = HANDLERS[name as CallName] as (parts: ApiParts, request: unknown) => Promise<unknown>;
        return answerJson(parts, reply, await handle(parts, requestOf(route, request)));
      },
    });
}

interface Followed {
  readonly name: StreamName;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

/** Lines go out as fast as the client takes them; one that is gone ends the reading. */
async function answerLines(
  parts: ApiParts,
  { name, request, reply, streams, signal }: Omit<AddedRoute, 'name' | 'route'> & Followed,
): Promise<FastifyReply> {
  if (streams.size >= (parts.streams ?? STREAMS))
    throw new ApiFault(
      'too-many-requests',
      `The server answers ${streams.size} that read its lines already (tap, logs, verify).`,
      'End one of them, and ask again.',
    );
  const gone = new AbortController();
  streams.add(reply);
  reply.raw.once('close', () => {
    streams.delete(reply);
    gone.abort();
  });
  const handle = STREAM_HANDLERS[name] as (parts: ApiParts, request: unknown, signal: AbortSignal) => Promise<AsyncIterable<string>>;
  const lines = await handle(parts, requestOf(ROUTES[name], request), AbortSignal.any([signal, gone.signal]));
  return reply.type('application/x-ndjson').send(Readable.from(withLineEnds(lines), { objectMode: false }));
}

async function* withLineEnds(lines: AsyncIterable<string>): AsyncGenerator<string> {
  yield '\n'; // Sends the head of the answer: whoever follows knows that the server listens.
  for await (const line of lines) yield `${line}\n`;
}

/** The parts of a request as the route's schemas read them. */
function requestOf(route: Route, request: FastifyRequest): unknown {
  const read = (part: 'params' | 'query' | 'body', schema: Route['params']) => {
    if (schema === undefined) return {};
    const parsed = schema.safeParse(request[part]);
    if (!parsed.success) throw invalid(part, parsed.error);
    return { [part]: parsed.data };
  };
  return { ...read('params', route.params), ...read('query', route.query), ...read('body', route.body) };
}

function answerError(parts: ApiParts, reply: FastifyReply, error: unknown): FastifyReply {
  const body = bodyOf(error);
  if (body.code === 'unauthorized') reply.header('www-authenticate', 'Bearer');
  return answerJson(parts, reply.code(API_ERRORS[body.code].status), body);
}

/** Whatever text leaves has passed the redactor: it was written by others, at the source too. */
function answerJson({ redact }: ApiParts, reply: FastifyReply, answer: unknown): FastifyReply {
  const text = JSON.stringify(answer, (_, value: unknown) => (typeof value === 'string' ? redact(value) : value));
  return reply.type('application/json').header('cache-control', 'no-store').send(text);
}

function cannotListen({ listen }: ApiParts, error: unknown): unknown {
  const { code = '' } = error as NodeJS.ErrnoException;
  const where = `${listen.host}:${listen.port}`;
  const hint = 'Give it another address with api.listen in the server file.';
  if (code === 'EADDRINUSE')
    return new PipelineError('config', `The API cannot listen on ${where}: something else does.`, { hint, cause: error });
  if (/^E[A-Z]+$/.test(code)) return new PipelineError('config', `The API cannot listen on ${where} (${code}).`, { hint, cause: error });
  return error;
}

function bare(host: string): string {
  return host.replace(/^\[|\]$/g, '');
}

function urlHost(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
}
