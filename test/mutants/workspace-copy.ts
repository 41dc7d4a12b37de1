import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';

/** A copy of this workspace in a folder of its own, where a mutant harms nobody. */
export interface WorkspaceCopy extends Disposable {
  readonly root: string;
  read(path: string): string;
  /** Puts another text into a file; disposing what comes back puts the old one there again. */
  write(path: string, text: string): Disposable;
}

/** Scopes and packages whose sources are this workspace's: their links must lead into the copy. */
const OURS = '@nanosync';

/** Copies what git knows or would take, as it is on the disk now. Modules are links to those of the original. */
export function copyWorkspace(original: string): WorkspaceCopy {
  const root = mkdtempSync(join(tmpdir(), 'nanosync-mutants-'));
  try {
    for (const path of filesOf(original)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      cpSync(join(original, path), join(root, path));
    }
    for (const folder of ['.', ...workspacesOf(original)]) linkModules(original, root, folder);
  } catch (error) {
    rmSync(root, { recursive: true, force: true });
    throw error;
  }
  const read = (path: string) => readFileSync(join(root, path), 'utf8');
  return {
    root,
    read,
    write(path, text) {
      const before = read(path);
      writeFileSync(join(root, path), text);
      return { [Symbol.dispose]: () => writeFileSync(join(root, path), before) };
    },
    [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }),
  };
}

function filesOf(original: string): readonly string[] {
  const git = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: original, encoding: 'utf8' });
  return git.split('\0').filter((path) => path !== '' && existsSync(join(original, path)));
}

function workspacesOf(original: string): readonly string[] {
  const { workspaces } = JSON.parse(readFileSync(join(original, 'package.json'), 'utf8')) as { readonly workspaces: readonly string[] };
  return workspaces.flatMap((pattern) => {
    if (!pattern.endsWith('/*')) return [pattern];
    const group = pattern.slice(0, -2);
    return readdirSync(join(original, group)).map((name) => `${group}/${name}`);
  });
}

/** One link an entry: tools leave caches in the folder itself, which is the copy's own. */
function linkModules(original: string, root: string, folder: string): void {
  const from = join(original, folder, 'node_modules');
  if (!existsSync(from)) return;
  const to = join(root, folder, 'node_modules');
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from)) {
    if (name === OURS) linkOurs(original, root, join(from, name), join(to, name));
    else if (name === '.bin' || !name.startsWith('.')) symlinkSync(join(from, name), join(to, name));
  }
}

function linkOurs(original: string, root: string, from: string, to: string): void {
  mkdirSync(to);
  for (const name of readdirSync(from))
    symlinkSync(join(root, relative(realpathSync(original), realpathSync(join(from, name)))), join(to, name));
}
