import { Argument, Command, CommanderError, Option } from 'commander';
import { apply } from './commands/apply.ts';
import { ask } from './commands/ask.ts';
import type { CommonOptions } from './commands/common.ts';
import { health } from './commands/health.ts';
import { resnapshot } from './commands/resnapshot.ts';
import { SERVICE_NAMES, service } from './commands/service.ts';
import { start } from './commands/start.ts';
import { status } from './commands/status.ts';
import { tap } from './commands/tap.ts';
import { printSchema, validate } from './commands/validate.ts';
import type { CliContext } from './context.ts';
import { EXIT_OK, EXIT_REFUSED } from './context.ts';
import { exitStatusOf, reportError } from './report.ts';
import { TOPIC_WORDS } from './tap/selection.ts';

/** Runs one command line (without node and script) and returns its exit status. Never throws: errors become sentences. */
export async function runCli(context: CliContext, version: string, args: readonly string[]): Promise<number> {
  let exitStatus = EXIT_OK;
  const program = buildProgram(context, version, async (run) => {
    exitStatus = await run();
  });
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exitStatus;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_REFUSED;
    reportError(context, error, program.opts<CommonOptions>().debug === true);
    return exitStatusOf(error);
  }
}

type Runner = (command: () => Promise<number> | number) => Promise<void>;

function buildProgram(context: CliContext, version: string, run: Runner): Command {
  const program = new Command('nanosync')
    .description('Keeps a warehouse in step with an operational database: copies every row, then follows every change.')
    .version(version, '--version', 'print the version')
    .option('--debug', 'print stack traces and debug lines')
    .helpOption('-h, --help', 'print this help')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.out(text.trimEnd()),
      writeErr: (text) => context.err(text.trimEnd()),
      outputError: (text, write) => write(text.replace(/^error: /, '')),
    })
    .showSuggestionAfterError();
  const common = (command: Command) => shared(command, program);
  example(program, 'nanosync start -f pipelines.yaml');
  addFileCommands(context, program, common, run);
  addClusterCommands(context, program, common, run);
  addStateCommands(context, program, common, run);
  addTap(context, program, common, run);
  return program;
}

function addFileCommands(context: CliContext, program: Command, common: (command: Command) => CommonOptions, run: Runner): void {
  const check = withFile(program.command('validate').description('Check a pipelines file; changes nothing.'), true)
    .option('--connect', 'also check each source and sink')
    .action(() => run(() => validate(context, check.opts().file, common(check))));
  example(check, 'nanosync validate -f pipelines.yaml --connect');

  const starting = withFile(program.command('start').description('Run everything in this process until Ctrl-C.'), false)
    .addOption(dataDir())
    .addOption(serverFile())
    .addOption(logFormat())
    .addOption(healthOption())
    .action(() => run(() => start(context, starting.opts().file, common(starting))));
  example(starting, 'nanosync start -f pipelines.yaml --data-dir ./nanosync-data');

  const applying = withFile(program.command('apply').description('Store the pipelines of a file for the server.'), true)
    .addOption(dataDir())
    .addOption(serverFile())
    .action(() => run(() => apply(context, applying.opts().file, common(applying))));
  example(applying, 'nanosync apply -f pipelines.yaml');

  const schema = program
    .command('schema')
    .description('Print the JSON Schema of the pipelines file, for editors.')
    .option('--server', 'that of the server file')
    .action(() => run(() => printSchema(context, schema.opts<{ readonly server?: boolean }>().server ? 'server' : 'pipelines')));
  example(schema, 'nanosync schema > pipelines.schema.json');
}

