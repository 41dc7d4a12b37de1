import { join } from 'node:path';
import { installEmulator } from './bigquery-install.ts';
import { servicePort } from './port.ts';
import { type Service, type ServiceOptions, startService } from './service.ts';

/** Where a BigQuery is. */
export interface BigQueryAddress {
  /** What clients call the API end point. */
  readonly url: string;
  readonly project: string;
}

const PROJECT = 'nanosync-test';

/** Starts the BigQuery emulator, on a file. */
export async function startBigQuery(options: ServiceOptions): Promise<Service<BigQueryAddress>> {
  const { python, env } = await installEmulator(options.log);
  const port = options.port ?? (await servicePort());
  const url = `http://127.0.0.1:${port}`;
  const flags = {
    'rest-port': port,
    'grpc-port': await servicePort(),
    project: PROJECT,
    'log-level': 'warning',
    'data-dir': join(options.directory, 'data'),
  };
  return startService(
    {
      name: 'bigquery',
      address: { url, project: PROJECT },
      launch: {
        command: python,
        args: [
          '-m',
          'bqemulator',
          'start',
          '--persistent',
          ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]),
        ],
        env,
      },
      check: async (signal) => {
        const reply = await fetch(`${url}/bigquery/v2/projects/${PROJECT}/datasets`, { signal });
        if (!reply.ok) throw new Error(`listing datasets answered ${reply.status}`);
      },
    },
    options.directory,
  );
}
