/**
 * `npm start -- ARGS`: sets up what is missing, then becomes the command `sallyport ARGS`.
 *
 * The command runs in this very process, so that signals, exit code and terminal are its own.
 */
import { pathToFileURL } from 'node:url';
import { prepare } from './lib/prepare.mjs';
import { at, script } from './lib/project.mjs';

await script(() => prepare());

if (process.exitCode === 0) {
  process.exitCode = undefined;
  const main = at('dist', 'cli', 'main.js');
  process.argv = [process.execPath, main, ...process.argv.slice(2)];
  await import(pathToFileURL(main).href);
}
