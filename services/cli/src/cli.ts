import { openApiDocument, TOPIC_WORDS } from '@nanosync/api';
import { Argument, Command, CommanderError, Option } from 'commander';
import { apply } from './commands/apply.ts';
import type { CommonOptions } from './commands/common.ts';
import { doctor } from './commands/doctor.ts';
import { health } from './commands/health.ts';
import { logs } from './commands/logs.ts';
import { monitor } from './commands/monitor.ts';
import { pauseOrResume, remove, resnapshot, runNow } from './commands/pipeline.ts';
import { SERVICE_NAMES, service } from './commands/service.ts';
import { start } from './commands/start.ts';
import { status } from './commands/status.ts';
import { tap } from './commands/tap.ts';
import { printSchema, validate } from './commands/validate.ts';
import { verify } from './commands/verify.ts';
import type { Shell } from './completion.ts';
import { completionScript, SHELLS } from './completion.ts';
import type { CliContext } from './context.ts';
import { EXIT_OK, EXIT_REFUSED } from './context.ts';
import { dataDir, example, healthOption, logFormat, serverFile, shared, withFile, withServer } from './options.ts';
import { exitStatusOf, reportError } from './report.ts';

/** Runs one command line (without node and script) and returns its exit status. Never throws: errors become sentences. */
export async function runCli(context: CliContext, args: readonly string[]): Promise<number> {
  let exitStatus = EXIT_OK;
  const program = buildProgram(context, async (run) => {
    exitStatus = await run();
  });
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exitStatus;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_REFUSED;
    reportError(context, error, { debug: program.opts<CommonOptions>().debug === true, json: args.includes('--json') });
    return exitStatusOf(error);
  }
}

type Runner = (command: () => Promise<number> | number) => Promise<void>;

function buildProgram(context: CliContext, run: Runner): Command {
  const program = new Command('nanosync')
    .description('Keeps a warehouse in step with an operational database: copies every row, then follows every change.')
    .version(context.version, '--version', 'print the version')
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
  addStatus(context, program, common, run);
  addMonitor(context, program, common, run);
  addDoctor(context, program, common, run);
  addPipelineCommands(context, program, common, run);
  addTap(context, program, common, run);
  addLogs(context, program, common, run);
  addVerify(context, program, common, run);
  addDescriptions(context, program, run);
  return program;
}

function addFileCommands(context: CliContext, program: Command, common: (command: Command) => CommonOptions, run: Runner): void {
  const check = withFile(program.command('validate').description('Check a pipelines file; changes nothing.'), true)
    .option('--connect', 'also check each source and sink')
    .option('--json', 'one JSON object on one line')
    .action(() => run(() => validate(context, check.opts().file, common(check))));
  example(check, 'nanosync validate -f pipelines.yaml --connect');

  const starting = withFile(program.command('start').description('Run everything in this process until Ctrl-C.'), false)
    .addOption(dataDir())
    .addOption(serverFile())
    .addOption(logFormat())
    .addOption(healthOption())
    .action(() => run(() => start(context, starting.opts().file, common(starting))));
  example(starting, 'nanosync start -f pipelines.yaml --data-dir ./nanosync-data');

  const applying = withServer(withFile(program.command('apply').description("Have the server run a file's pipelines."), true))
    .option('--dry-run', 'print what would be done and do nothing')
    .option('--yes', 'do it also where rows that users see go')
    .option('--json', 'the plan as one JSON object')
    .action(() => run(() => apply(context, applying.opts().file, common(applying))));
  example(applying, 'nanosync apply -f pipelines.yaml --dry-run');

  const schema = program
    .command('schema')
    .description('Print the JSON Schema of the pipelines file, for editors.')
    .option('--server', 'that of the server file')
    .action(() => run(() => printSchema(context, schema.opts<{ readonly server?: boolean }>().server ? 'server' : 'pipelines')));
  example(schema, 'nanosync schema > pipelines.schema.json');
}

function addStatus(context: CliContext, program: Command, common: (command: Command) => CommonOptions, run: Runner): void {
  const showing = withServer(program.command('status'))
    .description('Show where the pipelines stand; exit status 1 while one needs attention.')
    .argument('[pipeline]', 'only this one')
    .option('--watch', 'again every second, until Ctrl-C')
    .option('--json', 'one JSON object on one line')
    .action((name: string | undefined) => run(() => status(context, name, common(showing))));
  example(showing, 'nanosync status --json');
}

function addMonitor(context: CliContext, program: Command, common: (command: Command) => CommonOptions, run: Runner): void {
  const watching = withServer(program.command('monitor'))
    .description('Show all pipelines live, on the whole terminal, until q.')
    .argument('[pipeline]', "begin with this one's page")
    .option('--interval <seconds>', 'look again so often (default: 1)')
    .action((name: string | undefined) => run(() => monitor(context, name, common(watching))));
  example(watching, 'nanosync monitor orders-pipeline');
}

function addDoctor(context: CliContext, program: Command, common: (command: Command) => CommonOptions, run: Runner): void {
  const looking = withServer(program.command('doctor'))
    .description('Look at every prerequisite of bus, state store, sources and sinks, and say what cures what is not as needed.')
    .argument('[pipeline]', 'only this one')
    .option('-f, --file <file>', 'a pipelines file to be looked at too, as if it were applied')
    .option('--json', 'one JSON object on one line')
    .action((name: string | undefined) => run(() => doctor(context, name, common(looking))));
  example(looking, 'nanosync doctor -f pipelines.yaml');
}

