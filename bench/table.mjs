/** The measurements as one table, in Markdown that is also readable in a terminal. */
import { median } from './lib/stats.mjs';
import { MODES } from './modes/index.mjs';

/**
 * @typedef {object} Cell one peer in one mode and round
 * @property {string} mode
 * @property {string} peer
 * @property {number} round
 * @property {import('./lib/rig.mjs').Measurement} [measurement]
 * @property {string} [error]
 */

/**
 * @typedef {object} Row one peer in one mode
 * @property {string} mode
 * @property {string} peer
 * @property {string} unit
 * @property {number} [cost] median of the rounds, as are the others
 * @property {number} [least]
 * @property {number} [most]
 * @property {number} [ratio] median of the rounds' ratios to the baseline's cost in the same round
 * @property {number} [p50]
 * @property {number} [p99]
 * @property {number} [rate]
 * @property {number} [rss] bytes
 * @property {string} [error] why there is no number
 */

/** The error of a row that nobody expects a number in. */
export const NOT_APPLICABLE = 'does not do this';

/**
 * @param {readonly Cell[]} cells @param {string} baseline
 * @returns {Row[]} in the order in which mode and peer first appear
 */
export function summarize(cells, baseline) {
  /** @type {Map<string, Cell[]>} */
  const groups = new Map();
  for (const cell of cells) {
    const key = `${cell.mode} ${cell.peer}`;
    groups.set(key, [...(groups.get(key) ?? []), cell]);
  }
  return [...groups.values()].map((group) => {
    const { mode, peer } = /** @type {Cell} */ (group[0]);
    const unit = MODES[mode]?.unit ?? '';
    const error = group.find((cell) => cell.error !== undefined)?.error;
    if (error !== undefined) return { mode, peer, unit, error };
    const measured = group.flatMap(({ measurement }) => (measurement === undefined ? [] : [measurement]));
    const costs = measured.map(({ cost }) => cost);
    const ratios = group.flatMap((cell) => {
      const other = groups.get(`${mode} ${baseline}`)?.find(({ round }) => round === cell.round);
      if (cell.measurement === undefined || other?.measurement === undefined) return [];
      return [cell.measurement.cost / other.measurement.cost];
    });
    const middle = (/** @type {'p50' | 'p99' | 'rate' | 'rss'} */ name) =>
      median(measured.map((one) => one[name]));
    return {
      mode,
      peer,
      unit,
      cost: median(costs),
      least: Math.min(...costs),
      most: Math.max(...costs),
      ...(ratios.length > 0 && { ratio: median(ratios) }),
      p50: middle('p50'),
      p99: middle('p99'),
      rate: middle('rate'),
      rss: middle('rss'),
    };
  });
}

/**
 * @param {readonly Row[]} rows @param {string} baseline
 * @returns {string}
 */
export function renderTable(rows, baseline) {
  const header = [
    'mode',
    'peer',
    'cost',
    'least – most',
    `× ${baseline}`,
    'p50 ms',
    'p99 ms',
    'per s',
    'RSS MB',
  ];
  const lines = rows.map((row, index) => {
    const begins = rows[index - 1]?.mode !== row.mode;
    const label = begins ? `${row.mode}, ${row.unit}` : '';
    if (row.error !== undefined) return [label, row.peer, row.error === NOT_APPLICABLE ? '–' : 'error'];
    return [
      label,
      row.peer,
      figure(row.cost),
      `${figure(row.least)} – ${figure(row.most)}`,
      row.ratio === undefined ? '' : row.ratio.toFixed(2),
      figure(row.p50),
      figure(row.p99),
      figure(row.rate),
      figure((row.rss ?? 0) / 1e6),
    ];
  });
  const widths = header.map((_, column) =>
    Math.max(...[header, ...lines].map((line) => line[column]?.length ?? 0)),
  );
  const render = (/** @type {readonly string[]} */ line) => {
    const cells = widths.map((width, column) => {
      const text = line[column] ?? '';
      return column < 2 ? text.padEnd(width) : text.padStart(width);
    });
    return `| ${cells.join(' | ')} |`;
  };
  const rule = widths.map((width, column) => (column < 2 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  const notes = rows.flatMap(({ mode, peer, error }) =>
    error === undefined || error === NOT_APPLICABLE ? [] : [`${mode} ${peer}: ${error}`],
  );
  const table = [render(header), `| ${rule.join(' | ')} |`, ...lines.map(render)];
  return [...table, ...(notes.length > 0 ? [''] : []), ...notes].join('\n');
}

/** Three significant digits. @param {number | undefined} value */
function figure(value) {
  if (value === undefined || !Number.isFinite(value)) return '–';
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
