/** `npm run build`: dist/, if it is not up to date; all that the compiler says where it fails. */
import { prepare } from './lib/prepare.mjs';
import { script } from './lib/project.mjs';

await script(() => prepare({ showAll: true }));