function addPipelineCommands(context: CliContext, program: Command, common: (command: Command) => CommonOptions, run: Runner): void {
  const pipeline = program.command('pipeline').description('Act on one pipeline.');
  example(pipeline, 'nanosync pipeline resnapshot orders-pipeline');
  const one = (command: Command, description: string) =>
    withServer(command.description(description).argument('<name>', 'the pipeline').option('--json', 'one JSON object on one line'));
  const part = 'only its sink: capture goes on, and the source may drop its log';
  const pausing = one(pipeline.command('pause'), 'Read nothing any more; the source keeps its log until it is resumed.')
    .option('--sink', part)
    .action((name: string) => run(() => pauseOrResume(context, 'pause', name, common(pausing))));
  example(pausing, 'nanosync pipeline pause orders-pipeline --sink');
  const resuming = one(pipeline.command('resume'), 'Go on where it was paused.')
    .option('--sink', part)
    .action((name: string) => run(() => pauseOrResume(context, 'resume', name, common(resuming))));
  example(resuming, 'nanosync pipeline resume orders-pipeline');
  const again = one(pipeline.command('resnapshot'), 'Copy tables anew, beside the old ones until the new ones are complete.')
    .option('--table <table>', 'only this one')
    .action((name: string) => run(() => resnapshot(context, name, common(again))));
  example(again, 'nanosync pipeline resnapshot orders-pipeline --table public.orders');
  const running = one(pipeline.command('run'), 'Run the query of a query pipeline now, before its time.').action((name: string) =>
    run(() => runNow(context, name, common(running))),
  );
  example(running, 'nanosync pipeline run daily-revenue');
  const removing = one(pipeline.command('delete'), 'Remove the pipeline: its slot, publication, topics and state.')
    .option('--drop-tables', 'its tables at the sink go too')
    .option('--force', 'leave a source or sink that does not answer as it is')
    .option('--yes', 'needed: it cannot be taken back')
    .action((name: string) => run(() => remove(context, name, common(removing))));
  example(removing, 'nanosync pipeline delete orders-pipeline --yes');
}

function addTap(context: CliContext, program: Command, common: (command: Command) => CommonOptions, run: Runner): void {
  const several = (word: string, before: readonly string[] = []) => [...before, word];
  const tapping = withServer(program.command('tap'))
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
    .action((name: string) => run(() => tap(context, name, common(tapping))));
  example(tapping, 'nanosync tap orders-pipeline --table orders --key 42 --follow');
}

function addLogs(context: CliContext, program: Command, common: (command: Command) => CommonOptions, run: Runner): void {
  const reading = withServer(program.command('logs'))
    .description('Show the newest log lines of all services, wherever they run.')
    .option('--follow', 'go on with what comes')
    .option('--service <service>', 'only of this service')
    .option('--pipeline <pipeline>', 'only about this pipeline')
    .addOption(new Option('--level <level>', 'only of this level or above').choices(['info', 'warn', 'error']))
    .option('--limit <lines>', 'the newest so many, 0 for all that are kept (default: 100)')
    .option('--json', 'one JSON object a line')
    .action(() => run(() => logs(context, common(reading))));
  example(reading, 'nanosync logs --level warn --follow');
}

function addVerify(context: CliContext, program: Command, common: (command: Command) => CommonOptions, run: Runner): void {
  const comparing = withServer(program.command('verify'))
    .description('Compare source and sink by key and column: exit status 0 equal, 1 different, 2 it could not be told.')
    .argument('<pipeline>', 'the pipeline')
    .option('--table <table>', 'only this table')
    .option('--limit <keys>', 'list so many differing keys of each table (default: 100)')
    .option('--values', 'show the values that differ, too')
    .option('--as-is', 'compare both sides as they are, lag included: for a pipeline that is paused or has failed')
    .option('--rate <rows>', 'read at most so many rows a second of each side')
    .option('--json', 'one JSON object a line')
    .action((name: string) => run(() => verify(context, name, common(comparing))));
  example(comparing, 'nanosync verify orders-pipeline --table public.orders');
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
    .option('--json', 'one JSON object on one line')
    .action(() => run(() => health(context, common(well))));
  example(well, 'nanosync health --health-file /tmp/nanosync-health');
}

/** What describes this nanosync to other programs; asks no server. */
function addDescriptions(context: CliContext, program: Command, run: Runner): void {
  const completing = program
    .command('completion')
    .description('Print the script with which a shell completes these commands.')
    .addArgument(new Argument('<shell>', 'which one').choices(SHELLS))
    .action((shell: Shell) =>
      run(() => {
        context.out(completionScript(program, shell));
        return EXIT_OK;
      }),
    );
  example(completing, 'nanosync completion bash > /etc/bash_completion.d/nanosync');

  const openapi = program
    .command('openapi')
    .description('Print the OpenAPI document of the API that a server answers.')
    .action(() =>
      run(() => {
        context.out(JSON.stringify(openApiDocument(context.version), null, 2));
        return EXIT_OK;
      }),
    );
  example(openapi, 'nanosync openapi > openapi.json');
}
