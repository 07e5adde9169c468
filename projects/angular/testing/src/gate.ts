/**
 * What a test makes wait.
 *
 * @module
 */

/** Open while nobody holds it. */
export interface Gate {
  /** Resolves once nobody holds the gate who did when it was called. */
  pass(): Promise<void>;
  isHeld(): boolean;
  /** Returns what lets go. */
  hold(): () => void;
}

export function createGate(): Gate {
  const holds = new Set<Promise<void>>();
  return {
    pass: async () => void (await Promise.all(holds)),
    isHeld: () => holds.size > 0,
    hold: () => {
      let open = (): void => undefined;
      const held = new Promise<void>((resolve) => (open = resolve));
      holds.add(held);
      return () => {
        holds.delete(held);
        open();
      };
    },
  };
}
