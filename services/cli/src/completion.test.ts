import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { TestCli } from './testing/fakes.ts';

const scripts: Record<string, string> = {};
beforeAll(async () => {
  using cli = new TestCli();
  for (const shell of ['bash', 'zsh', 'fish']) {
    expect(await cli.run('completion', shell)).toBe(0);
    scripts[shell] = cli.out.join('\n');
  }
});

/** What bash offers behind these words, the last of which is begun. */
function offered(...words: readonly string[]): readonly string[] {
  const line = ['nanosync', ...words].map((word) => `'${word}'`).join(' ');
  const script = `${scripts.bash}\nCOMP_WORDS=(${line}); COMP_CWORD=${words.length}; _nanosync; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', script], { encoding: 'utf8' });
  expect(stderr).toBe('');
  return stdout.split('\n').filter((word) => word !== '');
}

describe('completion', () => {
  it('offers commands, options and choices in bash', () => {
    expect(offered('')).toEqual(expect.arrayContaining(['start', 'apply', 'status', 'pipeline', 'completion', '--debug', '--help']));
    expect(offered('sta')).toEqual(['start', 'status']);
    expect(offered('pipeline', 're')).toEqual(['resume', 'resnapshot']);
    expect(offered('pipeline', 'pause', '--s')).toEqual(['--sink']);
    expect(offered('--debug', 'apply', '--')).toEqual(expect.arrayContaining(['--file', '--dry-run', '--yes', '--json', '--api']));
    expect(offered('start', '--log-format', '')).toEqual(['human', 'json']);
    expect(offered('service', 'p')).toEqual(['planner']);
    expect(offered('apply', '-f', 'package.js')).toEqual(['package.json']);
    expect(offered('status', 'shop', '--w')).toEqual(['--watch']);
    expect(offered('nonsense', 'st')).toEqual(['start', 'status']);
  });

  it('knows every command that docs/18-commands-and-edits.md tells, and no other', () => {
    const page = readFileSync(new URL('../../../docs/18-commands-and-edits.md', import.meta.url), 'utf8');
    const told = [...page.matchAll(/^\| `nanosync ([^`]+)` \|/gm)].map((match) => match[1]);
    const commands = (...words: readonly string[]) => offered(...words, '').filter((word) => !word.startsWith('-') && word !== 'pipeline');
    expect([...told].sort()).toEqual([...commands(), ...commands('pipeline').map((word) => `pipeline ${word}`)].sort());
  });

  it('knows the same commands in the other shells', () => {
    expect(scripts.zsh).toContain('" pipeline pause") compadd -- --json');
    expect(scripts.fish).toContain(
      "-n '__fish_seen_subcommand_from pipeline; and not __fish_seen_subcommand_from pause resume resnapshot run delete'",
    );
    expect(scripts.fish).toMatch(/-l log-format -x -a 'human json'/);
  });

  it('is for shells that there are', async () => {
    using cli = new TestCli();
    expect(await cli.run('completion', 'csh')).toBe(2);
    expect(cli.err.join()).toContain('bash, zsh, fish');
  });
});
