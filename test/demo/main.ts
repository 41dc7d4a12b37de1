import { DemoFailure } from './demo-context.ts';
import { CLUSTERED_FLAGS, DEMO_FLAGS, type DemoOptions } from './demo-options.ts';
import { helpText, readFlags, UsageError } from './flags.ts';
import { runDemo } from './run-demo.ts';
import { Screen } from './screen.ts';

const USAGE =
  'npm run demo -- [flags]: copies a PostgreSQL shop into a warehouse while it is being written to, and proves that nothing got lost.';

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  let options: DemoOptions;
  try {
    options = readFlags(
      args.includes('--clustered') ? CLUSTERED_FLAGS : DEMO_FLAGS,
      args.map((arg) => (arg === '-h' ? '--help' : arg)),
    );
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(error.message);
    return 2;
  }
  if (options.help) {
    console.log(helpText(USAGE, DEMO_FLAGS));
    return 0;
  }
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => stop.abort(name));
  // A closed pipe (`npm run demo | head`) ends the demo like Ctrl-C.
  process.stdout.on('error', () => stop.abort('EPIPE'));
  const screen = new Screen(process.stdout);
  try {
    const result = await runDemo(options, screen, stop.signal);
    if (options.json) console.log(JSON.stringify(result));
    return result.ok ? 0 : 1;
  } catch (error) {
    screen.endBars();
    // Ctrl-C on a terminal also ends what was run synchronously, before we are told of it.
    await new Promise(setImmediate);
    if (stop.signal.aborted) {
      console.error('Stopped; nothing is left behind.');
      return 130;
    }
    const message = error instanceof DemoFailure ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error);
    console.error(`\n${message}`);
    if (options.json) console.log(JSON.stringify({ ok: false, error: message.split('\n')[0] }));
    return 1;
  }
}
