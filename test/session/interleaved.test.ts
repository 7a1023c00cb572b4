import { expect, test } from "vitest";
import { interleaved } from "../../src/session/streams/interleaved.ts";
import { ticks } from "../session-on-fake/scene.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";

async function* of(...values: readonly string[]): AsyncGenerator<string, void, undefined> {
  for (const value of values) yield value;
}

async function* failing(error: Error): AsyncGenerator<string, void, undefined> {
  yield "before";
  throw error;
}

async function* silent(): AsyncGenerator<string, void, undefined> {
  await new Promise(() => {});
}

test("interleaved(): yields every value of both, each in its order", async () => {
  const all = await Array.fromAsync(interleaved(of("a", "b", "c"), of("1", "2"), new SimulatedClock()));
  expect(all.filter((value) => /[a-c]/.test(value))).toEqual(["a", "b", "c"]);
  expect(all.filter((value) => /[0-9]/.test(value))).toEqual(["1", "2"]);
});

test("interleaved(): throws the error of the main values after the values of the others", async () => {
  const seen: string[] = [];
  const reading = (async () => {
    for await (const value of interleaved(failing(new Error("main")), of("1", "2", "3"), new SimulatedClock()))
      seen.push(value);
  })();
  await expect(reading).rejects.toThrow("main");
  expect(seen.toSorted()).toEqual(["1", "2", "3", "before"]);
});

test("interleaved(): continues after an error of the other values", async () => {
  const all = await Array.fromAsync(interleaved(of("a", "b"), failing(new Error("side")), new SimulatedClock()));
  expect(all.toSorted()).toEqual(["a", "b", "before"]);
});

test("interleaved(): ends a second after the main values if the others stay silent", async () => {
  const clock = new SimulatedClock();
  let isOver = false;
  const reading = Array.fromAsync(interleaved(of("a"), silent(), clock)).then((all) => {
    isOver = true;
    return all;
  });
  await ticks(3);
  await clock.advance(999);
  expect(isOver).toBe(false);
  await clock.advance(1);
  expect(await reading).toEqual(["a"]);
});
