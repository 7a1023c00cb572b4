/** How long a caller waits before it asks again after a failure, in milliseconds: longer each time. */
export const RETRY = { first: 20, factor: 1.6, most: 200 } as const;
