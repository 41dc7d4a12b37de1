import type { BigQueryApi } from './api.ts';
import { GoogleError } from './google-error.ts';
import type { Job, Jobs } from './jobs.ts';

/** A load job of one Avro file into a table that exists. */
export interface AvroLoad {
  readonly id: string;
  readonly table: string;
  readonly pieces: readonly Uint8Array[];
}

/** Up to here a file goes along with the request that inserts its job. */
const SMALL_BYTES = 4_000_000;
/** Bytes of one request of a larger file; Google wants multiples of 256 KiB. */
const CHUNK_BYTES = 32 * 256 * 1024;
const UPLOAD_ATTEMPTS = 5;
const BOUNDARY = 'nanosync-boundary-6f1d2c';

/** Runs a load job to its end, good or bad; one that has this id already is adopted. Throws where the id was taken away from us. */
export async function loadAvro(jobs: Jobs, load: AvroLoad): Promise<Job> {
  const { project, dataset } = jobs.api.options;
  const insertion = {
    jobReference: jobs.reference(load.id),
    configuration: {
      load: {
        destinationTable: { projectId: project, datasetId: dataset, tableId: load.table },
        sourceFormat: 'AVRO',
        useAvroLogicalTypes: true,
        decimalTargetTypes: ['NUMERIC', 'BIGNUMERIC'],
        createDisposition: 'CREATE_NEVER',
        writeDisposition: 'WRITE_APPEND',
      },
    },
  };
  const size = load.pieces.reduce((sum, piece) => sum + piece.length, 0);
  const job = await jobs.settle(load.id, () =>
    size <= SMALL_BYTES ? uploadSmall(jobs.api, insertion, load.pieces) : uploadLarge(jobs.api, insertion, load.pieces, size),
  );
  if (job.configuration?.load === undefined) throw new GoogleError(200, 'idTaken', 'nanosync: overtaken.');
  return job;
}

function uploadSmall(api: BigQueryApi, insertion: unknown, pieces: readonly Uint8Array[]): Promise<Job> {
  const head = `--${BOUNDARY}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n${JSON.stringify(insertion)}\r\n--${BOUNDARY}\r\nContent-Type: application/octet-stream\r\n\r\n`;
  return api.call<Job>({
    method: 'POST',
    path: '/upload/jobs',
    query: { uploadType: 'multipart' },
    media: {
      type: `multipart/related; boundary=${BOUNDARY}`,
      bytes: Buffer.concat([Buffer.from(head), ...pieces, Buffer.from(`\r\n--${BOUNDARY}--`)]),
    },
  });
}

/** Google's resumable upload: a session, then chunks; after a lost answer the session says how far it is. */
async function uploadLarge(api: BigQueryApi, insertion: unknown, pieces: readonly Uint8Array[], size: number): Promise<Job> {
  const begun = await api.answer({ method: 'POST', path: '/upload/jobs', query: { uploadType: 'resumable' }, json: insertion });
  const session = begun.headers.get('location');
  if (session === null) throw new GoogleError(0, 'noSession', 'BigQuery gave no address for an upload');
  let from = 0;
  for (let failures = 0; ; ) {
    const to = Math.min(size, from + CHUNK_BYTES);
    const bytes = slice(pieces, from, to);
    const state = await put(api, session, bytes, from < size ? `bytes ${from}-${to - 1}/${size}` : `bytes */${size}`).catch(
      async (error: unknown) => {
        if (!(error instanceof GoogleError) || !error.isPassing || ++failures === UPLOAD_ATTEMPTS) throw error;
        await api.pause(200 * 2 ** failures);
        return put(api, session, Buffer.alloc(0), `bytes */${size}`);
      },
    );
    if ('job' in state) return state.job;
    from = state.next;
  }
}

async function put(
  api: BigQueryApi,
  session: string,
  bytes: Buffer,
  range: string,
): Promise<{ readonly job: Job } | { readonly next: number }> {
  try {
    const headers = { 'Content-Range': range };
    // Taken apart, because the client adds parameters of its own behind whatever it is given.
    const { origin, pathname, searchParams } = new URL(session);
    const query = Object.fromEntries(searchParams);
    const answer = await api.once({
      method: 'PUT',
      path: `${origin}${pathname}`,
      query,
      media: { type: 'application/octet-stream', bytes, headers },
    });
    return { job: answer.body as Job };
  } catch (error) {
    if (!(error instanceof GoogleError) || error.status !== 308) throw error;
    const received = /-(\d+)$/.exec(rangeOf(error))?.[1];
    return { next: received === undefined ? 0 : Number(received) + 1 };
  }
}

/** The `Range` header of a 308 answer, which the client treats as an error. */
function rangeOf(error: GoogleError): string {
  const headers = (error.cause as { readonly response?: { readonly headers?: unknown } } | undefined)?.response?.headers;
  if (headers instanceof Headers) return headers.get('range') ?? '';
  return (headers as Readonly<Record<string, string>> | undefined)?.range ?? '';
}

function slice(pieces: readonly Uint8Array[], from: number, to: number): Buffer {
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const piece of pieces) {
    const [low, high] = [Math.max(from - at, 0), Math.min(to - at, piece.length)];
    if (low < high) parts.push(piece.subarray(low, high));
    at += piece.length;
    if (at >= to) break;
  }
  return Buffer.concat(parts);
}
