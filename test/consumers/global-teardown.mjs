import { rmSync } from 'node:fs';

export default async function () {
  rmSync(globalThis.__packed, { recursive: true, force: true });
  await globalThis.__consumerServers?.close();
}
