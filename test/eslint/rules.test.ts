/** The rules of `sallyport/eslint`, case by case, by the testers of ESLint and of oxlint. */
import { describe, it } from 'node:test';
import { type ESLint, RuleTester } from 'eslint';
import { RuleTester as OxlintTester } from 'oxlint/plugins-dev';
import { contextClosed } from '../../src/eslint/context-closed.js';
import plugin from '../../src/eslint/index.js';
import { invalidSignals, validSignals } from './abort-signal-cases.js';
import type { Case, InvalidCase } from './cases.js';
import * as closing from './closing-cases.js';
import * as keeping from './keeping-cases.js';
import * as naming from './naming-cases.js';
import { typescriptParser } from './typescript-parser.js';

RuleTester.describe = describe;
RuleTester.it = it;
OxlintTester.describe = (name, suite) => {
  void describe(name, suite);
};
OxlintTester.it = (name, run) => {
  void it(name, run);
};

/** That the types of the plugin are those that ESLint asks for. */
const { rules } = plugin satisfies ESLint.Plugin;

/** What both testers take: a line in a message is compared with the whole message. */
function toTest({ errors, ...test }: InvalidCase): Omit<InvalidCase, 'errors'> & {
  readonly errors: { messageId: string; data?: { method: string; line: string } }[];
} {
  const method = /\b(with[A-Z]\w+)\(/.exec(test.code)?.[1] ?? '';
  return {
    ...test,
    errors: errors.map(([messageId, line]) =>
      line === undefined ? { messageId } : { messageId, data: { method, line: String(line) } },
    ),
  };
}

type OxlintRule = Parameters<OxlintTester['run']>[1];

interface Suite {
  readonly valid: readonly Case[];
  readonly invalid: readonly InvalidCase[];
}

const suites: Readonly<Record<string, Suite>> = {
  'context-closed': {
    valid: [...closing.valid, ...keeping.valid, ...naming.valid],
    invalid: [...closing.invalid, ...keeping.invalid, ...naming.invalid],
  },
  'no-abort-signal-timeout': { valid: validSignals, invalid: invalidSignals },
};

const testsOf = ({ valid, invalid }: Suite) => ({ valid: [...valid], invalid: invalid.map(toTest) });

for (const [name, suite] of Object.entries(suites)) {
  const rule = rules[name];
  if (!rule) throw new Error(`there is no rule ${name}`);
  describe('by ESLint', () => {
    new RuleTester({ languageOptions: { ecmaVersion: 'latest', sourceType: 'module' } }).run(
      name,
      rule,
      testsOf(suite),
    );
  });
}

describe('by ESLint, with types', () => {
  new RuleTester({ languageOptions: { parser: typescriptParser } }).run(
    'context-closed',
    contextClosed,
    testsOf({ valid: naming.validTyped, invalid: naming.invalidTyped }),
  );
});

// oxlint's tester of plugins is for Node 22 and later: `npm run test:matrix` comes here.
if (Number.parseInt(process.versions.node, 10) >= 22) {
  describe('by oxlint, as TypeScript', () => {
    const tester = new OxlintTester({
      eslintCompat: true,
      languageOptions: { sourceType: 'module', parserOptions: { lang: 'ts' } },
    });
    for (const [name, suite] of Object.entries(suites)) {
      tester.run(name, plugin.rules[name] as unknown as OxlintRule, testsOf(suite));
    }
    tester.run(
      'context-closed',
      contextClosed as unknown as OxlintRule,
      testsOf({ valid: naming.validTyped, invalid: naming.invalidTyped }),
    );
  });
}
