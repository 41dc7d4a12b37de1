import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { Package, SourceFile, Workspace } from './boundaries.ts';
import { ALLOWED_USES, breaches, MAX_LINES } from './boundaries.ts';
import { importsOf, usesOf } from './source-text.ts';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** This workspace, from the disk. */
function readWorkspace(): Workspace {
  const folders = ['libs', 'services'].flatMap((group) => readdirSync(join(ROOT, group)).map((name) => `${group}/${name}`));
  return {
    packages: [...folders, 'test'].map(readPackage),
    files: [...folders, 'test', 'tools'].flatMap((folder) => sourcesUnder(folder)),
  };
}

function readPackage(folder: string): Package {
  const { name, nx, dependencies, exports } = JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8')) as {
    readonly name: string;
    readonly nx: { readonly tags: readonly string[] };
    readonly dependencies?: Readonly<Record<string, string>>;
    readonly exports?: Readonly<Record<string, string>>;
  };
  const layer = nx.tags.find((tag) => tag.startsWith('layer:'))?.slice('layer:'.length) ?? '';
  const others = Object.keys(exports ?? {}).filter((entrance) => entrance !== '.');
  const entrances = others.map((entrance) => `${name}${entrance.slice(1)}`);
  return { folder, name, layer, dependencies: Object.keys(dependencies ?? {}), entrances };
}

function sourcesUnder(folder: string): readonly SourceFile[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : sourcesUnder(path);
    return entry.name.endsWith('.ts') ? [{ path, text: readFileSync(join(ROOT, path), 'utf8') }] : [];
  });
}

describe('this workspace', () => {
  const workspace = readWorkspace();

  it('keeps the dependency rules', () => {
    expect(workspace.files.length).toBeGreaterThan(50);
    expect(breaches(workspace)).toEqual([]);
  });

  it('gives every package a layer that the rules know', () => {
    for (const { folder, layer } of workspace.packages)
      expect([folder, layer]).toEqual([folder, expect.stringMatching(/^(core|adapter|service|dev)$/)]);
  });

  it('allows no file that is not there', () => {
    const paths = workspace.files.map((file) => file.path);
    for (const path of Object.keys(ALLOWED_USES)) expect(paths).toContain(path);
  });
});

const PACKAGES: readonly Package[] = [
  { folder: 'libs/core', name: '@nanosync/core', layer: 'core', dependencies: [] },
  { folder: 'libs/runtime', name: '@nanosync/runtime', layer: 'core', dependencies: ['@nanosync/core', 'pino'] },
  {
    folder: 'libs/bus',
    name: '@nanosync/bus',
    layer: 'adapter',
    dependencies: ['@nanosync/core', 'lmdb'],
    entrances: ['@nanosync/bus/kafka'],
  },
  { folder: 'libs/testkit', name: '@nanosync/testkit', layer: 'dev', dependencies: ['avsc'] },
  { folder: 'services/sink-writer', name: '@nanosync/sink-writer', layer: 'service', dependencies: ['@nanosync/core'] },
  { folder: 'services/planner', name: '@nanosync/planner', layer: 'service', dependencies: ['@nanosync/core'] },
  { folder: 'services/cli', name: '@nanosync/cli', layer: 'service', dependencies: ['@nanosync/core', 'commander'] },
  { folder: 'test', name: '@nanosync/test', layer: 'dev', dependencies: [] },
];

/** The breaches of one file in a workspace that has no other. */
function breachesOf(path: string, text: string): readonly string[] {
  return breaches({ packages: PACKAGES, files: [{ path, text }] });
}

