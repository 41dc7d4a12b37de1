import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { installOnce } from './cache.ts';
import { downloadArtifact, findJava } from './java.ts';
import { servicePort } from './port.ts';
import { type Service, type ServiceOptions, startService } from './service.ts';
import { runTool } from './tool.ts';

/** The version of Apicurio Registry that tests run on. */
export const REGISTRY_VERSION = '3.0.9';
const MEMORY = ['-Xmx256m', '-XX:+UseSerialGC'];

/** Where a schema registry is. */
export interface RegistryAddress {
  /** The root of the Confluent API. */
  readonly url: string;
}

/** Starts Apicurio Registry, which speaks the Confluent API; what is registered survives its kill -9. */
export async function startRegistry(options: ServiceOptions): Promise<Service<RegistryAddress>> {
  const [java, home] = await Promise.all([findJava(), installRegistry(options.log)]);
  const port = options.port ?? (await servicePort());
  const url = `http://127.0.0.1:${port}/apis/ccompat/v7`;
  // By default schemas are in memory, or half a second behind on disk.
  const database = `jdbc:h2:file:${join(options.directory, 'schemas')};WRITE_DELAY=0;DB_CLOSE_ON_EXIT=FALSE`;
  const settings = { 'quarkus.http.host': '127.0.0.1', 'quarkus.http.port': String(port), 'apicurio.datasource.url': database };
  const flags = Object.entries(settings).map(([name, value]) => `-D${name}=${value}`);
  return startService(
    {
      name: 'registry',
      address: { url },
      launch: { command: java, args: [...MEMORY, ...flags, '-jar', join(home, `apicurio-registry-app-${REGISTRY_VERSION}-runner.jar`)] },
      check: (signal) => listSubjects(url, signal),
    },
    options.directory,
  );
}

/** GET /subjects of the Confluent API. */
export async function listSubjects(url: string, signal: AbortSignal): Promise<void> {
  const reply = await fetch(`${url}/subjects`, { signal });
  if (!reply.ok || !Array.isArray(await reply.json())) throw new Error(`GET /subjects answered ${reply.status}`);
}

/** Downloads Apicurio Registry once. */
export function installRegistry(log?: (line: string) => void): Promise<string> {
  return installOnce(`apicurio-registry-${REGISTRY_VERSION}`, async (folder) => {
    log?.(`downloading Apicurio Registry ${REGISTRY_VERSION} (109 MB)`);
    const name = `apicurio-registry-app`;
    await downloadArtifact(`io.apicurio:${name}:${REGISTRY_VERSION}:tar.gz:all`, folder);
    const archive = join(folder, `${name}-${REGISTRY_VERSION}-all.tar.gz`);
    await runTool('tar', { args: ['-xzf', archive, '-C', folder], cure: 'install tar.' });
    rmSync(archive);
  });
}
