import { setImmediate as nextRound } from "node:timers/promises";
import { systemClock } from "../../src/clock.ts";
import { serveRequests } from "../../src/cluster/http/http-server.ts";
import { BOOT, messagesFrame, SECRET } from "./http-scene.ts";

/*
 * A server for nodes in a process of its own, whose memory a test measures. Its parent gives its limits as arguments,
 * and asks for its memory; it ends with its parent.
 */

/** What the host has in memory, and what it has done. */
export interface PeerMemory {
  readonly heapBytes: number;
  /** Buffers outside of the heap. */
  readonly externalBytes: number;
  readonly residentBytes: number;
  /** Streams that were begun, and those that have ended. */
  readonly begun: number;
  readonly ended: number;
  readonly calls: number;
}

const PIECE = "x".repeat(65_536);

const count = { begun: 0, ended: 0, calls: 0 };

const server = await serveRequests(
  {
    async *turn(_, signal) {
      count.begun += 1;
      try {
        for (let number = 0; !signal.aborted; number++) {
          yield messagesFrame(number, PIECE);
          await nextRound();
        }
      } finally {
        count.ended += 1;
      }
    },
    async call() {
      count.calls += 1;
      return { type: "answer", value: null };
    },
    async *events() {},
  },
  {
    listen: { host: "127.0.0.1", port: 0 },
    secret: SECRET,
    clock: systemClock,
    boot: () => BOOT,
    release: "1.2.3",
    lingerMs: 0,
    ...(JSON.parse(process.argv[2] ?? "{}") as object),
  },
);

process.on("disconnect", () => process.exit());
process.on("message", () => {
  globalThis.gc?.();
  const { heapUsed: heapBytes, external: externalBytes, rss: residentBytes } = process.memoryUsage();
  process.send?.({ heapBytes, externalBytes, residentBytes, ...count } satisfies PeerMemory);
});
process.send?.(server.port);
