/** How often a generated test runs: the short count in `npm test`, the long one in `npm run test:long`. */
export function runs(short: number, long: number): number {
  return process.env['RXC_LONG'] ? long : short;
}
