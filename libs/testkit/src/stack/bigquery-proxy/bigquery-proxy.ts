import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { errorAnswer } from './answers.ts';
import { answerControl, CONTROL_PATH } from './control.ts';
import { errorOf, FaultPlan, type MetFault } from './faults.ts';
import { JobGate } from './job-gate.ts';
import { JobMemory } from './job-memory.ts';
import { type ParsedRequest, parseRequest } from './request-kind.ts';
import { UploadSessions } from './upload-sessions.ts';
import { type Answer, type Exchange, openUpstream, readAll, type Upstream } from './upstream.ts';

/** One request that the proxy has met, for a test to count. */
export interface SeenRequest {
  readonly kind: ParsedRequest['kind'];
  readonly method: string;
  readonly path: string;
  readonly jobId: string | undefined;
  /** The status of the answer, or that there was none. */
  readonly outcome: number | 'lost' | undefined;
}

/** A running proxy. */
export interface BigQueryProxy extends AsyncDisposable {
  readonly url: string;
  readonly faults: FaultPlan;
  /** The last requests, oldest first. */
  requests(): readonly SeenRequest[];
  close(): Promise<void>;
}

/** Settings of {@link startBigQueryProxy}. */
export interface ProxyOptions {
  /** The emulator's address. */
  readonly upstream: string;
  readonly port?: number;
  /** Where job ids are remembered; without it they are forgotten with the proxy. */
  readonly memoryFile?: string;
}

const MOST_SEEN = 10_000;

/**
 * Stands in front of a BigQuery emulator and adds what the real service has and the emulator has not: a job id is taken once (409
 * after that, and `jobs.get` tells the job's outcome), a query's request id likewise, and, when a test plans it, faults.
 */
export async function startBigQueryProxy(options: ProxyOptions): Promise<BigQueryProxy> {
  const upstream = openUpstream(options.upstream);
  const faults = new FaultPlan();
  const route = routes(upstream, new JobMemory(options.memoryFile));
  let seen: { -readonly [K in keyof SeenRequest]: SeenRequest[K] }[] = [];
  const requests = () => seen;
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const { method = 'GET', url: path = '/', headers } = request;
    const body = await readAll(request);
    if (path.startsWith(CONTROL_PATH)) return answerControl({ method, path, body, faults, requests }, response);
    const parsed = parseRequest(method, path, headers['content-type'] ?? '', body);
    const entry: (typeof seen)[number] = { kind: parsed.kind, method, path, jobId: parsed.job?.jobId, outcome: undefined };
    seen = [...(seen.length < MOST_SEEN ? seen : seen.slice(MOST_SEEN / 2)), entry];
    const answer = await disturbed(parsed, { method, path, headers, body }, faults.meet(parsed), route).catch(brokenOrDefect);
    entry.outcome = answer?.status ?? 'lost';
    if (answer === undefined) return response.destroy();
    response.writeHead(answer.status, { ...answer.headers, 'content-length': answer.body.length }).end(answer.body);
  };
  const server = createServer((request, response) => {
    serve(request, response).catch(() => response.destroy()); // The caller has gone.
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  server.unref(); // A proxy that nobody speaks to holds no process.
  const close = async () => {
    faults.remove();
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
    upstream.close();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, faults, requests, close, [Symbol.asyncDispose]: close };
}

/** An emulator that cannot be reached is a broken connection to the caller; a mistake of ours must not look like one. */
function brokenOrDefect(error: NodeJS.ErrnoException): Answer | undefined {
  if (error.code !== undefined) return undefined;
  return errorAnswer({ status: 500, reason: 'proxyDefect', message: error.stack ?? error.message });
}

type Route = (request: ParsedRequest, exchange: Exchange, met: MetFault | undefined) => Promise<Answer>;

/** Does to a request what was planned; undefined when the caller gets no answer. */
async function disturbed(request: ParsedRequest, exchange: Exchange, met: MetFault | undefined, route: Route): Promise<Answer | undefined> {
  const action = met?.action;
  if (action?.do === 'loseRequest') return undefined;
  if (action?.do === 'answer') return errorAnswer(errorOf(action.error));
  if (action?.do === 'holdRequest') await met?.released;
  if (action?.do === 'delay') await delay(action.ms);
  const answer = await route(request, exchange, met);
  if (action?.do === 'holdReply') await met?.released;
  return action?.do === 'loseReply' ? undefined : answer;
}

function routes(upstream: Upstream, memory: JobMemory): Route {
  const gate = new JobGate(upstream, memory);
  const uploads = new UploadSessions(upstream, gate);
  const queries = new Map<string, Promise<Answer>>();
  return (request, exchange, met) => {
    const { kind, job, requestId } = request;
    if (kind === 'insert' && job !== undefined) return gate.insert(job, request, exchange, met);
    if (kind === 'job' && job !== undefined) return gate.get(job, exchange);
    if (kind === 'results' && job !== undefined) return gate.results(job, exchange);
    if (kind === 'startUpload') return uploads.start(request, exchange);
    if (kind === 'upload') return uploads.put(exchange, met);
    if (kind === 'query' && requestId !== undefined) return once(queries, requestId, () => upstream.send(exchange));
    return upstream.send(exchange);
  };
}

/** The answer to a query that was asked before under the same request id, unless that one failed. */
function once(queries: Map<string, Promise<Answer>>, requestId: string, send: () => Promise<Answer>): Promise<Answer> {
  const known = queries.get(requestId);
  if (known !== undefined) return known;
  const sending = send();
  queries.set(requestId, sending);
  sending.then(
    (answer) => answer.status >= 300 && queries.delete(requestId),
    () => queries.delete(requestId),
  );
  return sending;
}
