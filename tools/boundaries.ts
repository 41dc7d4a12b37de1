import { dirname, join } from 'node:path/posix';
import { importsOf, usesOf } from './source-text.ts';

/** One package.json of the workspace. */
export interface Package {
  /** Folder from the workspace's root, such as `libs/core`. */
  readonly folder: string;
  readonly name: string;
  readonly layer: string;
  readonly dependencies: readonly string[];
  /** Entrances besides its index: what only some processes load. Its `exports` name them. */
  readonly entrances?: readonly string[];
}

/** One TypeScript file. */
export interface SourceFile {
  /** Path from the workspace's root. */
  readonly path: string;
  readonly text: string;
}

/** A workspace as the rules look at it. */
export interface Workspace {
  readonly packages: readonly Package[];
  readonly files: readonly SourceFile[];
}

/** Most lines a source file may have; tests may list as many cases as there are. */
export const MAX_LINES = 270;

const OURS = '@nanosync/';
const SHARED = ['@nanosync/core', '@nanosync/runtime'];
/** The commands and their contract: for the two services at its ends. */
const API = '@nanosync/api';
const API_USERS = ['services/planner', 'services/cli'];
/** The files that put adapters and services together: these two, and what lies right in the folder of the first's parts. */
const COMPOSITION_ROOT = /^services\/cli\/src\/(?:main|adapters|composition\/[^/]+)\.ts$/;
/** What only `runtime` may touch: time, chance and the environment. */
const RUNTIME_ONLY = ['Date.now', 'Math.random', 'setTimeout', 'setInterval', 'performance.now', 'process.env', 'new Date'];
/** A package of types may stand beside more than one driver's package, and zod only says what data looks like: these are no drivers. */
const NO_DRIVER = /^@types\/|^zod$/;
/** Files that may use what is otherwise `runtime`'s, each with its reason. */
export const ALLOWED_USES: Readonly<Record<string, readonly string[]>> = {};

/** Every breach of the dependency rules, a sentence each. */
export function breaches(workspace: Workspace): readonly string[] {
  return [...driverBreaches(workspace.packages), ...workspace.files.flatMap((file) => fileBreaches(file, workspace.packages))];
}

function driverBreaches(packages: readonly Package[]): readonly string[] {
  const holders = new Map<string, string[]>();
  for (const { folder, dependencies } of packages) {
    if (!/^(libs|services)\//.test(folder)) continue;
    for (const dependency of dependencies)
      if (!dependency.startsWith(OURS) && !NO_DRIVER.test(dependency))
        holders.set(dependency, [...(holders.get(dependency) ?? []), folder]);
  }
  const shared = [...holders].filter(([, folders]) => folders.length > 1);
  return shared.map(
    ([dependency, folders]) => `${dependency} is a dependency of ${folders.join(' and ')}: a driver belongs to one package`,
  );
}

function fileBreaches(file: SourceFile, packages: readonly Package[]): readonly string[] {
  const home = packages.find(({ folder }) => file.path.startsWith(`${folder}/`));
  const found = importsOf(file.text).flatMap((specifier) => importBreach(file.path, specifier, home, packages) ?? []);
  if (home === undefined || home.layer === 'dev') return found;
  if (isTest(file.path)) return found;
  const lines = file.text.trimEnd().split('\n').length;
  if (lines > MAX_LINES) found.push(`${file.path} has ${lines} lines: split it below ${MAX_LINES}`);
  if (home.folder === 'libs/runtime') return found;
  const allowed = ALLOWED_USES[file.path] ?? [];
  const used = usesOf(file.text, RUNTIME_ONLY).filter((name) => !allowed.includes(name));
  return [...found, ...used.map((name) => `${file.path} uses ${name}: only libs/runtime may, others are given Clock, Ids or settings`)];
}

function importBreach(path: string, specifier: string, home: Package | undefined, packages: readonly Package[]): string | undefined {
  const says = (why: string) => `${path} imports ${specifier}: ${why}`;
  if (specifier.startsWith('.')) {
    const target = join(dirname(path), specifier);
    if (home !== undefined && !target.startsWith(`${home.folder}/`)) return says('a package is entered by its name');
    if (COMPOSITION_ROOT.test(target) && !COMPOSITION_ROOT.test(path) && !isTest(path) && path !== 'services/cli/src/index.ts')
      return says('what puts things together is imported by nothing else');
    return isTest(target) && !isTest(path) && home?.layer !== 'dev' ? says('that is for tests only') : undefined;
  }
  if (specifier.startsWith(OURS)) {
    const name = packageOf(specifier);
    if (specifier !== name && !packages.some(({ entrances }) => entrances?.includes(specifier)))
      return says('a package is entered by its index, or another entrance that its exports name');
    return oursBreach(path, name, home, says);
  }
  if (home === undefined || home.layer === 'dev' || isTest(path)) return undefined;
  if (home.folder === 'libs/core') return says('core is pure and imports only itself');
  if (specifier.startsWith('node:')) return undefined;
  const dependency = packageOf(specifier);
  return home.dependencies.includes(dependency) ? undefined : says(`${dependency} is not a dependency of ${home.name}`);
}

function oursBreach(path: string, specifier: string, home: Package | undefined, says: (why: string) => string): string | undefined {
  if (home === undefined || (home.layer === 'dev' && !home.folder.startsWith('libs/'))) return undefined;
  if (specifier === '@nanosync/testkit') return isTest(path) || home.layer === 'dev' ? undefined : says('testkit is for tests only');
  if (home.folder === 'libs/core') return says('core is pure and imports only itself');
  if (home.folder === 'libs/runtime') return specifier === '@nanosync/core' ? undefined : says('runtime knows core only');
  if (SHARED.includes(specifier) || COMPOSITION_ROOT.test(path)) return undefined;
  if (isTest(path) && home.folder === 'services/cli') return undefined;
  if (specifier === API && API_USERS.includes(home.folder)) return undefined;
  return says(home.layer === 'service' ? 'services see core and runtime only' : 'libraries see core and runtime only');
}

/** Tests, and what only tests import: a folder `testing`, or a file `x-fixture.ts`, `x-child.ts` or `test-x.ts`. */
export function isTest(path: string): boolean {
  return /\.test\.ts$|\/testing\/|-(?:fixture|child)\.ts$|\/test-[^/]+\.ts$/.test(path);
}

function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}
