/** Back-off between retries, in milliseconds. */
export const RETRY = { first: 20, factor: 1.6, most: 200 } as const;
