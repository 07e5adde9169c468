/** The rows as a Markdown table. */

const HEAD = ['group', 'what', 'measured', 'each', 'floor', 'floor each', 'reach', ''];

/** @param {readonly import('./measure.mjs').Row[]} rows */
export function tableOf(rows) {
  const cells = rows.map((row) => [
    row.group,
    row.name,
    measured(row),
    duration(row.subjectUs),
    row.floor,
    duration(row.floorUs),
    row.reach === undefined ? '' : `≤ ${figure(row, row.reach)}${row.reachOf ? ` (${row.reachOf})` : ''}`,
    verdict(row),
  ]);
  const widths = HEAD.map((head, column) => Math.max(head.length, ...cells.map((line) => line[column].length)));
  const line = (values) => `| ${values.map((value, column) => value.padEnd(widths[column])).join(' | ')} |`;
  return [line(HEAD), line(widths.map((width) => '-'.repeat(width))), ...cells.map(line)].join('\n');
}

/** Whether the figure was reached; empty where none is set. */
export function verdict({ value, reach }) {
  if (reach === undefined) return '';
  return value <= reach ? 'reached' : 'not reached';
}

function measured(row) {
  const spread = row.spread ? ` (${row.spread.map(rounded).join('–')})` : '';
  return `${figure(row, row.value)}${spread}`;
}

function figure({ unit }, value) {
  if (unit === '×' || unit === 'ms') return `${rounded(value)} ${unit}`;
  return unit === 'B' ? `${(value / 1024).toFixed(2)} KiB` : `${value.toLocaleString('en')} ${unit}`;
}

function duration(us) {
  if (us === undefined) return '';
  if (us < 1) return `${rounded(us * 1000)} ns`;
  return us < 1000 ? `${rounded(us)} µs` : `${rounded(us / 1000)} ms`;
}

function rounded(value) {
  const size = Math.abs(value); // a difference may be negative
  return value.toFixed(size < 10 ? 2 : size < 100 ? 1 : 0);
}
