import type { Command } from 'commander';
import { Option } from 'commander';
import type { CommonOptions } from './commands/common.ts';

/** The pipelines file. */
export function withFile(command: Command, required: boolean): Command {
  return required
    ? command.requiredOption('-f, --file <file>', 'the pipelines file')
    : command.option('-f, --file <file>', 'the pipelines file; without it the stored pipelines go on');
}

/** Options that lead to a server. */
export function withServer(command: Command): Command {
  return command
    .addOption(new Option('--data-dir <directory>', 'of the server that runs on it (default: ./nanosync-data)'))
    .addOption(new Option('--config <file>', 'the server file (YAML) that says where the server is'))
    .addOption(new Option('--api <url>', 'where the server answers (default: $NANOSYNC_API_URL); its token is $NANOSYNC_API_TOKEN'));
}

/** Where an embedded server keeps its data. */
export function dataDir(): Option {
  return new Option('--data-dir <directory>', 'where bus and state are (default: ./nanosync-data)');
}

/** The server file. */
export function serverFile(): Option {
  return new Option('--config <file>', 'the server file (YAML): where bus and state are');
}

/** How log lines look. */
export function logFormat(): Option {
  return new Option('--log-format <format>', 'human on a terminal, else json').choices(['human', 'json']);
}

/** The health file. */
export function healthOption(): Option {
  return new Option('--health-file <file>', 'what a serving process writes while it is well (default: $NANOSYNC_HEALTH_FILE)');
}

/** A line under the help. */
export function example(command: Command, line: string): void {
  command.addHelpText('after', `\nExample:\n  $ ${line}`);
}

/** The command's own options together with the program's. */
export function shared(command: Command, program: Command): CommonOptions {
  return { ...command.opts<CommonOptions>(), ...program.opts<CommonOptions>() };
}
