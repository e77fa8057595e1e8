/** `sallyport/eslint`: rules for users of `sallyport/context`. A plugin for ESLint 9 and later, and for oxlint. */
import { contextClosed } from './context-closed.js';
import { noAbortSignalTimeout } from './no-abort-signal-timeout.js';
import type { Rule } from './rule.js';

interface Rules {
  readonly meta: { readonly name: string; readonly namespace: string };
  rules: Record<string, Rule>;
}

/** A flat config that switches the rules on. */
export interface PluginConfig {
  readonly name: string;
  plugins: Record<string, Rules>;
  rules: Record<string, 'error' | ['error', object]>;
}

export interface Plugin extends Rules {
  /** `recommended`; and `strict`, where passing a context to a function does not count as seeing to its end. */
  configs: Record<'recommended' | 'strict', PluginConfig>;
}

function makePlugin(): Plugin {
  const rules: Rules = {
    meta: { name: 'sallyport', namespace: 'sallyport' },
    rules: { 'context-closed': contextClosed, 'no-abort-signal-timeout': noAbortSignalTimeout },
  };
  const config = (name: string, contextClosedLevel: 'error' | ['error', object]): PluginConfig => ({
    name: `sallyport/${name}`,
    plugins: { sallyport: rules },
    rules: { 'sallyport/context-closed': contextClosedLevel, 'sallyport/no-abort-signal-timeout': 'error' },
  });
  const recommended = config('recommended', 'error');
  const strict = config('strict', ['error', { strict: true }]);
  return { ...rules, configs: { recommended, strict } };
}

const plugin: Plugin = makePlugin();

// oxlint-disable-next-line import/no-default-export -- it is by this that linters load a plugin
export default plugin;
