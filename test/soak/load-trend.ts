import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** The heap after a number of turns. */
export interface HeapSample {
  readonly turns: number;
  readonly bytes: number;
}

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

/** Returns the heap in use, without garbage. */
export function liveHeap(): number {
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}

/** Returns the slope of the regression line through the second half of the samples, in bytes per turn. */
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
