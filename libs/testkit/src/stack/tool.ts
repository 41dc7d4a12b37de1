import { spawn } from 'node:child_process';

/** How to run a tool to its end. */
export interface ToolRun {
  readonly args: readonly string[];
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** What to do when the tool is not there. */
  readonly cure: string;
}

/** Runs a tool that comes with the system; resolves to what it printed, rejects with its last lines. */
export async function runTool(command: string, { args, cwd, env, cure }: ToolRun): Promise<string> {
  const child = spawn(command, args, {
    ...(cwd === undefined ? {} : { cwd }),
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-100_000);
    });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) =>
      reject(error.code === 'ENOENT' ? new Error(`The local stack needs ${command}, which is not installed: ${cure}`) : error),
    );
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`${[command, ...args].join(' ')} ended with ${code}:\n${lastLines(output)}`);
  return output;
}

/** The end of a log, for an error message. */
export function lastLines(text: string, count = 20): string {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}
