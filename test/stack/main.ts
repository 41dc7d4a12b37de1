import { installStack } from '@nanosync/testkit';
import { down } from './down.ts';
import { HELP, readStackCommand, type StackCommand, StackUsageError } from './options.ts';
import { say } from './say.ts';
import { status } from './status.ts';
import { up } from './up.ts';

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  let command: StackCommand;
  try {
    command = readStackCommand(args);
  } catch (error) {
    if (!(error instanceof StackUsageError)) throw error;
    console.error(error.message);
    return 2;
  }
  switch (command.verb) {
    case 'help':
      say(HELP);
      return 0;
    case 'up':
      return up(command);
    case 'status':
      return status(command);
    case 'down':
      return down(command);
    case 'install':
      return install();
  }
}

async function install(): Promise<number> {
  try {
    await installStack(say);
    return 0;
  } catch (error) {
    console.error((error as Error).message);
    return 1;
  }
}
