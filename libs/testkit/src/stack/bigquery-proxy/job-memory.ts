import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { type JobName, jobKey } from './request-kind.ts';

/** A job resource as the API gives it. */
export type JobResource = Readonly<Record<string, unknown>>;

/**
 * What is known of a job id: `passed` on and not answered yet, `known` with the emulator's last word, or `unclear` after a broken
 * connection or an answer of 5xx.
 */
export type JobKnowledge =
  | { readonly state: 'passed'; readonly resource: JobResource }
  | { readonly state: 'known'; readonly resource: JobResource }
  | { readonly state: 'unclear' };

/**
 * Remembers every job id that was passed on, as the real service does and the emulator does not; the emulator also forgets all jobs
 * when it is restarted. With a file the memory survives the proxy.
 */
export class JobMemory {
  readonly #jobs = new Map<string, JobKnowledge>();
  readonly #file: string | undefined;

  constructor(file?: string) {
    this.#file = file;
    if (file === undefined || !existsSync(file)) return;
    for (const line of readFileSync(file, 'utf8').split('\n')) {
      const entry = parsed(line);
      if (entry === undefined) continue;
      if (entry.knowledge === null) this.#jobs.delete(entry.key);
      // Whoever passed it on is gone and cannot be answered any more.
      else this.#jobs.set(entry.key, entry.knowledge.state === 'passed' ? { state: 'unclear' } : entry.knowledge);
    }
  }

  get(job: JobName): JobKnowledge | undefined {
    return this.#jobs.get(jobKey(job));
  }

  set(job: JobName, knowledge: JobKnowledge): void {
    this.#jobs.set(jobKey(job), knowledge);
    this.#write(jobKey(job), knowledge);
  }

  /** The service refused to make it: the id is free again. */
  forget(job: JobName): void {
    this.#jobs.delete(jobKey(job));
    this.#write(jobKey(job), null);
  }

  #write(key: string, knowledge: JobKnowledge | null): void {
    if (this.#file !== undefined) appendFileSync(this.#file, `${JSON.stringify({ key, knowledge })}\n`);
  }
}

/** The last line may be cut off where a process was killed. */
function parsed(line: string): { readonly key: string; readonly knowledge: JobKnowledge | null } | undefined {
  try {
    return JSON.parse(line) as { readonly key: string; readonly knowledge: JobKnowledge | null };
  } catch {
    return undefined;
  }
}
