import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { installEmulator } from './bigquery-install.ts';
import { type BigQueryProxy, startBigQueryProxy } from './bigquery-proxy/bigquery-proxy.ts';
import { servicePort } from './port.ts';
import { type Service, type ServiceOptions, startService } from './service.ts';

/** Where a BigQuery is. */
export interface BigQueryAddress {
  /** What clients call the API end point. */
  readonly url: string;
  readonly project: string;
}

const PROJECT = 'nanosync-test';

/** The emulator behind its proxy. Killing and stopping is for the emulator; the proxy answers until it is disposed of. */
export interface BigQueryService extends Service<BigQueryAddress> {
  readonly proxy: BigQueryProxy;
}

/** Starts the BigQuery emulator, on a file unless it is for once, and the proxy that everybody speaks to. */
export async function startBigQuery(options: ServiceOptions): Promise<BigQueryService> {
  const { python, env } = await installEmulator(options.log);
  const { directory } = options;
  const flags = {
    'rest-port': await servicePort(),
    'grpc-port': await servicePort(),
    project: PROJECT,
    'log-level': 'warning',
    'data-dir': join(directory, 'data'),
  };
  // A sixth of its processor time goes into writing down each job.
  const kept = options.forOnce === true ? '--ephemeral' : '--persistent';
  const args = [kept, ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)])];
  // By default uploads go through one folder in /tmp for all users of the machine, which only the first of them may write to.
  const uploads = join(directory, 'uploads');
  mkdirSync(uploads, { recursive: true });
  const upstream = `http://127.0.0.1:${flags['rest-port']}`;
  const proxy = await startBigQueryProxy({
    upstream,
    port: options.port ?? (await servicePort()),
    memoryFile: join(directory, 'jobs.jsonl'),
  });
  const address = { url: proxy.url, project: PROJECT };
  const check = (signal: AbortSignal) => listDatasets(upstream, signal);
  try {
    const launch = {
      command: python,
      args: ['-m', 'bqemulator', 'start', ...args],
      env: { ...env, BQEMU_UPLOAD_STAGING_DIR: uploads },
    };
    const emulator = await startService({ name: 'bigquery', address, launch, check }, directory);
    return Object.assign(emulator, {
      proxy,
      [Symbol.asyncDispose]: async () => {
        await Promise.all([emulator.stop(), proxy.close()]);
      },
    });
  } catch (error) {
    await proxy.close();
    throw error;
  }
}

/** Lists the datasets of the emulator's project. */
export async function listDatasets(url: string, signal: AbortSignal): Promise<void> {
  const reply = await fetch(`${url}/bigquery/v2/projects/${PROJECT}/datasets`, { signal });
  if (!reply.ok) throw new Error(`listing datasets answered ${reply.status}`);
}
