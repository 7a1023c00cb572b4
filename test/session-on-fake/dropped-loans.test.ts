import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, beforeEach, expect, test } from "vitest";
import { checkout, query } from "../../src/castellan.ts";
import { on } from "../../src/events.ts";
import { pool, type Session } from "../../src/index.ts";
import { eventually, Scene, unique } from "./scene.ts";

let warnings: string[];
const warned = (warning: Error & { code?: string }): void => {
  if (warning.code === "LOAN_DROPPED") warnings.push(warning.message);
};

beforeEach(() => {
  warnings = [];
  process.on("warning", warned);
});

afterEach(() => {
  process.off("warning", warned);
});

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as () => void;

const canaries = new FinalizationRegistry<() => void>((found) => found());

/** Resolves once the garbage collector has run its finalizers. */
async function collected(): Promise<void> {
  let found = false;
  canaries.register({}, () => {
    found = true;
  });
  await eventually(() => {
    gc();
    return found;
  });
}

async function scene(script?: Parameters<typeof Scene.open>[0]) {
  const name = unique("pool");
  const opened = await Scene.open({ children: [pool(name, { size: 1 })], ...script });
  const status = () => opened.supervisor.pool(name).status();
  await eventually(() => status().idle === 1);
  return { name, status, opened };
}

test("Pool: finds a loan that was garbage-collected, warns, and lends its member again", async () => {
  const { name, status, opened } = await scene();
  await using _ = opened;
  const checkins: string[] = [];
  const off = on("castellan:pool:checkin", (event) => {
    if (event.pool === name) checkins.push(event.why);
  });
  await (async () => {
    const loan = await checkout(name);
    await loan.session.query("mine");
  })();
  expect(status().lent).toBe(1);
  const next = query(name, "next");
  await eventually(() => {
    gc();
    return checkins.length > 0;
  });
  expect((await next).text).toBe("You said: next");
  expect(checkins[0]).toBe("dropped");
  await eventually(() => warnings.length > 0);
  expect(warnings[0]).toContain(name);
  off();
});

test("Pool: lets the turn of a dropped loan end before it lends the member again", async () => {
  const gate = Promise.withResolvers<void>();
  const { status, opened, name } = await scene({
    script: async (turn) => {
      await gate.promise;
      await turn.text("done");
    },
  });
  await using _ = opened;
  const turn = await (async () => (await checkout(name)).session.stream("long"))();
  await opened.fake.prompted(1);
  await eventually(() => {
    gc();
    return warnings.length > 0;
  });
  expect(status().lent).toBe(1);
  gate.resolve();
  expect((await turn.result()).text).toBe("done");
  await eventually(() => status().idle === 1);
});

test("Pool: does not drop a checked-in loan, or a loan whose session is still referenced", async () => {
  const { name, status, opened } = await scene();
  await using _ = opened;
  await (async () => {
    const loan = await checkout(name);
    await loan.checkin();
  })();
  await eventually(() => status().idle === 1);
  const held: Session = await (async () => (await checkout(name)).session)();
  for (let times = 0; times < 3; times++) await collected();
  expect(warnings).toEqual([]);
  expect(status().lent).toBe(1);
  expect((await held.query("still mine")).text).toBe("You said: still mine");
});
