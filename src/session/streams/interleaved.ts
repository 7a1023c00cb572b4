import type { Clock } from "../../clock.ts";

/** How long the end of the main values waits for the last of the others, in milliseconds. */
const LAST_MS = 1_000;

type Source<Value> = AsyncGenerator<Value, void, undefined>;

/** What a source did: it yielded a value, or ended, perhaps with an error. */
type Step<Value> = { readonly of: Source<Value> } & (
  | { readonly value: Value }
  | { readonly end: true; readonly error?: unknown }
);

/**
 * Yields the values of `main`, and those of `side` as they arrive in between, until `main` has ended and `side` has, or
 * has had a second for its last values. An error of `main` is thrown after that; an error of `side` only ends `side`.
 */
export async function* interleaved<Value>(
  main: Source<Value>,
  side: Source<Value>,
  clock: Clock,
): AsyncGenerator<Value, void, undefined> {
  const steps: (Step<Value> | undefined)[] = [];
  let wake = (): void => {};
  const add = (step: Step<Value> | undefined): void => {
    steps.push(step);
    wake();
  };
  // Not a race of promises, which would keep a reaction for each value on a source that stays silent.
  const ask = (of: Source<Value>): void =>
    void of.next().then(
      ({ done, value }) => add(done === true ? { of, end: true } : { of, value }),
      (error: unknown) => add({ of, end: true, error }),
    );
  const open = new Set([main, side]);
  let failure: { readonly error: unknown } | undefined;
  let last: { cancel(): void } | undefined;
  for (const source of open) ask(source);
  try {
    while (open.size > 0) {
      while (steps.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      const step = steps.shift();
      if (step === undefined) break;
      if ("value" in step) {
        yield step.value;
        ask(step.of);
        continue;
      }
      open.delete(step.of);
      if (step.of !== main) continue;
      if ("error" in step) failure = { error: step.error };
      last = clock.schedule(LAST_MS, () => add(undefined));
    }
    if (failure !== undefined) throw failure.error;
  } finally {
    last?.cancel();
    for (const source of open) void source.return().catch(() => {});
  }
}
