import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** How much heap there was when so many turns were done. */
export interface HeapSample {
  readonly turns: number;
  readonly bytes: number;
}

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

/** The heap that is in use, without what is garbage. */
export function liveHeap(): number {
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}

/** How many bytes a turn adds in the second half of the samples: the slope of the straight line that fits them best. */
export function bytesPerTurn(samples: readonly HeapSample[]): number {
  const half = samples.slice(Math.floor(samples.length / 2));
  const turns = mean(half.map((sample) => sample.turns));
  const bytes = mean(half.map((sample) => sample.bytes));
  let [across, along] = [0, 0];
  for (const sample of half) {
    across += (sample.turns - turns) * (sample.bytes - bytes);
    along += (sample.turns - turns) ** 2;
  }
  return across / along;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
