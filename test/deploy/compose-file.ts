import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { installOnce, runTool } from '@nanosync/testkit';

/** The parser of Docker Compose itself, which needs no engine. */
const PARSER = 'github.com/compose-spec/compose-go/v2';
const VERSION = 'v2.9.1';
const CURE = 'install Go 1.21 or newer (https://go.dev/dl); it builds the parser of compose files once.';

/** A service of a compose file, as far as we look at it. */
export interface ComposeService {
  readonly image?: string;
  readonly profiles?: readonly string[];
  readonly command?: readonly string[];
  readonly container_name?: string;
  readonly restart?: string;
  readonly ports?: readonly unknown[];
  readonly environment?: Readonly<Record<string, string | number | null>>;
  readonly healthcheck?: { readonly test: readonly string[]; readonly disable?: boolean };
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly volumes?: readonly { readonly type: string; readonly source: string; readonly target: string }[];
}

/** A compose file with its anchors, variables and defaults filled in. */
export interface ComposeFile {
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

/** Reads a compose file as Docker Compose does, with the services of all profiles; rejects with what is wrong with it. */
export async function readComposeFile(file: string): Promise<ComposeFile> {
  return JSON.parse(await runTool(await installParser(), { args: ['-format', 'json', file], cure: CURE })) as ComposeFile;
}

async function installParser(): Promise<string> {
  const home = await installOnce(`compose-go-${VERSION}`, async (folder) => {
    // Sources of modules are made read-only, and could not be removed.
    const env = { GOBIN: folder, GOPATH: join(folder, 'path'), GOFLAGS: '-modcacherw' };
    await runTool('go', { args: ['install', `${PARSER}/cmd@${VERSION}`], env, cure: CURE });
    renameSync(join(folder, 'cmd'), join(folder, 'compose'));
  });
  return join(home, 'compose');
}
