#!/usr/bin/env node
/** The command. Runs at import, with the arguments in `process.argv`. */
import { type SallyportError, toSallyportError } from '../base/errors.js';
import { readCommandLine } from './command-line.js';
import { type CommandName, commands } from './commands.js';
import { commandHelp, generalHelp, groupHelp } from './help.js';
import { parseArguments } from './options.js';
import { complain, errorLine, exitCodeOf, print } from './output.js';
import { packageVersion } from './version.js';

// Whoever writes to these two hears of a failure by the callback of `write` or by a listener of its own;
// without one here, the EPIPE that ends `sallyport | head` would be an uncaught error.
process.stdout.on('error', hearElsewhere);
process.stderr.on('error', hearElsewhere);
// A mistake of ours must end the process, loudly: half a proxy that goes on is worse.
process.on('uncaughtException', (error) => {
  void end(1, internalReport(toSallyportError(error)));
});

void main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<void> {
  let command: CommandName | undefined;
  try {
    const request = readCommandLine(args);
    if (request.kind === 'version') {
      await print(`${packageVersion()}\n`);
    } else if (request.kind === 'help') {
      const help =
        request.about === 'command'
          ? commandHelp(request.command)
          : request.about === 'group'
            ? groupHelp(request.group)
            : generalHelp(packageVersion());
      await print(help);
    } else {
      command = request.command;
      await end(await perform(request.command, request.args));
      return;
    }
    await end(0);
  } catch (thrown) {
    const error = toSallyportError(thrown);
    if ('silent' in error) {
      // A worker whose primary says what is wrong.
      await end(statusOf(error));
    } else if (error.code === 'ERR_INTERNAL' && error !== thrown) {
      await end(1, internalReport(error));
    } else {
      await end(statusOf(error), errorLine(error, command));
    }
  }
}

/** Parses the options and runs the command. Each command's code is loaded when it is asked for. */
async function perform(name: CommandName, args: readonly string[]): Promise<number> {
  switch (name) {
    case 'run': {
      const { help, values } = parseArguments(commands.run.options, args);
      return help ? await printHelp(name) : await (await import('./run.js')).run(values);
    }
    case 'exec': {
      const { help, values, operands } = parseArguments(commands.exec.options, args, 'command');
      return help ? await printHelp(name) : await (await import('./exec.js')).exec(values, operands);
    }
    case 'ca show': {
      const { help, values } = parseArguments(commands['ca show'].options, args);
      return help ? await printHelp(name) : await (await import('./ca.js')).caShow(values);
    }
    case 'ca export': {
      const { help, values } = parseArguments(commands['ca export'].options, args);
      return help ? await printHelp(name) : await (await import('./ca.js')).caExport(values);
    }
    case 'ca import': {
      const { help, values } = parseArguments(commands['ca import'].options, args);
      return help ? await printHelp(name) : await (await import('./ca.js')).caImport(values);
    }
    case 'ca trust': {
      const { help, values } = parseArguments(commands['ca trust'].options, args);
      return help ? await printHelp(name) : await (await import('./ca.js')).caTrust(values);
    }
    case 'certs list': {
      const { help, values } = parseArguments(commands['certs list'].options, args);
      return help ? await printHelp(name) : await (await import('./certs.js')).certsList(values);
    }
    case 'certs show': {
      const { help, values, operands } = parseArguments(commands['certs show'].options, args, 'words');
      return help ? await printHelp(name) : await (await import('./certs.js')).certsShow(values, operands);
    }
    case 'certs purge': {
      const { help, values } = parseArguments(commands['certs purge'].options, args);
      return help ? await printHelp(name) : await (await import('./certs.js')).certsPurge(values);
    }
    case 'certs warm': {
      const { help, values, operands } = parseArguments(commands['certs warm'].options, args, 'words');
      return help ? await printHelp(name) : await (await import('./certs.js')).certsWarm(values, operands);
    }
    case 'certs stats': {
      const { help, values } = parseArguments(commands['certs stats'].options, args);
      return help ? await printHelp(name) : await (await import('./certs.js')).certsStats(values);
    }
    case 'doctor': {
      const { help, values } = parseArguments(commands.doctor.options, args);
      return help ? await printHelp(name) : await (await import('./doctor.js')).doctor(values);
    }
  }
}

async function printHelp(name: CommandName): Promise<number> {
  await print(commandHelp(name));
  return 0;
}

function statusOf(error: SallyportError): number {
  // `CannotExecute` has the status that shells give; its class is loaded with `exec` only.
  return 'status' in error && typeof error.status === 'number' ? error.status : exitCodeOf(error);
}

function internalReport(error: SallyportError): string {
  const { cause } = error;
  const stack = cause instanceof Error ? cause.stack : error.stack;
  return `${errorLine(error, undefined)}\n${stack ?? ''}`;
}

/**
 * Ends the process when `message` has been written. By itself it would stay alive for as long as a reader of
 * stdout keeps lines waiting.
 */
async function end(status: number, message?: string): Promise<void> {
  if (message !== undefined) await complain(message);
  process.exit(status);
}

function hearElsewhere(): void {
  // See above.
}
