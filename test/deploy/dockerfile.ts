import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';

/** One instruction of a Dockerfile. */
export interface Instruction {
  readonly word: string;
  readonly rest: string;
}

/** The instructions of a Dockerfile, stage by stage; comments and line ends taken away. */
export function stagesOf(file: string): readonly (readonly Instruction[])[] {
  const lines = readFileSync(file, 'utf8').replace(/\\\n/g, ' ').split('\n');
  const instructions = lines
    .filter((line) => line.trim() !== '' && !line.startsWith('#'))
    .map((line) => {
      const [word = '', ...rest] = line.trim().split(/\s+/);
      return { word, rest: rest.join(' ') };
    });
  const starts = instructions.flatMap(({ word }, at) => (word === 'FROM' ? [at] : []));
  return starts.map((start, at) => instructions.slice(start, starts[at + 1]));
}

/** Where a build without an engine happens. */
export interface Build {
  /** What is sent to the engine: files that .dockerignore leaves. */
  readonly context: string;
  /** Each stage gets a folder of its name here, the last one `image`. */
  readonly folder: string;
}

/**
 * Does what an engine would do with COPY and RUN, without the base image: enough to learn that all that is copied is there and that what
 * is installed runs. RUN lines that name places outside of the working folder are left to the engine.
 */
export function buildHere(file: string, { context, folder }: Build): string {
  const stages = stagesOf(file);
  for (const [at, stage] of stages.entries()) {
    const name = / AS (\S+)$/i.exec(stage[0]?.rest ?? '')?.[1] ?? (at === stages.length - 1 ? 'image' : String(at));
    const root = join(folder, name);
    mkdirSync(root, { recursive: true });
    const workdir = stage.find(({ word }) => word === 'WORKDIR')?.rest ?? '/';
    for (const { word, rest } of stage) {
      if (word === 'COPY') copy(rest, { root, workdir, context, folder });
      if (word === 'RUN' && !rest.includes('/usr/')) run(rest, root);
    }
  }
  return join(folder, 'image');
}

/** `COPY a b into/`, `COPY a into`, and `COPY --from=stage /workdir ./`, which means all that is in it. */
function copy(rest: string, place: Build & { readonly root: string; readonly workdir: string }): void {
  const words = rest.split(' ');
  const from = /^--from=(.+)$/.exec(words[0] ?? '')?.[1];
  const [target = '', ...sources] = words.slice(from === undefined ? 0 : 1).reverse();
  for (const source of sources) {
    const path = from === undefined ? join(place.context, source) : join(place.folder, from, source.replace(place.workdir, '.'));
    const isFile = statSync(path).isFile();
    const into = join(place.root, target, isFile && target.endsWith('/') ? basename(source) : '');
    cpSync(path, into, { recursive: true, verbatimSymlinks: true });
  }
}

function run(command: string, cwd: string): void {
  const result = spawnSync('/bin/sh', ['-ec', command.replace(/ && npm cache clean --force/, '')], { cwd, encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`RUN ${command} ended with ${result.status}:\n${result.stderr}`);
}
