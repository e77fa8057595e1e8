/** What `sallyport run` was asked for. */
import type { commands } from './commands.js';
import type { OptionValues } from './options.js';

export type RunArguments = OptionValues<typeof commands.run.options>;
