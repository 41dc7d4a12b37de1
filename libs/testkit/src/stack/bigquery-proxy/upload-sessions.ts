import type { MetFault } from './faults.ts';
import type { JobGate } from './job-gate.ts';
import type { ParsedRequest } from './request-kind.ts';
import type { Answer, Exchange, Upstream } from './upstream.ts';

interface Session {
  readonly start: ParsedRequest;
  /** The answer to the last part: it is given again to whoever asks again. */
  done?: Answer;
}

/** Resumable uploads: the job is made when the last part has arrived. */
export class UploadSessions {
  readonly #upstream: Upstream;
  readonly #gate: JobGate;
  readonly #sessions = new Map<string, Session>();

  constructor(upstream: Upstream, gate: JobGate) {
    this.#upstream = upstream;
    this.#gate = gate;
  }

  /** The first request, which is answered with the place to send the bytes to. */
  async start(request: ParsedRequest, exchange: Exchange): Promise<Answer> {
    const answer = await this.#upstream.send(exchange);
    const { location } = answer.headers;
    if (location === undefined) return answer;
    const place = new URL(location, 'http://proxy');
    const path = `${place.pathname}${place.search}`;
    this.#sessions.set(idOf(path), { start: request });
    return { ...answer, headers: { ...answer.headers, location: `http://${exchange.headers.host}${path}` } };
  }

  /** A part of the bytes, or the question how many have arrived. */
  async put(exchange: Exchange, met?: MetFault): Promise<Answer> {
    const session = this.#sessions.get(idOf(exchange.path));
    if (session?.done !== undefined) return session.done;
    const job = session?.start.job;
    if (session === undefined || job === undefined || !isLast(exchange)) return this.#upstream.send(exchange);
    const answer = await this.#gate.insert(job, session.start, exchange, met);
    if (answer.status < 300) session.done = answer;
    return answer;
  }
}

/** What tells a session from others; clients may add to the rest of its address. */
function idOf(path: string): string {
  return new URL(path, 'http://proxy').searchParams.get('upload_id') ?? path;
}

/** Whether these are the last bytes of an upload: `bytes 0-9/10`, or everything at once. */
function isLast({ headers }: Exchange): boolean {
  const range = headers['content-range'];
  if (range === undefined) return true;
  const [, end, total] = /^bytes \d+-(\d+)\/(\d+)$/.exec(range) ?? [];
  return end !== undefined && Number(end) + 1 === Number(total);
}
