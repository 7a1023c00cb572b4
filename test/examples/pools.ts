import { checkout } from "castellan";
import { expect, test } from "vitest";
import { compare, load, startPool, summarise, titleOf } from "../../examples/pools.ts";
import { onFake } from "./on-fake.ts";

test("pools.ts: spreads turns over members, each in an empty conversation", async () => {
  const gate = Promise.withResolvers<void>();
  const { fake, options } = onFake(async (turn) => {
    await gate.promise;
    await turn.text(`${turn.prompt.split("\n")[1]}, ${turn.history.length} before`);
  });
  await using supervisor = await startPool(options);
  const summaries = summarise(["a", "b", "c", "d", "e"]);
  await fake.prompted(4);
  expect(load(supervisor)).toBe("4 of 4 lent (at most 4), 1 waiting");
  gate.resolve();
  expect(await summaries).toEqual(["a", "b", "c", "d", "e"].map((text) => `${text}, 0 before`));
});

test("pools.ts: lends one member for several turns, in a conversation that no other caller sees", async () => {
  const { options } = onFake(async (turn) => turn.text(`${turn.history.length / 2} before`));
  await using supervisor = await startPool(options);
  expect(await compare("x", "y")).toBe("1 before");
  expect(await titleOf("x")).toBe("1 before");
  expect(load(supervisor)).toContain("0 of ");
});

test("pools.ts: rejects with POOL_EXHAUSTED when all members are lent, and with LOAN_ENDED after a loan", async () => {
  const { options } = onFake();
  await using _supervisor = await startPool(options);
  const loans = await Promise.all([1, 2, 3, 4].map(() => checkout("summaries")));
  await expect(checkout("summaries", { timeout: 0 })).rejects.toMatchObject({
    code: "POOL_EXHAUSTED",
    details: { size: 4, lent: 4 },
  });
  const [loan] = loans;
  await Promise.all(loans.map((each) => each.checkin()));
  await expect(async () => await loan?.session.query("hi")).rejects.toMatchObject({ code: "LOAN_ENDED" });
});
