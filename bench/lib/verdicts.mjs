/** Beside what was promised, what was seen. */
import { renderColumns } from './columns.mjs';

/**
 * @typedef {object} Verdict
 * @property {string} what
 * @property {string} target
 * @property {number | undefined} seen
 * @property {'met' | 'NOT MET' | 'not measured' | 'not promised'} verdict
 */

/**
 * @param {readonly (import('../targets.mjs').Target & { least?: true })[]} targets
 * @param {(target: import('../targets.mjs').Target) => number | undefined} seenOf
 * @param {(mode: string) => string} unitOf
 * @param {string} node the version that the measured programs ran on, as `v24.1.0`
 * @returns {Verdict[]}
 */
export function judge(targets, seenOf, unitOf, node) {
  const major = Number(/\d+/.exec(node)?.[0]);
  return targets.map((target) => {
    const { mode, than, thanMode, most, least, node: only } = target;
    const seen = seenOf(target);
    const unit = than ?? thanMode;
    const bound = `${least ? '≥' : '≤'} ${most}${unit === undefined ? '' : ` × ${unit}`}`;
    const holds = seen !== undefined && (least ? seen >= most : seen <= most);
    return {
      what: unit === undefined && unitOf(mode) !== '' ? `${mode}, ${unitOf(mode)}` : mode,
      target: only === undefined ? bound : `${bound} (Node ${only})`,
      seen,
      verdict:
        seen === undefined
          ? 'not measured'
          : only !== undefined && only !== major
            ? 'not promised'
            : holds
              ? 'met'
              : 'NOT MET',
    };
  });
}

/** @param {readonly Verdict[]} verdicts @param {string} node */
export function renderVerdicts(verdicts, node) {
  const lines = verdicts.map(({ what, target, seen, verdict }) => [
    what,
    target,
    seen === undefined ? '' : seen.toPrecision(3),
    verdict,
  ]);
  return renderColumns(['what', 'target', `seen, Node ${node}`, ''], lines, 2);
}