describe('the rules', () => {
  it.each([
    ['libs/core/src/a.ts', "import { readFileSync } from 'node:fs';", 'core is pure'],
    ['libs/core/src/a.ts', "import type { X } from '@nanosync/runtime';", 'core is pure'],
    ['libs/core/src/a.ts', "export { z } from 'zod';", 'core is pure'],
    ['libs/core/src/a.ts', "import { x } from '../../bus/src/x.ts';", 'a package is entered by its name'],
    ['libs/runtime/src/a.ts', "import { x } from '@nanosync/bus';", 'runtime knows core only'],
    ['libs/bus/src/a.ts', "import { x } from '@nanosync/state';", 'libraries see core and runtime only'],
    ['libs/bus/src/a.ts', "import { x } from '@nanosync/testkit';", 'testkit is for tests only'],
    ['libs/bus/src/a.ts', "import { x } from './testing/fakes.ts';", 'that is for tests only'],
    ['libs/bus/src/a.ts', "import { x } from './rows-fixture.ts';", 'that is for tests only'],
    ['libs/bus/src/a.ts', "import {\n  x,\n  y,\n} from 'pg';", 'pg is not a dependency of @nanosync/bus'],
    ['libs/bus/src/a.test.ts', "import { x } from '@nanosync/state';", 'libraries see core and runtime only'],
    ['libs/testkit/src/a.ts', "import { x } from '@nanosync/bus';", 'libraries see core and runtime only'],
    ['services/planner/src/a.ts', "import { x } from '@nanosync/bus';", 'services see core and runtime only'],
    ['services/planner/src/a.ts', "import { x } from '@nanosync/sink-writer';", 'services see core and runtime only'],
    ['services/sink-writer/src/a.ts', "import { x } from '@nanosync/api';", 'services see core and runtime only'],
    ['libs/bus/src/a.ts', "import { x } from '@nanosync/api';", 'libraries see core and runtime only'],
    ['services/planner/src/a.ts', "const x = await import('lmdb');", 'lmdb is not a dependency of @nanosync/planner'],
    ['services/planner/src/a.ts', "import '@nanosync/core/src/cell.ts';", 'a package is entered by its index'],
    ['services/cli/src/start.ts', "import { x } from '@nanosync/bus';", 'services see core and runtime only'],
    ['services/cli/src/start.ts', "import { x } from '@nanosync/bus/kafka';", 'services see core and runtime only'],
    ['services/cli/src/composition/deep/a.ts', "import { x } from '@nanosync/bus';", 'services see core and runtime only'],
    ['services/cli/src/start.ts', "import { x } from './composition/engines.ts';", 'what puts things together is imported by nothing else'],
    ['services/cli/src/start.ts', "import { x } from './adapters.ts';", 'what puts things together is imported by nothing else'],
    ['test/demo/main.ts', "import { x } from '@nanosync/bus/src/x.ts';", 'a package is entered by its index'],
    ['test/demo/main.ts', "import { x } from '../../libs/bus/src/x.ts';", 'a package is entered by its name'],
    ['services/planner/src/a.ts', 'const now = Date.now();', 'uses Date.now'],
    ['services/planner/src/a.ts', 'const now = Date\n  .now();', 'uses Date.now'],
    ['libs/bus/src/a.ts', 'await new Promise((resolve) => setTimeout(resolve, 5));', 'uses setTimeout'],
    ['libs/bus/src/a.ts', 'const x = process.env.HOME ?? `${Math.random()}`;', 'uses Math.random'],
    ['services/cli/src/main.ts', 'const x = process.env.HOME;', 'uses process.env'],
    ['libs/core/src/a.ts', 'x;\n'.repeat(MAX_LINES + 1), `has ${MAX_LINES + 1} lines`],
  ])('forbid in %s: %s', (path, text, reason) => {
    expect(breachesOf(path, text).join('\n')).toContain(reason);
  });

  it.each([
    ['libs/core/src/a.ts', "import { x } from './b.ts';\nimport type { Y } from '../avro/y.ts';"],
    ['libs/core/src/a.test.ts', "import fc from 'fast-check';\nimport { expect } from 'vitest';"],
    ['libs/runtime/src/clock.ts', 'export const now = () => Date.now();'],
    ['libs/bus/src/a.ts', "import { open } from 'lmdb';\nimport { x } from '@nanosync/core';\nimport { join } from 'node:path';"],
    ['libs/bus/src/a.test.ts', "import { x } from '@nanosync/testkit';\nsetTimeout(() => {}, 1);"],
    ['libs/testkit/src/a.ts', "import { expect } from 'vitest';\nconst x = process.env.PATH;"],
    ['services/planner/src/a.ts', "import { x } from '@nanosync/api';"],
    ['services/cli/src/commands/a.ts', "import { x } from '@nanosync/api';"],
    ['services/cli/src/main.ts', "import { x } from '@nanosync/bus';\nimport { y } from '@nanosync/planner';"],
    ['services/cli/src/adapters.ts', "import { x } from './composition/engines.ts';"],
    ['services/cli/src/composition/engines.ts', "import { x } from '@nanosync/bus';\nimport { y } from './sinks.ts';"],
    ['test/demo/main.ts', "import { x } from '@nanosync/testkit';\nimport { y } from '@nanosync/cli';\nDate.now();"],
    [
      'services/planner/src/a.ts',
      "// not Date.now() and not from 'pg'\nconst text = 'Date.now()'; /* import 'pg'; */ ctx.clock.setTimeout();",
    ],
  ])('allow in %s: %s', (path, text) => {
    expect(breachesOf(path, text)).toEqual([]);
  });

  it('forbid a driver in two packages, types aside', () => {
    const [, runtime, bus] = PACKAGES as readonly [Package, Package, Package];
    const packages = [runtime, { ...bus, dependencies: ['pino', '@types/pg'] }, { ...bus, folder: 'libs/x', dependencies: ['@types/pg'] }];
    expect(breaches({ packages, files: [] })).toEqual([
      'pino is a dependency of libs/runtime and libs/bus: a driver belongs to one package',
    ]);
  });
});

describe('reading sources', () => {
  it('finds imports of every form, and none in comments', () => {
    const text = `import a from 'a';
import type { B } from "b";
import {
  c,
} from 'c';
import 'd';
export { e } from 'e';
export type { F } from 'f';
const g = await import('g'); // import 'no';
/* from 'no' */ const url = 'https://x'; import 'h';`;
    expect([...importsOf(text)].sort()).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']);
  });

  it('finds uses outside of texts only, but inside of template holes', () => {
    expect(usesOf("log('Date.now'); x.setTimeout(1); mySetTimeout(2);", ['Date.now', 'setTimeout'])).toEqual([]);
    expect(usesOf('`${Date.now()}`', ['Date.now'])).toEqual(['Date.now']);
  });
});
