/** When the first line of a page ran, in milliseconds since the navigation began. Imported first. */
export const begunAt = performance.now();
