import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { unknownTests } from './quoted-tests.ts';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const PAGES = [
  ...['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md'],
  ...['docs', 'docs/decisions'].flatMap((folder) =>
    readdirSync(join(ROOT, folder))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `${folder}/${name}`),
  ),
];

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** Paths of this workspace that stand in backticks, such as `libs/core/src/cell.ts`. A pattern with `*` names a kind, not a file. */
function pathsNamedIn(text: string): readonly string[] {
  const named = [...text.matchAll(/`((?:libs|services|test|tools|docs)\/[^`\s]+)`/g)].map((match) => match[1] as string);
  return named.filter((path) => !/[*<]/.test(path) && !/-x\b/.test(path));
}

/** Targets of Markdown links that lead into this workspace, without their anchors. */
function linksIn(text: string): readonly string[] {
  const targets = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] as string);
  return targets.filter((target) => !/^[a-z]+:|^#/.test(target)).map((target) => target.replace(/#.*$/, ''));
}

/** The members of a union of string literals in a source. */
function membersOf(path: string, type: string): readonly string[] {
  const union = new RegExp(`type ${type} =([^;]+);`).exec(read(path))?.[1] ?? '';
  return [...union.matchAll(/'([^']+)'/g)].map((match) => match[1] as string);
}

describe.each(PAGES)('%s', (page) => {
  it('names files that exist', () => {
    expect(pathsNamedIn(read(page)).filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });

  it('has links that lead somewhere', () => {
    expect(linksIn(read(page)).filter((target) => !existsSync(join(ROOT, dirname(page), target)))).toEqual([]);
  });
});

it('quotes tests that exist, in docs/invariants.md', () => {
  const quoted = [...read('docs/invariants.md').matchAll(/^- `([^`]+\.ts)`: (.+)$/gm)].map(([, path = '', name = '']) => ({ path, name }));
  expect(quoted.length).toBeGreaterThan(40);
  expect(unknownTests(read, quoted)).toEqual([]);
});

it('quotes tests that exist, in docs/18-commands-and-edits.md', () => {
  const rows = read('docs/18-commands-and-edits.md').matchAll(/^\| .* \| `([^`]+\.ts)`: (.+) \|$/gm);
  const quoted = [...rows].map(([, path = '', name = '']) => ({ path, name }));
  expect(quoted.length).toBeGreaterThan(20);
  expect(unknownTests(read, quoted)).toEqual([]);
});

it('explains every kind of error, in docs/errors.md', () => {
  const kinds = membersOf('libs/core/src/errors.ts', 'ErrorKind');
  expect(kinds).toContain('defect');
  for (const kind of kinds) expect(read('docs/errors.md')).toMatch(new RegExp(`^## ${kind}$`, 'm'));
});

it('shows every command, in docs/cli.md', () => {
  const declared = [...read('services/cli/src/cli.ts').matchAll(/(\w+)\s*\.command\('([a-z-]+)'\)/g)];
  const commands = declared.map(([, parent, name]) => (parent === 'program' ? `nanosync ${name}` : `nanosync ${parent} ${name}`));
  expect(commands).toContain('nanosync pipeline resnapshot');
  const headings = read('docs/cli.md')
    .split('\n')
    .filter((line) => line.startsWith('## '));
  for (const command of commands) expect(headings.join('\n')).toContain(`\`${command}`);
});

it('routes to every page, in docs/README.md', () => {
  const routes = linksIn(read('docs/README.md'));
  const pages = PAGES.filter((page) => /^docs\/[^/]+$/.test(page) && page !== 'docs/README.md').map((page) => page.slice('docs/'.length));
  expect(pages.filter((page) => !routes.includes(page))).toEqual([]);
});
