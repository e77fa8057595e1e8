/** The measurements as one table. */
import { figure, renderColumns } from './lib/columns.mjs';
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
 * @property {Readonly<Record<string, number>>} [ratios] by peer: median of the rounds' ratios to its cost in the same
 *   round
 * @property {number[]} [series] medians of the RSS after each burst, in bytes
 * @property {import('./lib/probe.mjs').Counts} [counts] of the last round
 * @property {number} [p50]
 * @property {number} [p99]
 * @property {number} [rate]
 * @property {number} [rss] bytes
 * @property {string} [error] why there is no number
 */

/** The error of a row that nobody expects a number in. */
export const NOT_APPLICABLE = 'does not do this';

/**
 * @param {readonly Cell[]} cells
 * @returns {Row[]} in the order in which mode and peer first appear
 */
export function summarize(cells) {
  /** @type {Map<string, Cell[]>} */
  const groups = new Map();
  for (const cell of cells) {
    const key = `${cell.mode} ${cell.peer}`;
    groups.set(key, [...(groups.get(key) ?? []), cell]);
  }
  const peers = [...new Set(cells.map(({ peer }) => peer))];
  return [...groups.values()].map((group) => {
    const { mode, peer } = /** @type {Cell} */ (group[0]);
    const unit = MODES[mode]?.unit ?? '';
    const error = group.find((cell) => cell.error !== undefined)?.error;
    if (error !== undefined) return { mode, peer, unit, error };
    const measured = group.flatMap(({ measurement }) => (measurement === undefined ? [] : [measurement]));
    const costs = measured.map(({ cost }) => cost);
    const ratios = peers.flatMap((other) => {
      const ratio = medianRatio(cells, { mode, peer }, { mode, peer: other });
      return ratio === undefined ? [] : [[other, ratio]];
    });
    const middle = (/** @type {'p50' | 'p99' | 'rate' | 'rss'} */ name) =>
      median(measured.map((one) => one[name]));
    const series = measured[0]?.series?.map((_, burst) =>
      median(measured.flatMap((one) => one.series?.[burst] ?? [])),
    );
    const counts = measured.at(-1)?.counts;
    return {
      mode,
      peer,
      unit,
      cost: median(costs),
      least: Math.min(...costs),
      most: Math.max(...costs),
      ratios: Object.fromEntries(ratios),
      p50: middle('p50'),
      p99: middle('p99'),
      rate: middle('rate'),
      rss: middle('rss'),
      ...(series !== undefined && { series }),
      ...(counts !== undefined && { counts }),
    };
  });
}

/**
 * @param {readonly Cell[]} cells @param {{ mode: string, peer: string }} one @param {{ mode: string, peer: string }} other
 * @returns {number | undefined} undefined where there is no round with both, or one of them has failed
 */
export function medianRatio(cells, one, other) {
  const of = (/** @type {{ mode: string, peer: string }} */ { mode, peer }) =>
    cells.filter((cell) => cell.mode === mode && cell.peer === peer);
  const [above, below] = [of(one), of(other)];
  if ([...above, ...below].some(({ error }) => error !== undefined)) return undefined;
  const ratios = above.flatMap(({ round, measurement }) => {
    const divisor = below.find((cell) => cell.round === round)?.measurement;
    return measurement === undefined || divisor === undefined ? [] : [measurement.cost / divisor.cost];
  });
  return ratios.length === 0 ? undefined : median(ratios);
}

/**
 * What each promise is held against.
 * @param {readonly Cell[]} cells @param {readonly Row[]} rows
 * @returns {(target: import('./targets.mjs').Target) => number | undefined}
 */
export function seenIn(cells, rows) {
  const peer = 'sallyport';
  return ({ mode, than, thanMode }) => {
    if (than !== undefined) return medianRatio(cells, { mode, peer }, { mode, peer: than });
    if (thanMode !== undefined) return medianRatio(cells, { mode, peer }, { mode: thanMode, peer });
    return rows.find((row) => row.mode === mode && row.peer === peer)?.cost;
  };
}

/**
 * @param {readonly Cell[]} cells @param {readonly Row[]} rows @param {readonly string[]} baselines
 * @returns {string}
 */
export function renderTable(cells, rows, baselines) {
  const header = [
    'mode',
    'peer',
    'cost',
    'least – most',
    ...baselines.map((peer) => `× ${peer}`),
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
      ...baselines.map((peer) => row.ratios?.[peer]?.toFixed(2) ?? ''),
      figure(row.p50),
      figure(row.p99),
      figure(row.rate),
      figure((row.rss ?? 0) / 1e6),
    ];
  });
  const notes = rows.flatMap((row) => note(cells, row) ?? []);
  return [renderColumns(header, lines, 2), ...(notes.length > 0 ? [''] : []), ...notes].join('\n');
}

/** What does not go into a column. @param {readonly Cell[]} cells @param {Row} row */
function note(cells, { mode, peer, error, series, counts }) {
  if (error !== undefined) return error === NOT_APPLICABLE ? undefined : `${mode} ${peer}: ${error}`;
  if (series !== undefined) {
    const after = series.map((bytes) => (bytes / 1e6).toFixed(0)).join(' ');
    return `${mode} ${peer}: RSS MB after each: ${after}`;
  }
  if (mode === 'resumed') {
    const ratio = medianRatio(cells, { mode, peer }, { mode: 'fresh', peer });
    return ratio === undefined
      ? undefined
      : `${mode} ${peer}: ${ratio.toFixed(2)} × a full handshake (fresh)`;
  }
  if (MODES[mode]?.per === 'count' && counts !== undefined) {
    const { count: _, ...details } = counts;
    return `${mode} ${peer}: ${Object.entries(details)
      .map(([name, value]) => `${name} ${value}`)
      .join(', ')}`;
  }
  return undefined;
}
