import { rmSync } from 'node:fs';

export default function () {
  rmSync(globalThis.__packed, { recursive: true, force: true });
}
