import fc from 'fast-check';
import { backoffMs, defaultGraceMs, isFresh, renewalLeadMs, validityAt } from '../../src/credential/expiry';
import { START_MS } from '../support/unit-platform';

const life = (ms: number | null) => ({ issuedAt: START_MS, expiresAt: ms === null ? null : START_MS + ms });

describe('the grace before expiry', () => {
  it.each([
    [3_600_000, 30_000],
    [120_000, 30_000],
    [60_000, 15_000],
    [4, 1],
    [0, 0],
    [-5_000, 0],
    [null, 0],
  ])('E43 a lifetime of %p ms has a grace of %p ms', (lifetime, grace) => {
    expect(defaultGraceMs(life(lifetime))).toBe(grace);
  });
});

describe('isFresh', () => {
  it('E40 a token that ends this very millisecond is not fresh', () => {
    expect(isFresh(life(1_000), START_MS + 999, 0)).toBe(true);
    expect(isFresh(life(1_000), START_MS + 1_000, 0)).toBe(false);
  });

  it('E64 zero means zero: a minimum of 0 asks for no reserve', () => {
    expect(isFresh(life(1_000), START_MS + 999, 0)).toBe(true);
    expect(isFresh(life(1_000), START_MS + 999, 1)).toBe(false);
  });

  it('E26 an unknown lifetime is fresh for any demand', () => {
    expect(isFresh(life(null), START_MS + 10 ** 12, 10 ** 12)).toBe(true);
  });
});

describe('validityAt', () => {
  it.each([
    [0, 'valid'],
    [569_999, 'valid'],
    [570_000, 'expiring'],
    [599_999, 'expiring'],
    [600_000, 'expired'],
    [10 ** 12, 'expired'],
  ])('TM-3 after %d ms a token of ten minutes is %s', (ms, validity) => {
    expect(validityAt(life(600_000), START_MS + ms)).toBe(validity);
  });

  it('a token that has expired at birth is expired', () => {
    expect(validityAt(life(0), START_MS)).toBe('expired');
  });

  it('E26 a token of unknown lifetime is valid however late it is', () => {
    expect(validityAt(life(null), START_MS + 10 ** 12)).toBe('valid');
  });
});

describe('renewal ahead of expiry', () => {
  it.each([
    [24 * 3_600_000, 60_000, 54_000],
    [3_600_000, 60_000, 54_000],
    [240_000, 60_000, 54_000],
    [60_000, 15_000, 13_500],
    [4_000, 1_000, 900],
    [0, 0, 0],
    [-5_000, 0, 0],
    [null, 0, 0],
  ])('E43 begins, of a life of %p ms, %p to %p ms before its end', (lifetime, most, least) => {
    expect(renewalLeadMs(life(lifetime), 0)).toBe(most);
    expect(renewalLeadMs(life(lifetime), 1)).toBeCloseTo(least, 6);
    expect(renewalLeadMs(life(lifetime), 0.5)).toBeCloseTo((most + least) / 2, 6);
  });

  it('E43 never takes more than a quarter of a life, nor more than a minute', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10 ** 12 }), fc.double({ min: 0, max: 1, noNaN: true }), (lifetime, fraction) => {
        const leadMs = renewalLeadMs(life(lifetime), fraction);
        expect(leadMs).toBeLessThanOrEqual(Math.min(60_000, lifetime / 4));
        expect(leadMs).toBeGreaterThanOrEqual(Math.min(60_000, lifetime / 4) * 0.9 - 1e-6);
      }),
    );
  });
});

describe('the wait after a failure', () => {
  it.each([
    [1, 500, 1_500],
    [2, 1_000, 3_000],
    [5, 8_000, 24_000],
    [9, 128_000, 384_000],
    [10, 150_000, 450_000],
    [1_000_000, 150_000, 450_000],
  ])('E11 after the %dth in a row is %d to %d ms', (attempts, least, most) => {
    expect(backoffMs(attempts, 0)).toBe(least);
    expect(backoffMs(attempts, 1)).toBe(most);
  });
});