function addStateCommands(context: CliContext, program: Command, common: (command: Command) => CommonOptions, run: Runner): void {
  const showing = program
    .command('status')
    .description('Show where the pipelines stand; exit status 1 while one needs attention.')
    .argument('[pipeline]', 'only this one')
    .option('--json', 'one JSON object on one line')
    .addOption(dataDir())
    .addOption(serverFile())
    .action((name: string | undefined) => run(() => status(context, name, common(showing))));
  example(showing, 'nanosync status --json');

  const pipeline = program.command('pipeline').description('Act on one pipeline.');
  example(pipeline, 'nanosync pipeline resnapshot orders-pipeline');
  const again = pipeline
    .command('resnapshot')
    .description('Copy the tables anew, beside the old ones until the new ones are complete.')
    .argument('<name>', 'the pipeline')
    .option('--table <table>', 'only this table of it')
    .addOption(dataDir())
    .addOption(serverFile())
    .action((name: string) => run(() => resnapshot(context, name, { ...common(again), ...again.opts<{ table?: string }>() })));
  example(again, 'nanosync pipeline resnapshot orders-pipeline --table public.orders');
  for (const kind of ['pause', 'resume'] as const) {
    const turning = pipeline
      .command(kind)
      .description(kind === 'pause' ? 'Read nothing any more; the source keeps its log until it is resumed.' : 'Go on where it was paused.')
      .argument('<name>', 'the pipeline')
      .option('--sink', 'only its sink: capture goes on, and the source may drop its log')
      .addOption(dataDir())
      .addOption(serverFile())
      .action((name: string) => {
        const { sink } = turning.opts<{ readonly sink?: boolean }>();
        return run(() => ask(context, name, { kind, part: sink ? 'sink' : 'pipeline' }, common(turning)));
      });
    example(turning, `nanosync pipeline ${kind} orders-pipeline`);
  }
}

function addTap(context: CliContext, program: Command, common: (command: Command) => CommonOptions, run: Runner): void {
  const several = (word: string, before: readonly string[] = []) => [...before, word];
  const tapping = program
    .command('tap')
    .description("Show a pipeline's messages as they are on the bus: row batches, changes, tasks, quarantine. Changes nothing.")
    .argument('<pipeline>', 'the pipeline')
    .option('--table <table>', 'only this table')
    .option('--key <key>', 'only this row: its key, or for a composite one the values in key order, a,b or as JSON')
    .option('--from <place>', 'beginning (default), now, 10m, a time, or a position')
    .option('--to <place>', 'the last time or position to show')
    .option('--follow', 'go on with what comes; begins at now unless --from says otherwise')
    .option('--topic <topics>', `only these: ${TOPIC_WORDS.join(', ')}`, several)
    .option('--limit <lines>', 'stop after so many lines, 0 for no end (default: 1000, no end with --follow)')
    .option('--json', 'one JSON object a line')
    .addOption(dataDir())
    .addOption(serverFile())
    .action((name: string) => run(() => tap(context, name, common(tapping))));
  example(tapping, 'nanosync tap orders-pipeline --table orders --key 42 --follow');
}

function addClusterCommands(context: CliContext, program: Command, common: (command: Command) => CommonOptions, run: Runner): void {
  const one = program
    .command('service')
    .description('Run one service of a cluster as a process of its own, until Ctrl-C.')
    .addArgument(new Argument('<service>', 'which one').choices(SERVICE_NAMES))
    .addOption(serverFile().makeOptionMandatory())
    .addOption(logFormat())
    .addOption(healthOption())
    .action((name: string) => run(() => service(context, name, common(one))));
  example(one, 'nanosync service snapshot-worker --config server.yaml');

  const well = program
    .command('health')
    .description('Say whether a serving process is well (exit status 1 when not), and whether the engines of a server file answer (2).')
    .addOption(serverFile())
    .addOption(healthOption())
    .action(() => run(() => health(context, common(well))));
  example(well, 'nanosync health --health-file /tmp/nanosync-health');
}

function withFile(command: Command, required: boolean): Command {
  return required
    ? command.requiredOption('-f, --file <file>', 'the pipelines file')
    : command.option('-f, --file <file>', 'the pipelines file; without it the stored pipelines go on');
}

function dataDir(): Option {
  return new Option('--data-dir <directory>', 'where bus and state are (default: ./nanosync-data)');
}

function serverFile(): Option {
  return new Option('--config <file>', 'the server file (YAML): where bus and state are');
}

function logFormat(): Option {
  return new Option('--log-format <format>', 'human on a terminal, else json').choices(['human', 'json']);
}

function healthOption(): Option {
  return new Option('--health-file <file>', 'what a serving process writes while it is well (default: $NANOSYNC_HEALTH_FILE)');
}

function example(command: Command, line: string): void {
  command.addHelpText('after', `\nExample:\n  $ ${line}`);
}

/** The command's own options together with the program's. */
function shared(command: Command, program: Command): CommonOptions {
  return { ...command.opts<CommonOptions>(), ...program.opts<CommonOptions>() };
}
