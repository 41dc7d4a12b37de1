import { setTimeout as delay } from 'node:timers/promises';
import { emptyResults, errorAnswer, failedJob, jsonAnswer, renamedJob, resultsInstead, runningJob } from './answers.ts';
import { duplicate } from './errors.ts';
import { errorOf, type MetFault } from './faults.ts';
import type { JobMemory, JobResource } from './job-memory.ts';
import { type JobName, jobKey, jobText, type ParsedRequest } from './request-kind.ts';
import type { Answer, Exchange, Upstream } from './upstream.ts';

/** How long `jobs.getQueryResults` waits for a job to end, at most. */
const MOST_WAIT_MS = 10_000;

/** Makes each job once: what the real service guarantees for a job id, in front of an emulator that does not. */
export class JobGate {
  readonly #upstream: Upstream;
  readonly #memory: JobMemory;
  /** Jobs that were passed on and not answered, by their key. */
  readonly #running = new Map<string, Promise<Answer>>();

  constructor(upstream: Upstream, memory: JobMemory) {
    this.#upstream = upstream;
    this.#memory = memory;
  }

  /** `jobs.insert` with an id, or the last part of an upload. */
  async insert(job: JobName, request: ParsedRequest, exchange: Exchange, met?: MetFault): Promise<Answer> {
    if (this.#memory.get(job)?.state === 'unclear') await this.#clearUp(job);
    // Nothing is awaited between this look and the note below, or two that come together would both pass.
    if (this.#memory.get(job) !== undefined) return errorAnswer(duplicate(jobText(job)));
    if (met?.action.do === 'failJob') {
      const resource = failedJob(job, request, errorOf(met.action.error));
      this.#memory.set(job, { state: 'known', resource });
      return jsonAnswer(200, resource);
    }
    const resource = runningJob(job, request);
    this.#memory.set(job, { state: 'passed', resource });
    const before = met?.action.do === 'background' && met.action.hold === true ? met.released : Promise.resolve();
    const sending = before
      .then(() => this.#upstream.send(exchange))
      .then(
        (answer) => this.#record(job, answer),
        (error) => this.#unclear(job, error),
      );
    this.#running.set(jobKey(job), sending);
    const cleared = sending.finally(() => this.#running.delete(jobKey(job)));
    if (met?.action.do !== 'background') return cleared;
    cleared.catch(() => {}); // Whoever asks for the job will be told.
    return jsonAnswer(200, resource);
  }

  /** The emulator says what became of a job whose answer did not arrive. It cannot after its restart: such a job counts as not made. */
  async #clearUp(job: JobName): Promise<void> {
    const answer = await this.#ask(job);
    if (this.#memory.get(job)?.state !== 'unclear') return;
    if (answer.status === 404) this.#memory.forget(job);
    else if (answer.status < 300) this.#record(job, answer);
    else throw new Error(`the emulator answered ${answer.status} about a job`);
  }

  /** `jobs.get`. */
  async get(job: JobName, exchange: Exchange): Promise<Answer> {
    const knowledge = this.#memory.get(job);
    if (knowledge?.state === 'passed') return jsonAnswer(200, knowledge.resource);
    const answer = await this.#upstream.send(exchange);
    // After its restart the emulator does not know its jobs any more; we do.
    return answer.status === 404 && knowledge?.state === 'known' ? jsonAnswer(200, knowledge.resource) : answer;
  }

  /** `jobs.getQueryResults`, which waits for the job's end. */
  async results(job: JobName, exchange: Exchange): Promise<Answer> {
    const asked = Number(new URL(exchange.path, 'http://proxy').searchParams.get('timeoutMs') ?? MOST_WAIT_MS);
    const running = this.#running.get(jobKey(job))?.catch(() => {});
    if (running !== undefined) await Promise.race([running, delay(Math.min(asked, MOST_WAIT_MS), undefined, { ref: false })]);
    const knowledge = this.#memory.get(job);
    const instead = knowledge === undefined || knowledge.state === 'unclear' ? undefined : resultsInstead(job, knowledge.resource);
    if (instead !== undefined) return instead;
    const answer = await this.#upstream.send(exchange);
    return answer.status === 404 && knowledge?.state === 'known' ? (emptyResults(job, knowledge.resource) ?? answer) : answer;
  }

  #ask({ project, jobId, location }: JobName): Promise<Answer> {
    const path = `/bigquery/v2/projects/${project}/jobs/${encodeURIComponent(jobId)}?location=${location}`;
    return this.#upstream.send({ method: 'GET', path, headers: {}, body: Buffer.alloc(0) });
  }

  #record(job: JobName, answer: Answer): Answer {
    if (answer.status < 300) {
      // The emulator gives a job that comes with an upload an id of its own.
      const resource = renamedJob(job, JSON.parse(answer.body.toString()) as JobResource);
      this.#memory.set(job, { state: 'known', resource });
      return jsonAnswer(answer.status, resource);
    }
    if (answer.status < 500) this.#memory.forget(job);
    else this.#memory.set(job, { state: 'unclear' });
    return answer;
  }

  #unclear(job: JobName, error: unknown): never {
    this.#memory.set(job, { state: 'unclear' });
    throw error;
  }
}
