/** A table in Markdown that is also readable in a terminal. */

/**
 * @param {readonly string[]} header
 * @param {readonly (readonly string[])[]} lines
 * @param {number} left how many of the first columns are aligned to the left
 */
export function renderColumns(header, lines, left) {
  const widths = header.map((_, column) =>
    Math.max(2, ...[header, ...lines].map((line) => line[column]?.length ?? 0)),
  );
  const render = (/** @type {readonly string[]} */ line) => {
    const cells = widths.map((width, column) => {
      const text = line[column] ?? '';
      return column < left ? text.padEnd(width) : text.padStart(width);
    });
    return `| ${cells.join(' | ')} |`;
  };
  const rule = widths.map((width, column) =>
    column < left ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`,
  );
  return [render(header), `| ${rule.join(' | ')} |`, ...lines.map(render)].join('\n');
}

/** Three significant digits. @param {number | undefined} value */
export function figure(value) {
  if (value === undefined || !Number.isFinite(value)) return '–';
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
